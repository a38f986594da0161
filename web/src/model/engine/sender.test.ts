import { beforeEach, describe, expect, test } from "vitest";
import { type FakeSocket, settle } from "../../platform/testing/fake";
import { bodies, BOB, CAROL, CONVERSATION, event, key, ME, message, NOW, saved, sent, Stage } from "../testing/stage";

const MINUTE_MS = 60_000;

let stage: Stage;

beforeEach(async () => {
  stage = await Stage.start();
});

/** Greets the device on a link that answers pings. */
async function greeted(): Promise<FakeSocket> {
  stage.answerPings(stage.socket);
  return await stage.greeted();
}

async function type(other: string, ...texts: string[]): Promise<void> {
  for (const text of texts) await stage.device.send(other, text);
  await settle();
}

/** The server's answer to a send. Null: none. */
type Answer = object | null;

/** Answers each send on a link. Returns the times of the sends, in ms since the beginning. */
function answered(s: FakeSocket, answer: (frame: { id: string; to: string }, n: number) => Answer): number[] {
  const times: number[] = [];
  s.onSent = (text) => {
    const frame = JSON.parse(text) as { type: string; id: string; to: string };
    if (frame.type === "ping") stage.clock.after(1, () => s.deliver({ type: "pong" }));
    if (frame.type !== "send") return;
    times.push(stage.clock.now() - NOW);
    const reply = answer(frame, times.length);
    if (reply) stage.clock.after(1, () => s.deliver(reply));
  };
  return times;
}

const accepted = ({ id }: { id: string }): object => ({ type: "sent", id, accepted_at: stage.clock.now() * 1000 });
const later = (code: string, retryAfterMs: number) => (frame: { id: string }) => ({
  type: "error",
  code,
  message: "x",
  id: frame.id,
  retry_after_ms: retryAfterMs,
});
const waits = (times: readonly number[]): number[] => times.slice(1).map((at, i) => at - (times[i] ?? 0));

/** Holds back the results of one method of the store until the returned function is called. */
function gate(method: "read" | "write"): () => void {
  const { store } = stage.device;
  const call = store[method].bind(store) as (body: never) => Promise<unknown>;
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  Object.defineProperty(store, method, {
    value: async (body: never) => {
      const value = await call(body);
      await opened;
      return value;
    },
    configurable: true,
  });
  return () => {
    Object.defineProperty(store, method, { value: call, configurable: true });
    open();
  };
}

