import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeBrowser } from "../../platform/testing/fake";
import type { OwnChoice } from "../interface/choices";
import { countUnread } from "../push/notice";
import { Hits } from "../search/hits";
import { Searches } from "../search/search";
import { json } from "../testing/archive";
import { Household, type Tab } from "../testing/household";
import { choose } from "./choices";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";
const WITH_BOB = `${ALICE}~${BOB}`;

let house: Household;
let alice: Tab;
let bob: Tab;
let browser: FakeBrowser;

beforeEach(async () => {
  house = new Household();
  house.server.archive.strangers = true;
  browser = new FakeBrowser();
  alice = await house.user(ALICE, browser);
  bob = await house.user(BOB);
});

afterEach(() => {
  // Among others, that no read mark of a request was sent.
  expect(house.server.faults).toEqual([]);
});

/** Returns the users in the lists of a tab. */
function lists(tab: Tab): { chats: string[]; requests: string[] } {
  const { items, requests } = tab.chat().conversations.get();
  const names = (list: typeof items): string[] => list.map(({ user }) => user.uid);
  return { chats: names(items), requests: names(requests) };
}

const asChat = { chats: [BOB], requests: [] };
const asRequest = { chats: [], requests: [BOB] };
const nowhere = { chats: [], requests: [] };

async function say(body: string, from = bob, to = ALICE): Promise<void> {
  const sent = await from.chat().conversation(to).send(body);
  if (!sent.ok) throw new Error(sent.problem.code);
  await house.pass(500);
}

async function pick(tab: Tab, choice: OwnChoice, conversation = WITH_BOB): Promise<void> {
  expect((await choose(tab.chat().late, conversation, choice)).ok).toBe(true);
  await house.pass(500);
}

const accept: OwnChoice = { kind: "accept", on: true };
const remove: OwnChoice = { kind: "remove", on: true };

/** Opens the conversation with a user, looks at all of it, and returns the texts and states that are shown. */
async function look(tab: Tab, uid = BOB): Promise<string[]> {
  const conversation = tab.chat().conversation(uid);
  await house.pass(1_000);
  const { items } = conversation.timeline.get();
  const newest = items.at(-1);
  if (newest) conversation.markRead(newest.key);
  await house.pass(1_000);
  conversation.close();
  return items.map(({ body }) => body);
}

/** Returns what Bob sees of his last message. */
async function stateAtBob(): Promise<string | undefined> {
  const conversation = bob.chat().conversation(ALICE);
  await house.pass(500);
  conversation.close();
  return conversation.timeline.get().items.findLast(({ mine }) => mine)?.state;
}

/** Counts the messages of which a tab notifies while nobody looks. */
function notified(tab: Tab): string[] {
  const bodies: string[] = [];
  tab.app.attention.onIncoming(({ body }) => bodies.push(body));
  return bodies;
}

