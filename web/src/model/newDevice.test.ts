/** What a device shows between its first sign-in and the moment when it has caught up. */
import { describe, expect, test } from "vitest";
import { FakeBrowser, type FakeSocket, settle } from "../platform/testing/fake";
import { json } from "./testing/archive";
import { Household, type Tab } from "./testing/household";
import { BOB, CONVERSATION, event, key, LIMITS, ME, message, NOW, saved } from "./testing/stage";

const T = NOW * 1000;

/** A new device of ME, before it has received anything. The test is its server, and answers for the list. */
async function newDevice(): Promise<{
  house: Household;
  tab: Tab;
  incoming: string[];
  deliver: (...frames: object[]) => Promise<void>;
  answerList: (status: number) => Promise<void>;
}> {
  const house = new Household();
  const { archive } = house.server;
  archive.save([saved(1, T + 1), saved(2, T + 2), saved(3, T + 3), saved(4, T + 4, ME)]);
  archive.read(CONVERSATION, ME, T + 2);
  archive.read(CONVERSATION, BOB, T + 4);
  const tab = await house.tab(new FakeBrowser());
  const incoming: string[] = [];
  tab.app.attention.onIncoming(({ body }) => incoming.push(body));
  let socket: FakeSocket | undefined;
  tab.platform.onSocket = (opened) => (socket = opened);
  const { answer } = tab.platform;
  let release: (status: number) => void = () => undefined;
  tab.platform.answer = async (request) => {
    const status = request.url.includes("/conversations")
      ? await new Promise<number>((resolve) => (release = resolve))
      : 200;
    return status === 200 && answer ? await answer(request) : json(status, {});
  };
  await tab.app.signIn(`${ME}@example.org`, "correct horse");
  await house.pass(0);
  socket?.accept();
  socket?.deliver({ type: "welcome", uid: ME, now: T, resumed: false, limits: LIMITS });
  await settle();
  return {
    house,
    tab,
    incoming,
    deliver: async (...frames) => {
      for (const frame of frames) socket?.deliver(frame);
      await house.pass(100);
    },
    answerList: async (status) => {
      release(status);
      await house.pass(100);
    },
  };
}

const caughtUp = { type: "caught_up", cursor: "e:9-0" };

/** The own message 4 as it was when it was sent. */
const sentFour = event(3, { ...message(4, T + 4), type: "sent", from: ME, to: BOB });

describe("a new device shows nothing of the past", () => {
  test.each(["before", "after"])("and the server's list %s it has caught up", async (when) => {
    const { tab, incoming, deliver, answerList } = await newDevice();
    const { conversations, unreadTotal } = tab.chat();
    const titles = new Set<number>();
    unreadTotal.subscribe((unread) => titles.add(unread));
    const { timeline } = tab.chat().conversation(BOB);
    const lines = (): unknown =>
      conversations.get().items.map(({ preview, unread }) => [preview?.body, preview?.state, unread]);

    await deliver(event(1, message(1, T + 1)), event(2, message(2, T + 2)), sentFour);
    if (when === "after") await deliver(caughtUp);
    expect(conversations.get()).toMatchObject({ items: [], loading: true });
    expect(timeline.get()).toMatchObject({ items: [], loading: true });
    await answerList(200);
    // The first messages were read elsewhere, and message 4 was delivered and read long ago.
    expect(lines()).toEqual([["message 4", "read", 1]]);
    expect(timeline.get().items.map(({ body, state }) => [body, state])).toEqual([
      ["message 1", "read"],
      ["message 2", "read"],
      ["message 3", "delivered"],
      ["message 4", "read"],
    ]);
    expect(timeline.get().firstUnread).toBe(key(3));
    if (when === "before") {
      // Message 5 waits for this user and is not in the list.
      await deliver(event(5, message(5, T + 5)));
      expect(lines()).toEqual([["message 4", "read", 1]]);
      await deliver(caughtUp);
      expect(lines()).toEqual([["message 5", "delivered", 2]]);
    }
    expect(incoming).toEqual([]);
    await deliver(event(10, message(10, T + 10)));
    expect(incoming).toEqual(["message 10"]);
    expect([...titles]).toEqual(when === "before" ? [0, 1, 2, 3] : [0, 1, 2]);
  });

  test("and what it has by then if the list cannot be loaded", async () => {
    const { tab, deliver, answerList } = await newDevice();
    const { conversations } = tab.chat();
    const { timeline } = tab.chat().conversation(BOB);
    await deliver(event(1, message(1, T + 1)));
    await answerList(503);
    expect(conversations.get()).toMatchObject({ items: [], loading: true });
    await deliver(caughtUp);
    expect(conversations.get().items.map(({ preview }) => preview?.body)).toEqual(["message 4"]);
    expect(timeline.get()).toMatchObject({ loading: false, items: { length: 4 } });
  });

  test("but the message that is written on it", async () => {
    const { tab, deliver, answerList } = await newDevice();
    await deliver(event(1, message(1, T + 1)));
    await answerList(200);
    await tab.chat().conversation(BOB).send("from the new device");
    await deliver();
    expect(tab.chat().conversations.get().items).toMatchObject([
      { preview: { body: "from the new device", state: "waiting" }, unread: 1 },
    ]);
  });
});
