import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FakeBrowser, FakePlatform } from "../platform/testing/fake";
import { conversationId } from "../protocol/chat";
import { uuidv7 } from "../protocol/uuid";
import { LocalStore } from "./store/store";
import { Household, type Tab } from "./testing/household";
import { storeKnown } from "./testing/known";

/**
 * The histories that users of chats report in public, and the tests that play them: with the model of the client on a
 * fake clock, in Chromium against the running system, and with the Go client. A text without a file says why there is
 * no test.
 *
 * `scenario` is a file of realtime/wire/testdata/scenarios, which the model and the Go client run.
 */
const HISTORIES: Readonly<Record<string, readonly [model: string, chromium: string, goClient: string]>> = {
  "written offline, then reloaded": [
    "scenario: restart-with-outbox",
    "web/e2e/offline.spec.ts: a message that was written offline survives closing the page",
    "infra/fault/simulation/peers_test.go: TestWrittenOfflineThenReloaded",
  ],
  "a tab asleep for hours": [
    "web/src/model/histories.test.ts: after a tab was asleep for hours",
    "web/e2e/tabs.spec.ts: a tab that was asleep for hours",
    "infra/client/histories_test.go: TestAsleepForHours",
  ],
  "the plug pulled while sending": [
    "scenario: sent-again-unchanged",
    "web/e2e/sending.spec.ts: a reload before the confirmation arrives",
    "infra/fault/simulation/peers_test.go: TestPlugPulledWhileSending",
  ],
  "a reconnect loop after a server restart": [
    "web/src/model/histories.test.ts: after a server restart, without a storm of attempts",
    "web/e2e/offline.spec.ts: while the server is away, a browser tries again and again",
    "infra/fault/simulation/peers_test.go: TestReconnectLoopAfterARestart",
  ],
  "several messages sent again, in order": [
    "web/src/model/engine/engine.test.ts: sends many waiting messages in order",
    "web/e2e/sending.spec.ts: several messages that are sent again",
    "infra/fault/simulation/peers_test.go: TestSeveralMessagesSentAgainInOrder",
  ],
  "a phone that changes networks twice a minute": [
    "web/src/model/histories.test.ts: on a phone that changes networks twice a minute",
    "web/e2e/offline.spec.ts: a phone that changes networks again and again",
    "infra/fault/simulation/peers_test.go: TestPhoneThatChangesNetworksTwiceAMinute",
  ],
  "away for 29 days, with 10,000 messages in 1,000 conversations": [
    "web/src/model/histories.test.ts: a device that was away for 29 days",
    "web/measure/away.measure.ts: a device that was away for 29 days", // npm run measure
    "infra/client/histories_test.go: TestAwayFor29Days",
  ],
  "two tabs, one of them frozen": [
    "web/src/model/tabs/leader.test.ts: frozen",
    "web/e2e/tabs.spec.ts: a frozen leader loses the socket to a visible tab",
    "The Go client has no tabs.",
  ],
  "storage full while receiving": [
    "web/src/model/chat/fullDisk.test.ts: messages are shown and sent, and are acknowledged once there is space",
    "web/e2e/storage.spec.ts: storage is full while messages arrive",
    "The store of the Go client is in memory.",
  ],
  "storage that never answers": [
    "web/src/model/chat/chat.test.ts: the chat goes on in memory, and other tabs have a leader",
    "web/e2e/storage.spec.ts: storage never answers from some moment on",
    "The store of the Go client is in memory.",
  ],
  "the server restored from a backup": [
    "web/src/model/histories.test.ts: after the server was restored from a backup",
    "Chromium does not play it yet.",
    "infra/client/histories_test.go: TestServerRestoredFromABackup",
  ],
  "the last release's client, this server and the reverse, and a rollback": [
    "It needs both versions; see the command.",
    "web/rollback/chat.turn.ts: a turn of the chat", // go run ./infra/rollback
    "infra/rollback/twin/main.go: run",
  ],
};