describe("a message of a stranger", () => {
  test("is a request on all devices and in all tabs, of which nothing notifies", async () => {
    const second = await house.user(ALICE);
    const tab = await house.tab(browser);
    const incoming = [alice, second, tab].map(notified);
    alice.platform.setVisible(false);
    await say("hello");
    for (const one of [alice, second, tab]) {
      expect(lists(one)).toEqual(asRequest);
      expect(one.chat().conversations.get().all.length).toBe(1);
      expect(one.chat().unreadTotal.get()).toBe(0);
      expect(one.app.attention.offer.get()).toBe(false);
    }
    expect(incoming).toEqual([[], [], []]);
    // The badge of the app, which the service worker sets while no page is open.
    expect(await alice.chat().late.store.read((tx) => countUnread(tx, house.clock.now() * 1000))).toBe(0);
    expect(lists(bob)).toEqual({ chats: [ALICE], requests: [] });
  });

  test("is saved and delivered as always, but its sender sees neither that it was read nor who is online", async () => {
    const presence = bob.chat().presence(ALICE);
    const end = presence.subscribe(() => undefined);
    await say("hello");
    expect(await look(alice)).toEqual(["hello"]);
    expect(await stateAtBob()).toBe("delivered");
    expect(presence.get()).toEqual({ online: false, lastSeen: null });
    const { unread, myRead } = await alice.chat().late.store.read(async (tx) => (await tx.conversation(WITH_BOB))!);
    expect([unread, myRead > 0]).toEqual([0, true]);
    end();
  });

  test("moves to the chats once it is accepted, and what was read before is reported then", async () => {
    const second = await house.user(ALICE);
    const presence = bob.chat().presence(ALICE);
    const end = presence.subscribe(() => undefined);
    await say("hello");
    await look(alice);
    await pick(alice, accept);
    for (const one of [alice, second]) expect(lists(one)).toEqual(asChat);
    expect(await stateAtBob()).toBe("read");
    expect(presence.get().online).toBe(true);
    const incoming = notified(alice);
    await say("good");
    expect(incoming).toEqual(["good"]);
    expect(alice.chat().unreadTotal.get()).toBe(1);
    end();
  });

  test("counts as answered once the user writes", async () => {
    const second = await house.user(ALICE);
    await say("hello");
    await say("hello, who are you?", alice, BOB);
    for (const one of [alice, second]) expect(lists(one)).toEqual(asChat);
    await look(alice);
    await say("Bob");
    await look(alice);
    expect(await stateAtBob()).toBe("read");
  });

  test.each(["the same", "another"])(
    "reports what was read before once the user writes on %s device",
    async (which) => {
      const second = await house.user(ALICE);
      await say("hello");
      await look(alice);
      expect(await stateAtBob()).toBe("delivered");
      await say("who are you?", which === "another" ? second : alice, BOB);
      expect(await stateAtBob()).toBe("read");
    },
  );

  test("counts as answered once the user reacts, on devices that have not read it, too", async () => {
    const second = await house.user(ALICE);
    await say("hello");
    await look(alice);
    const conversation = alice.chat().conversation(BOB);
    await house.pass(500);
    const { key } = conversation.timeline.get().items[0]!;
    expect((await conversation.change(key, { kind: "react", emoji: "👍" })).ok).toBe(true);
    await house.pass(1_000);
    conversation.close();
    for (const one of [alice, second]) expect(lists(one)).toEqual(asChat);
    expect(await stateAtBob()).toBe("read");
  });

  test("reports again what the server has kept to the user's devices", async () => {
    await say("hello");
    await look(alice);
    // As on a device that did not know that nobody had answered: it has sent the mark, and the server has shown it.
    await alice.chat().late.change(async (tx) => {
      const { readUnsent: _, ...row } = (await tx.conversation(WITH_BOB))!;
      await tx.putConversation({ ...row, readShown: row.myRead });
    });
    await say("who are you?", alice, BOB);
    expect(await stateAtBob()).toBe("read");
  });

  test("is not one for a person to whom the user has written before", async () => {
    await say("hello, this is Alice", alice, BOB);
    expect(lists(bob).requests).toEqual([ALICE]);
    await say("hello", bob);
    expect([lists(alice), lists(bob)]).toEqual([asChat, { chats: [ALICE], requests: [] }]);
  });

  test("of a blocked person is not listed", async () => {
    await say("hello");
    expect((await alice.chat().block(BOB)).ok).toBe(true);
    expect(lists(alice)).toEqual(nowhere);
    await alice.chat().unblock(BOB);
    expect(lists(alice)).toEqual(asRequest);
  });
});

