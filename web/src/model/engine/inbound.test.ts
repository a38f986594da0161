import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type FakeSocket, settle } from "../../platform/testing/fake";
import { EVERYTHING } from "../store/change";
import type { MessageRow } from "../store/rows";
import { WriteTx } from "../store/tx";
import { Engine } from "./engine";
import {
  BOB,
  CAROL,
  CONVERSATION,
  event,
  id,
  key,
  LIMITS,
  ME,
  message,
  NOW,
  saved,
  sent,
  Stage,
} from "../testing/stage";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const UNKNOWN = { online: null, lastSeen: null };

let stage: Stage;

beforeEach(async () => {
  stage = await Stage.start();
});
afterEach(() => vi.restoreAllMocks());

const acks = (s: FakeSocket): unknown[] => sent(s, "ack").map((f) => f["cursor"]);
const cursor = async (): Promise<string> => (await stage.device.see()).cursor;
const ids = async (): Promise<string[]> => (await stage.device.messages(BOB)).map((r) => r.id);
const gap = (): ReturnType<typeof read> => read();
const read = async (): Promise<{ n: number; at: number; foundAt: number; since: number; due: number | null }> =>
  await stage.device.store.read((tx) => tx.gap());
const refused = (n: number, of: number, code: string): object =>
  event(n, {
    type: "refused",
    conversation: CONVERSATION,
    messages: [{ id: id(of), at: NOW * 1000 }],
    code,
    message: "x",
  });

describe("a link", () => {
  test("gets acks for messages, and none for receipts", async () => {
    const s = await stage.greeted();
    s.deliver(event(1, message(1)));
    s.deliver(event(2, message(2)));
    s.deliver(event(3, { type: "read", conversation: CONVERSATION, by: BOB, at: NOW * 1000 + 1 }));
    await stage.clock.advance(1_000);
    expect(acks(s)).toEqual(["e:1-0", "e:2-0"]);
    expect(await cursor()).toBe("e:3-0");
    s.deliver(event(4, { type: "read", conversation: CONVERSATION, by: BOB, at: NOW * 1000 + 2 }));
    s.deliver(refused(5, 77, "recipient_unavailable"));
    await stage.clock.advance(1_000);
    expect(acks(s)).toEqual(["e:1-0", "e:2-0"]);
    // An event of a later version may be a message.
    s.deliver(event(6, { type: "a_type_of_a_later_version" }));
    await stage.clock.advance(1_000);
    expect(acks(s)).toEqual(["e:1-0", "e:2-0", "e:6-0"]);
  });

  test("brings own messages of other devices, which are not reported as new", async () => {
    const s = await stage.greeted();
    s.deliver(event(1, { ...message(1), type: "sent", from: ME, to: BOB }));
    s.deliver(event(2, message(2)));
    await settle();
    expect(await ids()).toEqual([id(1), id(2)]);
    expect(stage.device.received).toEqual([key(2)]);
  });

  test("goes on after an event that is for somebody else, and that event is reported", async () => {
    const s = await stage.greeted();
    s.deliver(event(1, { ...message(1), to: CAROL, from: BOB, conversation: `${BOB}~${CAROL}` }));
    await stage.clock.advance(1_000);
    expect(stage.platform.reports).toContain("an event that is not for this user was skipped");
    expect(await cursor()).toBe("e:1-0");
    expect(acks(s)).toEqual(["e:1-0"]);
    expect(stage.device.received).toEqual([]);
    expect((await gap()).n).toBe(0);
  });

  test("that welcomes another user is reported and closed", async () => {
    const s = stage.socket;
    s.accept();
    s.deliver(stage.welcome(false, BOB));
    await settle();
    expect(stage.platform.reports).toContain("the server welcomed another user");
    expect(s.closedByClient).not.toBeNull();
    expect((await gap()).n).toBe(0);
  });

  test("leaves the limits and the time of its server on the device", async () => {
    stage.platform.skew = 5_000;
    await stage.greeted();
    const { clock, limits } = await stage.device.store.read(async (tx) => ({
      clock: await tx.meta("clock"),
      limits: await tx.meta("limits"),
    }));
    expect(clock).toMatchObject({ offset: -5_000 });
    expect(limits).toMatchObject({ limits: { body: LIMITS.body, watch: LIMITS.watch } });
  });

  test("with a frame that cannot be read makes the device load history", async () => {
    const s = await stage.greeted();
    stage.archive.save([saved(1, NOW * 1000)]);
    s.deliver("not a frame");
    s.deliver(event(2, message(2)));
    await stage.clock.advance(100);
    expect(await ids()).toEqual([id(1), id(2)]);
    expect(await cursor()).toBe("e:2-0");
    expect((await gap()).n).toBe(1);
  });

  test("that ended is not followed, but what it brought is stored", async () => {
    const s = await stage.greeted();
    s.deliver(event(1, message(1)));
    s.drop(1006);
    await settle();
    expect(await ids()).toEqual([id(1)]);
    await stage.clock.advance(600);
    const next = stage.socket;
    next.accept();
    next.deliver(stage.welcome(true));
    next.deliver(event(2, message(2)));
    await settle();
    // The next link leads before it has caught up, since there is no other one.
    expect(await cursor()).toBe("e:2-0");
    next.drop(1006);
    await stage.clock.advance(2_000);
    const third = stage.socket;
    third.accept();
    third.deliver(stage.welcome(true));
    third.deliver(event(3, message(3)));
    await settle();
    expect(await cursor()).toBe("e:3-0");
  });
});

