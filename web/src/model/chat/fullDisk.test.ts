import { describe, expect, test } from "vitest";
import { FakeBrowser } from "../../platform/testing/fake";
import { databaseName } from "../store/store";
import { Household, type Tab } from "../testing/household";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";
/** Longer than it takes to notice that there is space again. */
const PROBED_MS = 12_000;

interface Scene {
  readonly house: Household;
  readonly browser: FakeBrowser;
  /** The tab whose disk becomes full. */
  readonly alice: Tab;
  readonly bob: Tab;
}

async function two(): Promise<Scene> {
  const house = new Household();
  const bob = await house.user(BOB);
  const browser = new FakeBrowser();
  const alice = await house.user(ALICE, browser);
  await bob.chat().conversation(ALICE).send("before");
  await house.pass(1_000);
  return { house, browser, alice, bob };
}

/** Opens a conversation. The result returns what it shows. */
async function shown(house: Household, tab: Tab, other: string): Promise<() => (readonly [string, string])[]> {
  const { timeline } = tab.chat().conversation(other);
  await house.pass(100);
  return () => timeline.get().items.map((m) => [m.body, m.mine ? m.state : "theirs"] as const);
}

const archived = (house: Household): string[] => [...house.server.archive.saved.values()].map((m) => m.body).sort();

