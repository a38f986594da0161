import { beforeEach, describe, expect, test } from "vitest";
import { FakeBrowser } from "../../platform/testing/fake";
import { Value } from "../observable";
import { Household, type Tab } from "../testing/household";
import { Sleep, SLEEP_AFTER_MS, VISIT_EVERY_MS } from "./sleep";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";
/** The leader checks at times, and asks the other tabs. */
const SLEEP_WITHIN_MS = SLEEP_AFTER_MS + 20_000;

let house: Household;
let bob: Tab;
let browser: FakeBrowser;
let first: Tab;
let second: Tab;
let proved: Value<boolean>;
/** The arguments of the calls of `verify`. */
let verified: boolean[];

function letSleep(tab: Tab): Tab {
  new Sleep(tab.chat().late, { proved, verify: async (received) => void verified.push(received) });
  return tab;
}

async function setUp(): Promise<void> {
  house = new Household();
  proved = new Value(true);
  verified = [];
  bob = await house.user(BOB);
  browser = new FakeBrowser();
  first = letSleep(await house.user(ALICE, browser));
  second = letSleep(await house.tab(browser));
  // A new device loads history until then.
  await house.pass(16 * 60_000);
}

beforeEach(setUp);

const sockets = (): number => house.server.socketsOf(ALICE);

async function hide(...tabs: Tab[]): Promise<void> {
  for (const tab of tabs) tab.platform.setVisible(false);
  await house.pass(SLEEP_WITHIN_MS);
}

async function say(body: string): Promise<void> {
  await bob.chat().conversation(ALICE).send(body);
  await house.pass(100);
}

/** Returns what Bob sees of his own messages. */
async function atBob(): Promise<readonly string[]> {
  const conversation = bob.chat().conversation(ALICE);
  await house.pass(500);
  return conversation.timeline.get().items.flatMap(({ mine, body, state }) => (mine ? [`${body}: ${state}`] : []));
}

const hellos = (): readonly Record<string, unknown>[] =>
  [first, second]
    .flatMap(({ platform }) => platform.opened)
    .map(({ sent }) => JSON.parse(sent[0] ?? "{}") as Record<string, unknown>);