describe("messages that arrive while a link catches up", () => {
  test("are reported once it has, and only if they are still unread", async () => {
    await stage.greeted();
    const { device } = stage;
    stage.socket.drop(1006);
    await stage.clock.advance(600);
    const s = stage.socket;
    s.accept();
    s.deliver(stage.welcome(true));
    s.deliver(event(1, message(1)));
    await settle();
    expect(device.received).toEqual([]);
    s.deliver(event(2, message(2)));
    s.deliver(event(3, { type: "read", conversation: CONVERSATION, by: ME, at: NOW * 1000 + 1 }));
    s.deliver({ type: "caught_up", cursor: "e:3-0" });
    s.deliver(event(4, message(4)));
    await settle();
    expect(device.received).toEqual([key(2), key(4)]);
  });

  test("are reported by the next link if theirs ends before that", async () => {
    await stage.greeted();
    stage.socket.drop(1006);
    await stage.clock.advance(600);
    stage.socket.accept();
    stage.socket.deliver(stage.welcome(true));
    stage.socket.deliver(event(1, message(1)));
    await settle();
    await stage.reconnected(true);
    expect(stage.device.received).toEqual([key(1)]);
  });
});

describe("while the device cannot store what it receives", () => {
  test("it tries again within a second, then ever more slowly, up to 30 s, and acknowledges afterwards", async () => {
    const s = await stage.greeted();
    stage.answerPings(s);
    const tries: number[] = [];
    Object.defineProperty(stage.platform, "full", {
      get: () => tries.push(stage.clock.now() - NOW) > 0 && stage.clock.now() - NOW < 5 * MINUTE_MS,
      configurable: true,
    });
    s.deliver(event(1, message(1)));
    await stage.clock.advance(4 * MINUTE_MS);
    const last = s.sent.length;
    const waits = tries
      .slice(1)
      .map((at, i) => at - (tries[i] ?? 0))
      .filter((ms) => ms > 0);
    expect(waits[0]).toBeLessThanOrEqual(1_000);
    expect(waits.length).toBeGreaterThan(8);
    expect(Math.max(...waits)).toBeGreaterThan(8_000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(30_000);
    expect(acks(s)).toEqual([]);
    expect(await ids()).toEqual([]);
    expect(stage.platform.reports).toContain("events could not be stored; trying again");
    await stage.clock.advance(2 * MINUTE_MS);
    expect(acks(s)).toEqual(["e:1-0"]);
    expect(await ids()).toEqual([id(1)]);
    expect(s.sent.length).toBeGreaterThanOrEqual(last);
    // The pauses start over.
    let failures = 1;
    Object.defineProperty(stage.platform, "full", { get: () => failures-- > 0, configurable: true });
    s.deliver(event(2, message(2)));
    await stage.clock.advance(1_000);
    expect(await ids()).toEqual([id(1), id(2)]);
  });

  test("it keeps the order, and adds what arrives meanwhile", async () => {
    const s = await stage.greeted();
    stage.platform.full = true;
    s.deliver(event(1, message(1)));
    await stage.clock.advance(10);
    s.deliver(event(2, message(2)));
    await stage.clock.advance(10);
    stage.platform.full = false;
    await stage.clock.advance(2_000);
    expect(stage.device.received).toEqual([key(1), key(2)]);
    expect(acks(s)).toEqual(["e:2-0"]);
  });

  test("it drops a link that brings more than 2,000 frames, but not the other one", async () => {
    const old = await stage.greeted();
    old.deliver({ type: "goaway", reason: "rotate", within_ms: 1000 });
    await stage.clock.advance(1_000);
    const next = stage.socket;
    next.accept();
    next.deliver(stage.welcome(true));
    await settle();
    stage.platform.full = true;
    next.deliver(event(1, message(1)));
    await settle();
    for (let n = 2; n <= 2_000; n++) old.deliver(event(n, message(n)));
    expect(old.closedByClient).toBeNull();
    old.deliver(event(2_001, message(2_001)));
    expect(old.closedByClient).not.toBeNull();
    expect(next.closedByClient).toBeNull();
    next.deliver({ type: "caught_up", cursor: "e:1-0" });
    stage.platform.full = false;
    await stage.clock.advance(2_000);
    expect(await ids()).toEqual([id(1)]);
    expect(await cursor()).toBe("e:1-0");
  });
});

describe("an event that this program cannot process", () => {
  const BROKEN = "an event was skipped";

  /** Makes the rules fail at the message number `n`. */
  function failAt(n: number): void {
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object
    const put = WriteTx.prototype.putMessage;
    vi.spyOn(WriteTx.prototype, "putMessage").mockImplementation(async function (this: WriteTx, row: MessageRow) {
      if (row.id === id(n)) throw new TypeError("a fault of the rules");
      await put.call(this, row);
    });
  }

  test("does not hold up the others of its batch, and history is loaded for it", async () => {
    const s = await stage.greeted();
    failAt(2);
    for (const n of [1, 2, 3, 4]) s.deliver(event(n, message(n)));
    await settle();
    expect(await ids()).toEqual([id(1), id(3), id(4)]);
    expect(await cursor()).toBe("e:4-0");
    expect((await gap()).n).toBe(1);
    await stage.clock.advance(1_000);
    expect(acks(s).at(-1)).toBe("e:4-0");
    expect(stage.platform.reports.filter((r) => r === BROKEN).length).toBe(1);
    expect(stage.device.received).toEqual([key(1), key(3), key(4)]);
    // It is not tried again.
    s.deliver(event(5, message(5)));
    await settle();
    expect(stage.device.received.at(-1)).toBe(key(5));
    expect(stage.platform.reports.filter((r) => r === BROKEN).length).toBe(1);
  });

  test("does not stop the device, even if the gap cannot be recorded either", async () => {
    const s = await stage.greeted();
    failAt(1);
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object
    const put = WriteTx.prototype.putMeta;
    vi.spyOn(WriteTx.prototype, "putMeta").mockImplementation(async function (this: WriteTx, row) {
      if (row.name === "gap") throw new TypeError("another one");
      await put.call(this, row);
    });
    s.deliver(event(1, message(1)));
    await settle();
    s.deliver(event(2, message(2)));
    await settle();
    expect(await ids()).toEqual([id(2)]);
    expect((await gap()).n).toBe(0);
    expect(stage.platform.reports.filter((r) => r === BROKEN).length).toBe(2);
  });

  test("waits, with those behind it, while the device is full", async () => {
    const s = await stage.greeted();
    failAt(2);
    let writes = 0;
    // The batch fails because of the second message, and then the first one does not fit.
    Object.defineProperty(stage.platform, "full", { get: () => ++writes === 1, configurable: true });
    for (const n of [1, 2, 3]) s.deliver(event(n, message(n)));
    await settle();
    await stage.clock.advance(2_000);
    expect(await ids()).toEqual([id(1), id(3)]);
    expect(stage.device.received).toEqual([key(1), key(3)]);
    expect(await cursor()).toBe("e:3-0");
  });
});

describe("after a final refusal", () => {
  test("of a message to somebody who cannot be written to, nothing is known of them any more", async () => {
    const s = await stage.greeted();
    await stage.device.send(BOB, "one");
    await settle();
    await stage.refuse(s, "recipient_unavailable");
    expect(stage.device.presences).toEqual([{ uid: BOB, presence: UNKNOWN }]);
    s.deliver(refused(1, 77, "recipient_unavailable"));
    await settle();
    expect(stage.device.presences.slice(1)).toEqual([{ uid: BOB, presence: UNKNOWN }]);
    s.deliver(refused(2, 78, "account_deleted"));
    await stage.device.send(CAROL, "two");
    await settle();
    await stage.refuse(s, "recipient_unknown");
    expect(stage.device.presences.length).toBe(2);
  });

  test("the message is shown as refused, with the reason", async () => {
    const s = await stage.greeted();
    await stage.device.send(BOB, "one");
    await settle();
    await stage.refuse(s, "body_too_long");
    const [row] = await stage.device.messages(BOB);
    expect(row).toMatchObject({ status: "refused", refusal: { code: "body_too_long", message: "x" } });
    expect((await stage.device.see()).outbox).toEqual([]);
  });

  test("a message that was delivered meanwhile stays delivered", async () => {
    const s = await stage.greeted();
    await stage.device.send(BOB, "one");
    await settle();
    const [frame] = sent(s, "send");
    s.deliver(
      event(1, {
        type: "delivered",
        conversation: CONVERSATION,
        messages: [{ id: frame?.["id"], at: frame?.["at"] }],
        delivered_at: NOW * 1000 + 9,
      }),
    );
    await stage.refuse(s, "id_reused");
    expect((await stage.device.messages(BOB))[0]).toMatchObject({ status: "delivered", refusal: null });
  });

  test("of a message that is not on this device, nothing happens", async () => {
    const s = await stage.greeted();
    s.deliver({ type: "error", code: "recipient_unavailable", message: "x", id: id(77) });
    await settle();
    expect((await gap()).n).toBe(0);
    expect(stage.platform.reports).toEqual([]);
    expect(stage.device.presences).toEqual([]);
  });

  test("of something that is no message, nothing happens", async () => {
    const s = await stage.greeted();
    await stage.device.send(BOB, "one");
    await settle();
    s.deliver({ type: "error", code: "invalid_frame", message: "x" });
    await settle();
    expect((await stage.device.see()).outbox.length).toBe(1);
  });
});

describe("events may be missing", () => {
  test("since the last one that was stored, and the gap is of this device's time and the server's", async () => {
    stage.platform.skew = 7_000;
    const s = await stage.greeted();
    s.deliver(event(1, message(1)));
    await settle();
    s.drop(1006);
    await stage.clock.advance(HOUR_MS);
    await stage.greeted(false);
    expect(await gap()).toMatchObject({ n: 1, since: NOW * 1000, foundAt: stage.clock.now() * 1000 });
    expect((await gap()).at).toBe(stage.clock.now() + 7_000);
  });

  test("since the older of two gaps, while the first one is not loaded", async () => {
    const s = await stage.greeted();
    s.deliver(event(1, message(1)));
    await settle();
    stage.archive.down = true;
    s.drop(1006);
    await stage.clock.advance(30 * MINUTE_MS);
    const second = await stage.greeted(false);
    second.deliver(event(2, message(2)));
    await settle();
    second.drop(1006);
    await stage.clock.advance(30 * MINUTE_MS);
    await stage.greeted(false);
    expect(await gap()).toMatchObject({ n: 2, since: NOW * 1000 });
  });

  test("since the last one that was stored, if the gap before is done", async () => {
    const s = await stage.greeted(false);
    stage.answerPings(s);
    await stage.clock.advance(20 * MINUTE_MS);
    expect((await gap()).due).toBeNull();
    s.deliver(event(2, message(2)));
    await settle();
    const stored = stage.clock.now();
    await stage.reconnected(false);
    expect(await gap()).toMatchObject({ n: 2, since: stored * 1000 });
  });
});

describe("a stopped engine", () => {
  test("stores nothing more and has nothing left to do", async () => {
    const s = await stage.greeted(false);
    stage.archive.down = true;
    await stage.device.send(BOB, "one");
    await stage.device.read(CONVERSATION, NOW * 1000);
    stage.device.engine.watch([BOB]);
    await stage.clock.advance(1_000);
    stage.device.engine.stop();
    await stage.device.send(CAROL, "two");
    stage.device.engine.watch([CAROL]);
    s.deliver(event(1, message(1)));
    await settle();
    expect(await ids()).not.toContain(id(1));
    expect(s.closedByClient).not.toBeNull();
    await stage.clock.advance(200);
    expect(stage.clock.next()).toBeNull();
    stage.device.engine.stop();
  });

  test("does not try again to store what did not fit", async () => {
    const s = await stage.greeted();
    stage.platform.full = true;
    s.deliver(event(1, message(1)));
    await settle();
    stage.device.engine.stop();
    stage.platform.full = false;
    await stage.clock.advance(MINUTE_MS);
    expect(await ids()).toEqual([]);
    expect(acks(s)).toEqual([]);
  });

  test("acknowledges and reports nothing that a transaction was storing", async () => {
    const s = await stage.greeted();
    s.deliver(event(1, message(1)));
    stage.device.engine.stop();
    await settle();
    expect(stage.device.received).toEqual([]);
    expect(acks(s)).toEqual([]);
  });
});

describe("a device that starts again", () => {
  test("has its name, its place and the server's time", async () => {
    stage.platform.skew = 3_600_000;
    const s = await stage.greeted();
    expect(s.url).toBe("wss://chat.test/ws");
    s.deliver(event(1, message(1)));
    await settle();
    const [first] = sent(s, "hello");
    expect(first?.["device"]).toMatch(/^[0-9a-f]{24}$/u);
    expect(first).toMatchObject({ cursor: "" });
    await stage.restart();
    expect(stage.device.parts.time.nowMs()).toBe(stage.clock.now());
    const again = await stage.greeted();
    expect(sent(again, "hello")[0]).toMatchObject({ device: first?.["device"], cursor: "e:1-0" });
    await stage.reconnected(true);
    expect(sent(stage.socket, "hello")[0]).toMatchObject({ device: first?.["device"] });
  });

  test("loads nothing again when its database was closed and is still there", async () => {
    await stage.greeted();
    stage.device.store.notify(EVERYTHING);
    await settle();
    expect((await gap()).n).toBe(0);
    stage.platform.full = true;
    stage.device.store.notify(EVERYTHING);
    await settle();
    expect(stage.platform.reports).toContain("the database could not be checked");
  });

  test("connects to nothing if it is stopped before its store was read", async () => {
    const opened = stage.platform.opened.length;
    const engine = new Engine(stage.device.parts, {
      onState: () => undefined,
      onPresence: () => undefined,
      onProfile: () => undefined,
      onTyping: () => undefined,
      onReceived: () => undefined,
      onSignInEnded: () => undefined,
    });
    const started = engine.start();
    engine.stop();
    await started;
    await settle();
    expect(stage.platform.opened.length).toBe(opened);
  });
});