describe("a removed request", () => {
  test("is gone on all devices, and returns with a newer message, without the others", async () => {
    const second = await house.user(ALICE);
    await say("one");
    await say("two");
    const open = second.chat().conversation(BOB);
    await house.pass(500);
    await pick(alice, remove);
    for (const one of [alice, second]) expect(lists(one)).toEqual(nowhere);
    expect(open.timeline.get()).toMatchObject({ items: [], complete: true });
    await say("three");
    for (const one of [alice, second]) {
      expect(lists(one)).toEqual(asRequest);
      expect(one.chat().conversations.get().requests[0]).toMatchObject({ unread: 1, preview: { body: "three" } });
    }
    expect(open.timeline.get().items.map(({ body }) => body)).toEqual(["three"]);
    open.close();
    // Removed messages stay removed.
    await pick(alice, accept);
    for (const one of [alice, second]) expect(await look(one)).toEqual(["three"]);
  });

  test("returns if that is undone", async () => {
    await say("one");
    await pick(alice, remove);
    await pick(alice, { kind: "remove", on: false });
    expect(lists(alice)).toEqual(asRequest);
    expect(await look(alice)).toEqual(["one"]);
  });

  test("is not found by a search", async () => {
    const { late } = alice.chat();
    const search = new Searches(late).open(null);
    const hits = new Hits(late, search);
    const found = async (): Promise<string[]> => {
      await house.pass(2_000);
      return hits.list.get().hits.map(({ excerpt }) => excerpt.map(({ text }) => text).join(""));
    };
    await say("lamps, one");
    search.search("lamps");
    expect(await found()).toEqual(["lamps, one"]);
    await pick(alice, remove);
    await say("lamps, two");
    expect(await found()).toEqual(["lamps, two"]);
    hits.close();
  });

  test("is no answer: its sender stays a stranger", async () => {
    const presence = bob.chat().presence(ALICE);
    const end = presence.subscribe(() => undefined);
    await say("one");
    await pick(alice, remove);
    await house.pass(60_000);
    expect(presence.get()).toEqual({ online: false, lastSeen: null });
    expect(await stateAtBob()).toBe("delivered");
    end();
  });
});

describe("without a network", () => {
  test("a request is listed, shown and accepted, and the server learns of it later", async () => {
    const second = await house.user(ALICE);
    await say("hello");
    await look(alice);
    house.setOnline(false);
    house.server.archive.down = true;
    alice.platform.kill();
    const page = await house.tab(browser);
    await house.pass(2_000);
    expect(lists(page)).toEqual(asRequest);
    expect(await look(page)).toEqual(["hello"]);
    await pick(page, accept);
    expect(lists(page)).toEqual(asChat);
    expect(lists(second)).toEqual(asRequest);
    house.setOnline(true);
    house.server.archive.down = false;
    await house.pass(60_000);
    for (const one of [page, second]) expect(lists(one)).toEqual(asChat);
    expect(await stateAtBob()).toBe("read");
  });

  test("read marks wait until the server knows that the request was accepted", async () => {
    await say("hello");
    house.server.archive.down = true;
    await pick(alice, accept);
    await look(alice);
    await house.pass(10_000);
    expect(await stateAtBob()).toBe("delivered");
    house.server.archive.down = false;
    await house.pass(60_000);
    expect(await stateAtBob()).toBe("read");
  });
});

describe("on two devices that do not know of each other", () => {
  /** Lets each device choose something while neither can reach the server, and returns what both show in the end. */
  async function conflict(first: OwnChoice, then: OwnChoice): Promise<[Tab, Tab]> {
    const second = await house.user(ALICE);
    await say("one");
    await say("two");
    house.server.archive.down = true;
    await pick(alice, first);
    await pick(second, then);
    house.server.archive.down = false;
    await house.pass(120_000);
    expect(lists(alice)).toEqual(lists(second));
    return [alice, second];
  }

  test("a request that one has accepted is not removed by the other one", async () => {
    for (const one of await conflict(accept, remove)) {
      expect(lists(one)).toEqual(asChat);
      expect(await look(one)).toEqual(["one", "two"]);
    }
  });

  test("what one has removed stays removed when the other one accepts, and the person is no stranger", async () => {
    const both = await conflict(remove, accept);
    for (const one of both) expect(lists(one)).toEqual(nowhere);
    await say("three");
    for (const one of both) {
      expect(lists(one)).toEqual(asChat);
      expect(await look(one)).toEqual(["three"]);
    }
  });

  test("accepted on one and blocked on the other, it is the chat of a blocked person", async () => {
    const second = await house.user(ALICE);
    await say("one");
    house.server.archive.down = true;
    await pick(alice, accept);
    house.server.archive.down = false;
    expect((await second.chat().block(BOB)).ok).toBe(true);
    await house.pass(120_000);
    alice
      .chat()
      .late.reload()
      .catch(() => undefined); // as a `profile` frame does
    await house.pass(500);
    for (const one of [alice, second]) {
      expect(lists(one)).toEqual(asChat);
      expect(
        one
          .chat()
          .blocked.get()
          ?.map(({ uid }) => uid),
      ).toEqual([BOB]);
    }
  });
});