describe("a message", () => {
  test("that was answered is not asked about, and not sent again on this link", async () => {
    const s = await greeted();
    await type(BOB, "one");
    await stage.clock.advance(5_000);
    await stage.accept(s);
    await stage.clock.advance(55_000);
    expect(bodies(s)).toEqual(["one"]);
    expect(sent(s, "ping")).toEqual([]);
  });

  test("that was refused for good lets the next one go, and is not sent again", async () => {
    const s = await greeted();
    await type(BOB, "one", "two");
    expect(bodies(s)).toEqual(["one"]);
    await stage.refuse(s, "recipient_unavailable");
    expect(bodies(s)).toEqual(["one", "two"]);
    await stage.accept(s);
    await stage.clock.advance(MINUTE_MS);
    expect(bodies(await stage.reconnected(true))).toEqual(["two"]);
  });

  test("names the message that it answers, if any", async () => {
    const s = await greeted();
    s.deliver(event(1, message(1)));
    await stage.device.send(BOB, "an answer", key(1));
    await settle();
    await stage.accept(s);
    await type(BOB, "no answer");
    expect(sent(s, "send").map((f) => f["reply_to"])).toEqual([key(1), undefined]);
    expect(sent(s, "send")[0]).toMatchObject({ to: BOB, body: "an answer" });
  });

  test("typed before there is a link waits for it", async () => {
    await type(BOB, "one");
    const s = stage.socket;
    s.accept();
    s.deliver(stage.welcome(true));
    await settle();
    expect(bodies(s)).toEqual([]);
    s.deliver({ type: "caught_up", cursor: "e:0-0" });
    await settle();
    expect(bodies(s)).toEqual(["one"]);
  });

  test("that is delivered while it waits for its turn is not sent", async () => {
    const s = await greeted();
    await type(BOB, "one", "two");
    const rows = await stage.device.messages(BOB);
    s.deliver(
      event(1, {
        type: "delivered",
        conversation: CONVERSATION,
        messages: [{ id: rows[1]?.id, at: NOW * 1000 + 5 }],
        delivered_at: NOW * 1000 + 6,
      }),
    );
    await stage.accept(s);
    await stage.clock.advance(MINUTE_MS);
    expect(bodies(s)).toEqual(["one"]);
  });

  test("is not sent after the engine has stopped", async () => {
    const s = await greeted();
    await type(BOB, "one");
    answered(s, () => null);
    stage.device.engine.stop();
    await type(BOB, "two");
    await stage.clock.advance(5 * MINUTE_MS);
    expect(bodies(s)).toEqual(["one"]);
    expect(sent(s, "ping")).toEqual([]);
  });

  test("is sent after the store could not be written for a while", async () => {
    const s = await greeted();
    await type(BOB, "one");
    await type(CAROL, "hello");
    stage.socket.drop(1006);
    await type(BOB, "two");
    stage.platform.full = true;
    await stage.clock.advance(600);
    const again = stage.socket;
    stage.answerPings(again);
    again.accept();
    again.deliver(stage.welcome(true));
    again.deliver({ type: "caught_up", cursor: "e:0-0" });
    await stage.clock.advance(20_000);
    expect(bodies(again)).toEqual([]);
    stage.platform.full = false;
    await stage.clock.advance(35_000, () => bodies(again).length > 0);
    expect(bodies(again)).toEqual(["one", "hello"]);
    await stage.accept(again, 0);
    expect(bodies(again)).toEqual(["one", "hello", "two"]);
    expect(bodies(s)).toEqual(["one", "hello"]);
  });

  test("typed while the outbox is read for another one is sent at once, too", async () => {
    const s = await greeted();
    const open = gate("read");
    await type(BOB, "one");
    await type(CAROL, "hello");
    expect(bodies(s)).toEqual([]);
    open();
    await stage.clock.advance(0);
    expect(bodies(s)).toEqual(["one", "hello"]);
  });

  test("is sent 5 s after the outbox could not be read", async () => {
    const s = await greeted();
    const { store } = stage.device;
    const read = store.read.bind(store);
    store.read = () => Promise.reject(new Error("no answer"));
    await type(BOB, "one");
    store.read = read;
    expect(stage.platform.reports).toContain("the outbox could not be read");
    await stage.clock.advance(4_999);
    expect(bodies(s)).toEqual([]);
    await stage.clock.advance(1);
    expect(bodies(s)).toEqual(["one"]);
  });
});

