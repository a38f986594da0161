import { describe, expect, test } from "vitest";
import { Household, type Tab } from "./testing/household";

/**
 * What users of chats report in public, as histories on the model of the server and a clock that only the test moves.
 * Where each of the histories is tested ("scenarios" are in realtime/wire/testdata and also run on the Go twin):
 *
 * | history | here | elsewhere |
 * |---|---|---|
 * | written offline, then reloaded | | scenarios restart-with-outbox; e2e offline, "survives closing the page" |
 * | a tab asleep for hours | yes | scenarios resumed-false-history-first |
 * | the plug pulled while sending | | scenarios sent-again-unchanged; interleavings, "kill"; e2e sending, both reloads |
 * | a reconnect loop after a server restart | yes | scenarios backoff, goaway |
 * | several messages sent again, in order | | scenarios resync; engine, "sends many waiting messages in order" |
 * | a phone that changes networks twice a minute | yes | e2e offline, "a short interruption" |
 * | two tabs, one of them frozen | | tabs/leader, both "frozen" tests; e2e tabs, "a frozen leader" |
 * | the server restored from a backup | yes | scenarios resync |
 */
const ALICE = "aliceUid0001";
const BOB = "bobUid000002";
const HOUR_MS = 3_600_000;

describe("users see everything once and in order", () => {
  async function two(): Promise<{
    house: Household;
    alice: Tab;
    bob: Tab;
    toBob: () => string[];
    toAlice: () => string[];
  }> {
    const house = new Household();
    const alice = await house.user(ALICE);
    const bob = await house.user(BOB);
    const toBob = alice.chat().conversation(BOB);
    const toAlice = bob.chat().conversation(ALICE);
    await house.pass(1_000);
    return {
      house,
      alice,
      bob,
      toBob: () => toBob.timeline.get().items.map((m) => m.body),
      toAlice: () => toAlice.timeline.get().items.map((m) => m.body),
    };
  }

  test("after a tab was asleep for hours", async () => {
    const { house, alice, bob, toBob, toAlice } = await two();
    const said: string[] = [];
    await alice.chat().conversation(BOB).send("before the nap");
    said.push("before the nap");
    await house.pass(1_000);
    alice.platform.setVisible(false);
    alice.platform.freeze();
    for (let hour = 1; hour <= 6; hour++) {
      await house.pass(HOUR_MS);
      if (hour === 1) house.server.drop(ALICE);
      await bob.chat().conversation(ALICE).send(`hour ${hour}`);
      said.push(`hour ${hour}`);
    }
    await house.pass(1_000);
    expect(house.server.archive.saved.size).toBe(1);
    alice.platform.thaw();
    alice.platform.setVisible(true);
    await house.pass(2_000);
    expect(toBob()).toEqual(said);
    await alice.chat().conversation(BOB).send("good morning");
    await house.pass(2_000);
    expect(toAlice()).toEqual([...said, "good morning"]);
    expect(house.server.archive.saved.size).toBe(8);
    expect(house.server.faults).toEqual([]);
  });

  test("on a phone that changes networks twice a minute", async () => {
    const { house, alice, bob, toBob, toAlice } = await two();
    const said: string[] = [];
    const opened = alice.platform.opened.length;
    for (let n = 0; n < 20; n++) {
      // The old network dies silently, or with the answers that were on their way.
      if (n % 2 === 0) house.server.mute(ALICE);
      else house.server.drop(ALICE);
      await (n % 3 === 0 ? alice.chat().conversation(BOB) : bob.chat().conversation(ALICE)).send(`message ${n}`);
      said.push(`message ${n}`);
      await house.pass(500);
      alice.platform.setOnline(false);
      await house.pass(1_500);
      alice.platform.setOnline(true);
      await house.pass(28_000);
    }
    await house.pass(60_000);
    expect(toBob().sort()).toEqual([...said].sort());
    expect(toAlice()).toEqual(toBob());
    expect(alice.chat().waitingTotal.get()).toBe(0);
    expect(house.server.accepted.size).toBe(said.length);
    expect(house.server.faults).toEqual([]);
    // One socket for each change, and not one for each attempt to find out.
    expect(alice.platform.opened.length - opened).toBeLessThanOrEqual(40);
  });

  test("after a server restart, without a storm of attempts", async () => {
    const { house, alice, bob, toBob, toAlice } = await two();
    house.server.refusing = true;
    house.server.drop();
    const before = [alice, bob].map((tab) => tab.platform.opened.length);
    for (const n of [1, 2, 3]) await alice.chat().conversation(BOB).send(`message ${n}`);
    await house.pass(10 * 60_000);
    for (const [i, tab] of [alice, bob].entries()) {
      const attempts = tab.platform.opened.length - (before[i] ?? 0);
      expect(attempts).toBeGreaterThan(15);
      expect(attempts).toBeLessThan(80);
    }
    house.server.refusing = false;
    await house.pass(32_000);
    for (const tab of [alice, bob]) expect(tab.chat().connection.get().state).toBe("online");
    await house.pass(2_000);
    expect(toBob()).toEqual(["message 1", "message 2", "message 3"]);
    expect(toAlice()).toEqual(toBob());
    // Once connected, they stay connected.
    const after = [alice, bob].map((tab) => tab.platform.opened.length);
    await house.pass(10 * 60_000);
    expect([alice, bob].map((tab) => tab.platform.opened.length)).toEqual(after);
  });

  test("after the server was restored from a backup", async () => {
    const { house, alice, bob, toBob, toAlice } = await two();
    for (const n of [1, 2]) await alice.chat().conversation(BOB).send(`message ${n}`);
    await house.pass(5_000);
    const backup = new Map(house.server.archive.saved);
    await bob.chat().conversation(ALICE).send("message 3");
    await house.pass(5_000);
    // Bob is away while Alice writes. That message was accepted and is on neither side of the backup.
    house.server.drop(BOB);
    bob.platform.freeze();
    await alice.chat().conversation(BOB).send("message 4");
    await house.pass(5_000);
    house.server.archive.saved.clear();
    for (const [path, message] of backup) house.server.archive.saved.set(path, message);
    house.server.wipe();
    bob.platform.thaw();
    await house.pass(20 * 60_000);
    // The devices keep their messages, and send again those that were not delivered.
    const all = [1, 2, 3, 4].map((n) => `message ${n}`);
    expect(toBob()).toEqual(all);
    expect(toAlice()).toEqual(all);
    expect([...house.server.archive.saved.values()].map((m) => m.body)).toEqual([
      "message 1",
      "message 2",
      "message 4",
    ]);
    expect(alice.chat().waitingTotal.get()).toBe(0);
  });
});