describe("on a full disk", () => {
  test("messages are shown and sent, and are acknowledged once there is space", async () => {
    const { house, browser, alice, bob } = await two();
    const here = await shown(house, alice, BOB);
    const there = await shown(house, bob, ALICE);
    alice.platform.full = true;
    await bob.chat().conversation(ALICE).send("while it is full");
    await house.pass(1_000);
    expect(here()).toEqual([
      ["before", "theirs"],
      ["while it is full", "theirs"],
    ]);
    expect(alice.chat().storage.get()).toBe("overflow");
    expect(alice.platform.freed).toContain(databaseName(ALICE));
    // The list and the counts work, and what is read here stays read.
    expect(alice.chat().unreadTotal.get()).toBe(2);
    const conversation = alice.chat().conversation(BOB);
    await house.pass(100);
    conversation.markRead(conversation.timeline.get().items.at(-1)?.key ?? "");
    expect((await conversation.send("an answer")).ok).toBe(true);
    await house.pass(2_000);
    expect(alice.chat().unreadTotal.get()).toBe(0);
    expect(here().at(-1)).toEqual(["an answer", "delivered"]);
    // It is not stored, so it counts neither as delivered nor as read.
    expect(there()).toEqual([
      ["before", "delivered"],
      ["while it is full", "sent"],
      ["an answer", "theirs"],
    ]);
    // A reconnect brings nothing twice and confirms nothing.
    house.server.drop(ALICE);
    await house.pass(PROBED_MS);
    expect(here().map(([body]) => body)).toEqual(["before", "while it is full", "an answer"]);
    expect(archived(house)).toEqual(["an answer", "before"]);

    alice.platform.full = false;
    await house.pass(PROBED_MS);
    expect(alice.chat().storage.get()).toBe("durable");
    expect(there().slice(0, 2)).toEqual([
      ["before", "read"],
      ["while it is full", "read"],
    ]);
    expect(alice.chat().connection.get().state).toBe("online");
    const before = here();
    alice.platform.kill();
    const again = await house.tab(browser);
    await house.pass(1_000);
    expect((await shown(house, again, BOB))()).toEqual(before);
    expect(again.chat().unreadTotal.get()).toBe(0);
    expect(house.server.faults).toEqual([]);
  });

  test("a reload brings what was not stored again, once", async () => {
    const { house, browser, alice, bob } = await two();
    alice.platform.full = true;
    await bob.chat().conversation(ALICE).send("while it is full");
    await house.pass(1_000);
    await alice.chat().conversation(BOB).send("an answer");
    await house.pass(1_000);
    alice.platform.kill();
    const again = await house.tab(browser);
    const here = await shown(house, again, BOB);
    await house.pass(10_000);
    expect(again.chat().storage.get()).toBe("durable");
    // The server accepted the answer. Its receipt makes this device load it.
    expect(here()).toEqual([
      ["before", "theirs"],
      ["while it is full", "theirs"],
      ["an answer", "delivered"],
    ]);
    expect(archived(house)).toEqual(["an answer", "before", "while it is full"]);
  });

  test("changes are shown and sent, and are stored once there is space", async () => {
    const { house, browser, alice, bob } = await two();
    const mine = alice.chat().conversation(BOB);
    const theirs = bob.chat().conversation(ALICE);
    const first = await mine.send("an answer");
    await house.pass(1_000);
    const key = first.ok ? first.value : "";
    alice.platform.full = true;
    house.setOnline(false);
    await mine.change(key, { kind: "edit", body: "the answer" });
    await mine.change(mine.timeline.get().items[0]?.key ?? "", { kind: "react", emoji: "👍" });
    await house.pass(1_000);
    expect(alice.chat().storage.get()).toBe("overflow");
    const seen = ({ timeline }: typeof mine): unknown[] =>
      timeline.get().items.map((m) => [m.body, m.changes?.reactions.map((r) => r.emoji) ?? [], m.changes?.waiting]);
    const waiting = [
      ["before", ["👍"], true],
      ["the answer", [], true],
    ];
    expect(seen(mine)).toEqual(waiting);
    alice.platform.full = false;
    await house.pass(PROBED_MS);
    expect(alice.chat().storage.get()).toBe("durable");
    // They are in the outbox of the next page.
    alice.platform.kill();
    const again = (await house.tab(browser)).chat().conversation(BOB);
    await house.pass(1_000);
    expect(seen(again)).toEqual(waiting);
    house.setOnline(true);
    await house.pass(60_000);
    const changed = [
      ["before", ["👍"], false],
      ["the answer", [], false],
    ];
    expect([seen(again), seen(theirs)]).toEqual([changed, changed]);
    expect(house.server.faults).toEqual([]);
  });

  test("the server holds back what exceeds the window, and nothing is lost", async () => {
    const { house, alice, bob } = await two();
    const list = alice.chat().conversation(BOB);
    await house.pass(100);
    house.server.limits.unacked = 20;
    alice.platform.full = true;
    const toAlice = bob.chat().conversation(ALICE);
    for (let n = 0; n < 30; n++) await toAlice.send(`message ${n}`);
    await house.pass(5_000);
    expect(list.timeline.get().items).toHaveLength(21);
    alice.platform.full = false;
    await house.pass(PROBED_MS);
    expect(list.timeline.get().items.map((m) => m.body)).toEqual([
      "before",
      ...Array.from({ length: 30 }, (_, n) => `message ${n}`),
    ]);
    expect(house.server.archive.saved.size).toBe(31);
  });

  test("a message that waits on disk is not sent with a time that only memory has", async () => {
    const { house, browser, alice } = await two();
    house.setOnline(false);
    await alice.chat().conversation(BOB).send("typed before");
    alice.platform.full = true;
    await alice.chat().conversation(BOB).send("typed on a full disk");
    house.setOnline(true);
    await house.pass(60_000);
    const here = await shown(house, alice, BOB);
    expect(here().slice(1)).toEqual([
      ["typed before", "waiting"],
      ["typed on a full disk", "waiting"],
    ]);
    // Another conversation does not wait for it.
    const carol = await house.user("carolUid00003");
    await alice.chat().conversation("carolUid00003").send("hello");
    await house.pass(1_000);
    expect((await shown(house, carol, ALICE))()).toEqual([["hello", "theirs"]]);
    // The page ends. What was typed before goes out, what was only in memory is gone, as the notice said.
    alice.platform.kill();
    const again = await house.tab(browser);
    await house.pass(5_000);
    expect((await shown(house, again, BOB))().slice(1)).toEqual([["typed before", "delivered"]]);
    expect(house.server.faults).toEqual([]);
  });

  test("every tab shows and sends on its own, and they share everything once there is space", async () => {
    const { house, browser, alice: first, bob } = await two();
    const second = await house.tab(browser);
    await house.pass(1_000);
    const one = await shown(house, first, BOB);
    const other = await shown(house, second, BOB);
    expect(house.server.socketsOf(ALICE)).toBe(1);
    first.platform.full = second.platform.full = true;
    await bob.chat().conversation(ALICE).send("while it is full");
    await house.pass(3_000);
    for (const tab of [first, second]) expect(tab.chat().storage.get()).toBe("overflow");
    await first.chat().conversation(BOB).send("from the first");
    await second.chat().conversation(BOB).send("from the second");
    await house.pass(2_000);
    house.setOnline(false);
    await first.chat().conversation(BOB).send("typed offline in the first");
    await second.chat().conversation(BOB).send("typed offline in the second");
    second.chat().conversation(BOB).setDraft("a draft", null);
    await house.pass(1_000);
    expect(one()).toContainEqual(["while it is full", "theirs"]);
    expect(other()).toContainEqual(["while it is full", "theirs"]);
    expect(archived(house)).toEqual(["before", "from the first", "from the second"]);

    first.platform.full = second.platform.full = false;
    await house.pass(PROBED_MS);
    house.setOnline(true);
    await house.pass(60_000);
    for (const tab of [first, second]) expect(tab.chat().storage.get()).toBe("durable");
    expect(house.server.socketsOf(ALICE)).toBe(1);
    const all = [
      "before",
      "from the first",
      "from the second",
      "typed offline in the first",
      "typed offline in the second",
      "while it is full",
    ];
    expect(archived(house)).toEqual(all);
    for (const view of [one, other]) {
      expect(
        view()
          .map(([body]) => body)
          .sort(),
      ).toEqual(all);
      expect(view().filter(([, state]) => state !== "theirs" && state !== "delivered")).toEqual([]);
    }
    expect(other()).toEqual(one());
    expect(first.chat().conversation(BOB).draft.get().text).toBe("");
    const reopened = second.chat().conversation(BOB);
    await house.pass(100);
    expect(reopened.draft.get().text).toBe("a draft");
    expect(house.server.faults).toEqual([]);
  });

  test("without Web Locks, the tab goes on from the disk as well", async () => {
    const house = new Household();
    const bob = await house.user(BOB);
    const alice = await house.user(ALICE, new FakeBrowser(), { locks: false });
    alice.platform.full = true;
    await bob.chat().conversation(ALICE).send("while it is full");
    await house.pass(1_000);
    expect(archived(house)).toEqual([]);
    alice.platform.full = false;
    await house.pass(PROBED_MS);
    expect(archived(house)).toEqual(["while it is full"]);
    expect(alice.chat().unreadTotal.get()).toBe(1);
  });

  test("a first visit works", async () => {
    const house = new Household();
    const bob = await house.user(BOB);
    await bob.chat().conversation(ALICE).send("early");
    const browser = new FakeBrowser();
    const alice = await house.tab(browser);
    alice.platform.full = true;
    house.server.archive.directory.set(ALICE, { uid: ALICE, username: "alice", display_name: "alice" });
    expect((await alice.app.signIn(`${ALICE}@example.org`, "correct horse")).ok).toBe(true);
    await house.pass(5_000);
    expect(alice.chat().connection.get().state).toBe("online");
    expect((await shown(house, alice, BOB))()).toEqual([["early", "theirs"]]);
    expect(archived(house)).toEqual([]);
  });
});