describe("a message that is about to be sent", () => {
  const delivered = (n: number, messageId: unknown): object =>
    event(n, {
      type: "delivered",
      conversation: CONVERSATION,
      messages: [{ id: messageId, at: NOW * 1000 + 5 }],
      delivered_at: NOW * 1000 + 6,
    });

  test("is not sent if it turns out to be delivered, and the one behind it goes", async () => {
    const one = await stage.device.send(BOB, "one");
    await type(BOB, "two");
    const s = stage.socket;
    s.accept();
    s.deliver(stage.welcome(true));
    await settle();
    const open = gate("read");
    s.deliver({ type: "caught_up", cursor: "e:0-0" });
    await settle();
    s.deliver(delivered(1, one));
    await settle();
    open();
    await settle();
    expect(bodies(s)).toEqual(["two"]);
  });

  test("is sent after 5 s if its time could not be stored", async () => {
    const s = await greeted();
    const open = gate("read");
    await type(BOB, "one");
    await type(CAROL, "hello");
    stage.platform.full = true;
    open();
    await settle();
    stage.platform.full = false;
    await stage.clock.advance(4_999);
    expect(bodies(s)).toEqual([]);
    await stage.clock.advance(1);
    expect(bodies(s)).toEqual(["one", "hello"]);
  });

  test("goes over the next link if the link ends meanwhile", async () => {
    const old = await greeted();
    await type(BOB, "one");
    await stage.accept(old);
    await type(CAROL, "hello");
    const open = gate("write");
    await stage.accept(old);
    const two = stage.device.send(BOB, "two");
    await settle();
    old.drop(1006);
    await stage.clock.advance(600);
    stage.answerPings(stage.socket);
    const next = await stage.greeted();
    open();
    await two;
    await settle();
    expect(bodies(next)).toEqual(["one", "two", "hello"]);
    expect(bodies(old)).toEqual(["one", "hello"]);
  });

  test("waits until history has shown that the one before it was delivered", async () => {
    const s = await greeted();
    await type(BOB, "one");
    await stage.accept(s);
    const [frame] = sent(s, "send");
    s.drop(1006);
    await type(BOB, "two");
    const at = Number(frame?.["at"]);
    stage.archive.save([{ ...saved(1, at, ME), id: String(frame?.["id"]), body: "one" }]);
    await stage.clock.advance(600);
    stage.answerPings(stage.socket);
    const next = await stage.greeted(false);
    await stage.clock.advance(1_000);
    expect(bodies(next)).toEqual(["two"]);
  });
});

describe("of two conversations that wait", () => {
  test.each([
    [10_000, MINUTE_MS],
    [MINUTE_MS, 10_000],
  ])("each goes on after its own pause: %i and %i ms", async (first, second) => {
    const s = await greeted();
    await type(BOB, "one");
    await type(CAROL, "hello");
    await stage.refuse(s, "inbox_full", first, 0);
    await stage.refuse(s, "inbox_full", second, 1);
    await stage.clock.advance(12_000);
    expect(bodies(s).slice(2)).toEqual([first < second ? "one" : "hello"]);
    await stage.accept(s, 2);
    await stage.clock.advance(50_000);
    expect(bodies(s).slice(3)).toEqual([first < second ? "hello" : "one"]);
  });
});

describe("a time that the server refuses as ahead", () => {
  const ats = (s: FakeSocket): unknown[] => sent(s, "send").map((f) => f["at"]);

  test("is kept up to 10 s, by which the clocks of instances may differ, and replaced beyond that", async () => {
    const s = await greeted();
    await type(BOB, "one");
    await stage.refuse(s, "at_ahead", 10_000);
    await stage.clock.advance(9_999);
    expect(ats(s).length).toBe(1);
    await stage.clock.advance(1_002);
    expect(ats(s)[1]).toBe(ats(s)[0]);
    await stage.refuse(s, "at_ahead", 10_001);
    await stage.clock.advance(5_000);
    expect(ats(s).length).toBe(3);
    expect(ats(s)[2]).not.toBe(ats(s)[1]);
  });

  test("holds back the messages behind it until it is replaced", async () => {
    const s = await greeted();
    await type(BOB, "one", "two");
    await stage.refuse(s, "at_ahead", MINUTE_MS);
    expect((await stage.device.store.read((tx) => tx.conversation(CONVERSATION)))?.held).toBe("at_ahead");
    await stage.clock.advance(2_000);
    expect(bodies(s)).toEqual(["one", "one"]);
    await stage.accept(s);
    expect(bodies(s)).toEqual(["one", "one", "two"]);
    expect(Number(ats(s)[2])).toBeGreaterThan(Number(ats(s)[1]));
  });

  test("is tried again after 10 s if it could not be replaced", async () => {
    const s = await greeted();
    await type(BOB, "one");
    stage.platform.full = true;
    await stage.refuse(s, "at_ahead", MINUTE_MS);
    expect(stage.platform.reports).toContain("a refused time could not be replaced");
    stage.platform.full = false;
    await stage.clock.advance(9_999);
    expect(ats(s).length).toBe(1);
    await stage.clock.advance(1_002);
    expect(ats(s)).toEqual([ats(s)[0], ats(s)[0]]);
  });

  test("does not disturb the next link, if it is replaced only then", async () => {
    const old = await greeted();
    await type(BOB, "one");
    const open = gate("write");
    await stage.refuse(old, "at_ahead", MINUTE_MS);
    old.drop(1006);
    await stage.clock.advance(600);
    stage.answerPings(stage.socket);
    const next = await stage.greeted();
    open();
    await settle();
    expect(bodies(next)).toEqual(["one"]);
    await stage.clock.advance(5_000);
    // The flight on the new link has not ended.
    await type(BOB, "two");
    expect(bodies(next)).toEqual(["one"]);
  });
});