test("the tests of the histories exist", async () => {
  const root = join(import.meta.dirname, "../../..");
  for (const [what, tests] of Object.entries(HISTORIES)) {
    const named = tests
      .map((place) => /^(?:(scenario)|([a-z]\S+)): (.+)$/u.exec(place))
      .filter((match) => match !== null);
    expect(named.length, what).toBeGreaterThan(0);
    for (const [place, scenario, file, name = ""] of named) {
      const path = scenario ? `realtime/wire/testdata/scenarios/${name}.json` : (file ?? "");
      const text = await readFile(join(root, path), "utf8");
      if (scenario) continue;
      const found = path.endsWith(".go")
        ? text.includes(`func ${name}(`)
        : /\btest\((?:"|`)/u.test(text) && text.includes(name);
      expect(found, place).toBe(true);
    }
  }
});

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

/** The people who write to a user who is away for almost as long as the server keeps messages, and how much. */
const WRITERS = 1_000;
const EACH = 10;
const AWAY_MS = 29 * 24 * HOUR_MS;

const options = { timeout: 60_000 }; // it works for seconds on an idle machine
test("a device that was away for 29 days gets 10,000 messages in 1,000 known conversations", options, async () => {
  const house = new Household();
  const { server, clock } = house;
  const browser = new FakeBrowser();
  const before = await house.user(ALICE, browser);
  await house.pass(20 * 60_000);
  before.platform.kill();
  const writers = Array.from({ length: WRITERS }, (_, n) => {
    const uid = `writerUid${String(n).padStart(4, "0")}`;
    return { uid, username: uid.toLowerCase(), displayName: `Writer ${n}` };
  });
  const platform = new FakePlatform({ clock, browser });
  const store = await LocalStore.open(platform, ALICE);
  await storeKnown(store, platform.random, ALICE, writers, clock.now() * 1000);
  store.close();
  for (let round = 1; round <= EACH; round++) {
    await house.pass(AWAY_MS / EACH);
    for (const [n, { uid }] of writers.entries()) {
      const at = clock.now() * 1000 + n;
      server.queue({
        id: uuidv7(clock.now(), platform.random.bytes(10)),
        conversation: conversationId(uid, ALICE),
        from: uid,
        to: ALICE,
        body: `round ${round}`,
        at,
        accepted_at: at,
      });
    }
  }

  server.archive.requests = 0;
  const alice = await house.tab(browser);
  await house.pass(10_000);
  const chat = alice.chat();
  expect(chat.connection.get().state).toBe("online");
  expect(chat.unreadTotal.get()).toBe(WRITERS * EACH);
  const { items } = chat.conversations.get();
  expect(items.length).toBe(WRITERS);
  expect(items.filter((c) => c.unread !== EACH || c.preview?.body !== `round ${EACH}`)).toEqual([]);
  expect(items.filter((c) => !c.user.displayName.startsWith("Writer"))).toEqual([]);
  expect(server.archive.saved.size).toBe(WRITERS * EACH);
  const { timeline } = chat.conversation(writers[0]?.uid ?? "");
  await house.pass(1_000);
  const rounds = Array.from({ length: EACH }, (_, n) => `round ${n + 1}`);
  expect(timeline.get().items.map((m) => m.body)).toEqual(["hello from Writer 0", ...rounds]);

  // The address of the server, the profile, and the names and the newest page of what is open; nothing for each of the
  // conversations, also not later.
  await house.pass(20 * 60_000);
  expect(server.archive.requests).toBeLessThanOrEqual(6);
  expect(alice.platform.opened.length).toBe(1);
  const frames = alice.platform.opened[0]?.sent.map((text) => (JSON.parse(text) as { type: string }).type) ?? [];
  // The server waits for an ack of each half of its window.
  expect(frames.filter((type) => type === "ack").length).toBeLessThanOrEqual((2 * WRITERS * EACH) / 128);
  expect(server.faults).toEqual([]);
});