describe("a new device", () => {
  test("has requests, accepted and removed ones as the others have them", async () => {
    const others = ["carolUid00003", "daveUid000004"];
    const [carol, dave] = [await house.user(others[0] ?? ""), await house.user(others[1] ?? "")];
    await say("from Bob");
    await say("from Carol", carol);
    await say("from Dave", dave);
    await pick(alice, accept, `${ALICE}~${others[0] ?? ""}`);
    await pick(alice, remove, `${ALICE}~${others[1] ?? ""}`);
    const expected = { chats: [others[0]], requests: [BOB] };
    expect(lists(alice)).toEqual(expected);
    const fresh = await house.user(ALICE);
    expect(lists(fresh)).toEqual(expected);
    expect(fresh.chat().unreadTotal.get()).toBe(1);
    await say("again from Dave", dave);
    expect(lists(fresh).requests.sort()).toEqual([BOB, others[1]].sort());
    expect(await look(fresh, others[1])).toEqual(["again from Dave"]);
  });

  test("does not take an old friend far down in the list for a stranger", async () => {
    const carol = await house.user("carolUid00003");
    await say("hello Bob", alice, BOB);
    await say("hello Alice");
    for (let n = 0; n < 2; n++) {
      const other = await house.user(`otherUid0000${n}`);
      await say("hello other", alice, `otherUid0000${n}`);
      await say("hello Alice", other);
    }
    house.server.archive.listPage = 1;
    const fresh = await house.user(ALICE);
    await house.pass(10_000);
    expect(lists(fresh).chats).not.toContain(BOB);
    const incoming = notified(fresh);
    let asked = 0;
    house.server.archive.before = (_uid, { url }, path) => {
      if (path === "/api/conversations" && url.includes("id=")) asked++;
      return null;
    };
    await say("are you there?");
    await say("hello, I am new", carol);
    expect(lists(fresh).chats).toContain(BOB);
    expect(lists(fresh).requests).toEqual(["carolUid00003"]);
    expect(incoming).toEqual(["are you there?"]);
    expect(asked).toBe(2);
    await say("and now?");
    expect(asked).toBe(2);
  });

  test("notifies of somebody of whom it cannot learn whether they are a stranger", async () => {
    await say("hello Bob", alice, BOB);
    const other = await house.user("otherUid00001");
    await say("hello other", alice, "otherUid00001");
    await say("hello Alice", other);
    house.server.archive.listPage = 1;
    const fresh = await house.user(ALICE);
    const incoming = notified(fresh);
    // A server that lists all conversations instead, and one that fails.
    let status = 200;
    house.server.archive.before = (_uid, { url }, path) =>
      path !== "/api/conversations" || !url.includes("id=")
        ? null
        : status === 200
          ? json(200, { conversations: [{ id: `${ALICE}~otherUid00001`, last_at: 1 }], next: "" })
          : json(status, { code: "unavailable", detail: "" });
    await say("are you there?");
    expect(incoming).toEqual(["are you there?"]);
    status = 503;
    const carol = await house.user("carolUid00003");
    await say("hello, I am new", carol);
    expect(incoming).toEqual(["are you there?", "hello, I am new"]);
    status = 0;
    house.server.archive.before = () => null;
    await house.pass(61_000);
    await say("hello again", carol);
    expect(incoming.length).toBe(2);
    expect(lists(fresh).requests).toEqual(["carolUid00003"]);
  });
});

test("with an earlier server, nothing that is listed is a request, and accepting works on this device", async () => {
  await say("hello");
  house.server.archive.before = (_uid, { body }, path) =>
    path === "/api/me/setting" && body?.includes("accept") === true
      ? json(422, { code: "setting_invalid", detail: "This setting is not known." })
      : null;
  await pick(alice, accept);
  expect(lists(alice)).toEqual(asChat);
  await house.pass(60_000);
  expect(lists(alice)).toEqual(asChat);
  const listed = [{ id: WITH_BOB, last_at: 5, preview: { id: "x", from: BOB, text: "hello", at: 5 }, unread: 1 }];
  house.server.archive.before = (_uid, _request, path) =>
    path === "/api/conversations" ? json(200, { conversations: listed, next: "" }) : null;
  const fresh = await house.user(ALICE);
  expect(lists(fresh)).toEqual(asChat);
});