describe("in flight", () => {
  const users = Array.from({ length: 40 }, (_, n) => `user${String(n).padStart(4, "0")}`);

  test("are at most 16 messages, and another one goes for each that is answered", async () => {
    const s = await greeted();
    for (const user of users) await stage.device.send(user, `to ${user}`);
    await settle();
    expect(sent(s, "send").length).toBe(16);
    await stage.accept(s, 3);
    expect(sent(s, "send").length).toBe(17);
    await stage.refuse(s, "recipient_unavailable", undefined, 0);
    expect(sent(s, "send").length).toBe(18);
    for (let n = 1; n < 40; n++) if (n !== 3) await stage.accept(s, n);
    expect(sent(s, "send").map((f) => f["to"])).toEqual(users);
  });

  test("are at most 8 messages of a conversation that are sent again", async () => {
    const s = await greeted();
    answered(s, accepted);
    for (let n = 1; n <= 20; n++) await stage.device.send(BOB, `m${n}`);
    await type(CAROL, "hello");
    await stage.clock.advance(1_000);
    const again = await stage.reconnected(true);
    expect(sent(again, "send").filter((f) => f["to"] === BOB).length).toBe(8);
    expect(sent(again, "send").filter((f) => f["to"] === CAROL).length).toBe(1);
    await stage.accept(again, 0);
    expect(bodies(again).at(-1)).toBe("m9");
  });

  test("are none of the old link on the new one", async () => {
    const s = await greeted();
    for (const user of users) await stage.device.send(user, `to ${user}`);
    await settle();
    const again = await stage.reconnected(true);
    expect(sent(again, "send").length).toBe(16);
    // Late answers of the old link change nothing.
    for (let n = 0; n < 16; n++) s.deliver({ type: "sent", id: sent(s, "send")[n]?.["id"], accepted_at: NOW * 1000 });
    await settle();
    expect(sent(again, "send").length).toBe(16);
  });
});

describe("a message that gets no answer", () => {
  test("makes the device test the link after 10 s, and is sent again after 20 s", async () => {
    const s = await greeted();
    const times = answered(s, () => null);
    await type(BOB, "one", "two");
    await stage.clock.advance(9_999);
    expect(sent(s, "ping")).toEqual([]);
    await stage.clock.advance(1);
    expect(sent(s, "ping").length).toBe(1);
    await stage.clock.advance(9_999);
    expect(times).toEqual([0]);
    await stage.clock.advance(21_000);
    expect(times).toEqual([0, 20_000, 40_000]);
    expect(bodies(s)).toEqual(["one", "one", "one"]);
  });
});