describe("a browser of which nobody sees a tab", () => {
  test("gives its socket back after 2 minutes, and is back at once, without a trace on the screen", async () => {
    const presence = second.chat().presence(BOB);
    presence.subscribe(() => undefined);
    const statuses: string[] = [];
    second.chat().connection.subscribe(({ state }) => statuses.push(state));
    second.platform.setVisible(false);
    first.platform.setVisible(false);
    await house.pass(SLEEP_AFTER_MS - 1_000);
    expect([sockets(), presence.get().online]).toEqual([1, true]);
    await house.pass(21_000);
    expect([sockets(), presence.get().online]).toEqual([0, null]);
    // It was not closed by an error.
    expect(first.platform.opened.at(-1)?.closedByClient).toBe(1000);
    await say("waits");
    await house.pass(60_000);
    expect(sockets()).toBe(0);
    second.platform.setVisible(true);
    await house.pass(250);
    expect(sockets()).toBe(1);
    expect(second.chat().conversations.get().items).toMatchObject([{ preview: { body: "waits" } }]);
    await house.pass(250);
    expect(presence.get().online).toBe(true);
    expect(new Set(statuses)).toEqual(new Set(["online", "connecting"]));
    expect(statuses.at(-1)).toBe("online");
    // The tab that is still hidden takes part again.
    second.platform.kill();
    await house.pass(1_000);
    expect([sockets(), first.chat().connection.get().state]).toEqual([1, "online"]);
    expect(house.server.faults).toEqual([]);
  });

  test("stays awake while a tab is visible, without a proof, and beside a tab that cannot sleep", async () => {
    await hide(first);
    expect(sockets()).toBe(1);
    proved.set(false);
    await hide(second);
    expect(sockets()).toBe(1);
    const old = await house.tab(browser);
    proved.set(true);
    await hide(old);
    expect(sockets()).toBe(1);
    old.platform.kill();
    await house.pass(4 * 60_000);
    expect(sockets()).toBe(0);
    // A tab that is opened works as always.
    letSleep(await house.tab(browser));
    await house.pass(250);
    expect(sockets()).toBe(1);
  });

  test("stays awake until everything is sent, saved and loaded", async () => {
    // A message that the server has not answered.
    house.server.refuseForNow = () => ["rate_limited", 1_000];
    await first.chat().conversation(BOB).send("not yet");
    await hide(first, second);
    expect(sockets()).toBe(1);
    house.server.refuseForNow = () => null;
    await house.pass(60_000);
    expect(sockets()).toBe(0);
    // A read mark that the server does not show.
    await say("read me");
    first.platform.setVisible(true);
    const conversation = first.chat().conversation(BOB);
    await house.pass(1_000);
    house.server.redisDown = true;
    conversation.markRead(conversation.timeline.get().items.at(-1)?.key ?? "");
    await hide(first);
    expect(await first.chat().late.store.read((tx) => tx.unsentReads())).toHaveLength(1);
    house.server.redisDown = false;
    await house.pass(11 * 60_000);
    expect(await first.chat().late.store.read((tx) => tx.unsentReads())).toEqual([]);
    expect(sockets()).toBe(0);
  });

  test("stays asleep when a tab is closed, even the one that led", async () => {
    await hide(first, second);
    first.platform.kill();
    await house.pass(10 * 60_000);
    expect(sockets()).toBe(0);
    second.platform.setVisible(true);
    await house.pass(250);
    expect(sockets()).toBe(1);
  });

  test("wakes when a hidden tab has something to send, and when pushes do not come any more", async () => {
    await hide(first, second);
    await second.chat().conversation(BOB).send("from behind");
    await house.pass(500);
    const conversation = first.chat().conversation(BOB);
    await house.pass(100);
    expect(conversation.timeline.get().items).toMatchObject([{ body: "from behind", state: "delivered" }]);
    await house.pass(SLEEP_WITHIN_MS);
    expect(sockets()).toBe(0);
    // A hidden tab stores something that is not to be sent: the others show it, and nobody wakes up.
    second.chat().conversation(BOB).setDraft("begun", null);
    await house.pass(1_000);
    expect([sockets(), conversation.draft.get().text]).toEqual([0, "begun"]);
    proved.set(false);
    await house.pass(500);
    expect(sockets()).toBe(1);
    expect(house.server.faults).toEqual([]);
  });

  test("connects every 15 minutes for a moment, outside presence, in one of its tabs", async () => {
    const seen: unknown[] = [];
    bob
      .chat()
      .presence(ALICE)
      .subscribe(({ online }) => seen.push(online));
    await house.pass(500);
    await hide(first, second);
    seen.splice(0);
    const before = hellos().length;
    await say("no push comes");
    await house.pass(VISIT_EVERY_MS + 31_000);
    expect(hellos().slice(before)).toMatchObject([{ background: true }]);
    expect(hellos().at(-1)).not.toHaveProperty("looking");
    expect(sockets()).toBe(0);
    expect(await atBob()).toEqual(["no push comes: delivered"]);
    expect(seen).not.toContain(true);
    for (const tab of [first, second])
      expect(tab.chat().conversations.get().items).toMatchObject([{ preview: { body: "no push comes" }, unread: 1 }]);
    // Messages came without a push, so the server is asked whether it still has the subscription.
    expect(verified.at(-1)).toBe(true);
    await house.pass(VISIT_EVERY_MS + 31_000);
    expect(hellos().length).toBe(before + 2);
    expect(verified.at(-1)).toBe(false);
    expect(house.server.faults).toEqual([]);
  });

  test("sends again what the server has lost meanwhile", async () => {
    bob.platform.kill();
    await first.chat().conversation(BOB).send("in good hands");
    await house.pass(1_000);
    await hide(first, second);
    expect(sockets()).toBe(0);
    house.server.wipe();
    await house.pass(VISIT_EVERY_MS + 60_000);
    expect(sockets()).toBe(0);
    bob = await house.user(BOB);
    expect(bob.chat().conversations.get().items).toMatchObject([{ preview: { body: "in good hands" } }]);
  });

  test("a visit without a network changes nothing, and ends when somebody looks", async () => {
    await hide(first, second);
    house.setOnline(false);
    const statuses: string[] = [];
    first.chat().connection.subscribe(({ state }) => statuses.push(state));
    await house.pass(VISIT_EVERY_MS + 90_000);
    house.setOnline(true);
    expect(first.chat().connection.get().state).toBe("online");
    first.platform.setVisible(true);
    await house.pass(250);
    expect(sockets()).toBe(1);
    // During a visit.
    await hide(first);
    expect(sockets()).toBe(0);
    const opened = (): number => first.platform.opened.length + second.platform.opened.length;
    for (const before = opened(); opened() === before;) await house.pass(200);
    second.platform.setVisible(true);
    await house.pass(250);
    expect(hellos().filter(({ looking }) => looking === true).length).toBeGreaterThan(1);
    await house.pass(60_000);
    expect([sockets(), second.chat().connection.get().state]).toEqual([1, "online"]);
    expect(house.server.faults).toEqual([]);
  });

  test("a message that comes as the device falls asleep is there after the next visit, at the latest", async () => {
    // The leader asks the others after 2 minutes, and closes the socket 1 s later. A frame takes 1 ms.
    for (const ms of [-4, -3, -2, -1, 0, 1]) {
      await setUp();
      first.platform.setVisible(false);
      second.platform.setVisible(false);
      await house.pass(SLEEP_AFTER_MS + 1_000 + ms);
      await bob.chat().conversation(ALICE).send("at the last moment");
      await house.pass(10);
      expect(sockets()).toBe(0);
      await house.pass(VISIT_EVERY_MS + 31_000);
      expect(await atBob()).toEqual(["at the last moment: delivered"]);
      expect(second.chat().conversations.get().items).toMatchObject([
        { preview: { body: "at the last moment" }, unread: 1 },
      ]);
      expect(house.server.faults).toEqual([]);
    }
  });

  test("history that is loaded again later needs no visible tab", async () => {
    house.server.wipe();
    await house.pass(30_000);
    const loads = (): number => hellos().filter(({ background }) => background === true).length;
    // The loads 1, 5 and 15 minutes after the gap: the first one finds the device awake.
    await hide(first, second);
    expect([sockets(), loads()]).toEqual([0, 0]);
    await house.pass(16 * 60_000);
    expect([sockets(), loads()]).toEqual([0, 2]);
    expect((await first.chat().late.store.read((tx) => tx.gap())).due).toBeNull();
  });

  test("a sign-out ends it", async () => {
    await hide(first, second);
    await first.chat().signOut();
    await house.pass(VISIT_EVERY_MS + 60_000);
    expect(sockets()).toBe(0);
    expect(hellos().filter(({ background }) => background === true)).toEqual([]);
  });
});