describe("while the server refuses messages for now", () => {
  test("a full inbox is tried ever more slowly: up to 30 s later than the server asks for", async () => {
    const s = await greeted();
    const times = answered(s, later("inbox_full", 1));
    await type(BOB, "one");
    await stage.clock.advance(30 * MINUTE_MS);
    const pauses = waits(times);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(100);
    expect(Math.max(...pauses.slice(0, 2))).toBeLessThan(3_000);
    expect(Math.max(...pauses)).toBeGreaterThan(15_000);
    expect(Math.max(...pauses)).toBeLessThan(30_200);
  });

  test("the pauses are short again after a message was accepted", async () => {
    const s = await greeted();
    const times = answered(s, (frame, n) => (n === 9 ? accepted(frame) : later("inbox_full", 1)(frame)));
    await type(BOB, "one", "two");
    await stage.clock.advance(30 * MINUTE_MS);
    expect(Math.max(...waits(times).slice(4, 8))).toBeGreaterThan(3_000);
    expect(Math.max(...waits(times).slice(8, 10))).toBeLessThan(3_000);
  });

  test("the pause is as long as the server asks for", async () => {
    const s = await greeted();
    const times = answered(s, later("outbox_full", MINUTE_MS));
    await type(BOB, "one");
    await stage.clock.advance(10 * MINUTE_MS);
    for (const wait of waits(times)) {
      expect(wait).toBeGreaterThanOrEqual(MINUTE_MS);
      expect(wait).toBeLessThan(MINUTE_MS + 30_010);
    }
    expect(times.length).toBeGreaterThan(5);
  });

  test("an overloaded server gets one message at a time, ever more slowly, and all when it accepts one", async () => {
    const s = await greeted();
    let up = false;
    const times = answered(s, (frame) => (up ? accepted(frame) : later("unavailable", 1_000)(frame)));
    for (let n = 0; n < 10; n++) await stage.device.send(`user${n}`, "hello");
    await stage.clock.advance(100);
    const first = times.length;
    await stage.clock.advance(10 * MINUTE_MS);
    const probes = times.slice(first);
    // Each probe waits for the answer to the one before.
    for (const wait of waits(probes)) expect(wait).toBeGreaterThanOrEqual(1_000);
    expect(Math.max(...waits(probes))).toBeGreaterThan(15_000);
    expect(Math.max(...waits(probes))).toBeLessThan(31_010);
    up = true;
    await stage.clock.advance(32_000);
    const after = times.length;
    expect(
      new Set(
        sent(s, "send")
          .slice(after - 10)
          .map((f) => f["to"]),
      ).size,
    ).toBe(10);
    // It starts over: the next pause is short.
    up = false;
    await type(BOB, "one");
    await stage.clock.advance(4_000);
    expect(times.length).toBeGreaterThanOrEqual(after + 2);
  });

  test("a refusal of a message that is not in flight changes nothing", async () => {
    const s = await greeted();
    await type(BOB, "one");
    await stage.accept(s);
    await stage.refuse(s, "unavailable", MINUTE_MS, 0);
    s.deliver({ type: "error", code: "rate_limited", message: "x", retry_after_ms: MINUTE_MS });
    await type(BOB, "two");
    expect(bodies(s)).toEqual(["one", "two"]);
  });

  test("a refusal on the old link does not hold up the new one", async () => {
    const old = await greeted();
    await type(BOB, "one");
    old.deliver({ type: "goaway", reason: "rotate", within_ms: 1000 });
    await stage.clock.advance(1_000);
    const next = await greeted();
    expect(bodies(next)).toEqual(["one"]);
    await stage.refuse(old, "unavailable", 10 * MINUTE_MS);
    await stage.refuse(old, "inbox_full", 10 * MINUTE_MS);
    await stage.accept(next);
    await type(BOB, "two");
    expect(bodies(next)).toEqual(["one", "two"]);
  });

  test("the reason is shown although it could not be stored at first, and the pause ends by itself", async () => {
    const s = await greeted();
    await type(BOB, "one");
    stage.platform.full = true;
    await stage.refuse(s, "answer_awaited", 10_000);
    expect(stage.platform.reports).toContain("the reason of a pause could not be stored");
    // A reason that was not stored cannot have been ended by an answer.
    await stage.clock.advance(5_000);
    stage.platform.full = false;
    await type(CAROL, "hello");
    expect(bodies(s)).toEqual(["one", "hello"]);
    await stage.clock.advance(7_000);
    expect(bodies(s)).toEqual(["one", "hello", "one"]);
  });
});
