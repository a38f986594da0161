import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { FakeClock } from "../../platform/testing/clock";
import { FakeBrowser, FakePlatform, type FakeSocket, settle } from "../../platform/testing/fake";
import { FakeArchive } from "../testing/archive";
import { Device } from "../testing/device";

const ME = "aliceUid0001";
const BOB = "bobUid000002";
const CONVERSATION = `${ME}~${BOB}`;
const NOW = 1_795_348_800_000;
const LIMITS = { body: 8000, frame: 65536, unacked: 256, ahead_ms: 5000, max_age_ms: 2592000000, watch: 100 };

let clock: FakeClock;
let platform: FakePlatform;
let archive: FakeArchive;
let device: Device;

beforeEach(async () => {
  clock = new FakeClock(NOW, settle);
  archive = new FakeArchive();
  platform = new FakePlatform({ clock, browser: new FakeBrowser() });
  platform.answer = (request) => archive.answer(ME, request);
  device = await Device.start(platform, ME);
  await clock.advance(0);
});

const id = (n: number): string =>
  `019abd70-${n.toString(16).padStart(4, "0")}-7000-8000-${n.toString(16).padStart(12, "0")}`;
const event = (n: number, event: object): object => ({ type: "event", cursor: `e:${n}-0`, event });
const message = (n: number, at = NOW * 1000 + n): object => ({
  type: "message",
  id: id(n),
  conversation: CONVERSATION,
  from: BOB,
  to: ME,
  body: `message ${n}`,
  at,
  accepted_at: at,
});
const saved = (n: number, at: number, from = BOB): Parameters<FakeArchive["save"]>[0][number] => ({
  id: id(n),
  conversation: CONVERSATION,
  from,
  to: from === BOB ? ME : BOB,
  body: `message ${n}`,
  at,
  accepted_at: at,
  delivered_at: at,
});

function socket(): FakeSocket {
  const last = platform.opened[platform.opened.length - 1];
  if (!last) throw new Error("no socket was opened");
  return last;
}
const sent = (s: FakeSocket, type: string): Record<string, unknown>[] =>
  s.sent.map((t) => JSON.parse(t) as Record<string, unknown>).filter((f) => f["type"] === type);
const welcome = (resumed: boolean, uid = ME): object => ({
  type: "welcome",
  uid,
  now: clock.now() * 1000,
  resumed,
  limits: LIMITS,
});

async function greeted(resumed = true): Promise<FakeSocket> {
  const s = socket();
  s.accept();
  s.deliver(welcome(resumed));
  s.deliver({ type: "caught_up", cursor: "e:0-0" });
  await settle();
  return s;
}

async function reconnected(resumed: boolean): Promise<FakeSocket> {
  socket().drop(1006);
  await clock.advance(600);
  return await greeted(resumed);
}

describe("the engine", () => {
  test("does not put the cursor back while a new link catches up beside the old one", async () => {
    const old = await greeted();
    for (const n of [1, 2, 3]) old.deliver(event(n, message(n)));
    await settle();
    old.deliver({ type: "goaway", reason: "rotate", within_ms: 1000 });
    await clock.advance(1000);
    const next = socket();
    next.accept();
    next.deliver(welcome(true));
    old.deliver(event(4, message(4)));
    await settle();
    next.deliver(event(2, message(2)));
    await settle();
    expect((await device.see()).cursor).toBe("e:4-0");
    next.deliver({ type: "caught_up", cursor: "e:4-0" });
    next.deliver(event(5, message(5)));
    await settle();
    expect((await device.see()).cursor).toBe("e:5-0");
    expect(device.received).toEqual([1, 2, 3, 4, 5].map(id));
  });

  test("leaves a server that takes it for somebody else, and stores nothing of it", async () => {
    const s = socket();
    s.accept();
    s.deliver(welcome(true, "malloryUid01"));
    s.deliver(event(1, message(1)));
    await settle();
    expect(s.closedByClient).not.toBeNull();
    expect(await device.messages(BOB)).toEqual([]);
  });

  test("tells a message as new once, however often it comes", async () => {
    const s = await greeted();
    s.deliver(event(1, message(1)));
    s.deliver(event(2, message(1)));
    await settle();
    const again = await reconnected(false);
    again.deliver(event(1, message(1)));
    await settle();
    expect(device.received).toEqual([id(1)]);
  });

  test("acknowledges nothing that is not stored, and gives up a link that brings more than can be kept", async () => {
    const s = await greeted();
    platform.full = true;
    for (let n = 1; n <= 100; n++) s.deliver(event(n, message(n)));
    await clock.advance(5_000);
    expect(sent(s, "ack")).toEqual([]);
    expect(device.store.storage.get()).toBe("full");
    for (let n = 101; n <= 2_200; n++) s.deliver(event(n, message(n)));
    expect(s.closedByClient).not.toBeNull();
    platform.full = false;
    await clock.advance(60_000);
    expect(device.store.storage.get()).toBe("durable");
  });

  test("makes room by dropping old history, and never what waits", async () => {
    const s = await greeted();
    for (let n = 1; n <= 150; n++) s.deliver(event(n, message(n)));
    await device.send(BOB, "waits");
    await clock.advance(1_000);
    expect((await device.messages(BOB)).length).toBe(151);
    let failures = 1;
    Object.defineProperty(platform, "full", { get: () => failures-- > 0, configurable: true });
    await device.send(BOB, "waits, too");
    const left = await device.messages(BOB);
    expect(left.length).toBe(101);
    expect(left.slice(-2).map((r) => r.body)).toEqual(["waits", "waits, too"]);
    expect(left[0]?.body).toBe("message 52");
    // What was dropped comes back when it is looked at.
    archive.save(Array.from({ length: 150 }, (_, i) => saved(i + 1, NOW * 1000 + i + 1)));
    const page = await device.history.older(CONVERSATION, left[0] ?? null);
    expect(page.rows.at(-1)?.body).toBe("message 51");
  });

  test("remembers refusals of messages that it does not have, not too many and not for ever", async () => {
    const s = await greeted();
    const refused = (n: number): object => ({
      type: "refused",
      conversation: CONVERSATION,
      messages: [{ id: id(n), at: NOW * 1000 + n }],
      code: "blocked",
      message: "No.",
    });
    for (let n = 1; n <= 700; n++) {
      s.deliver(event(n, refused(n)));
      if (n % 100 === 0) await clock.advance(1_000);
    }
    await settle();
    const kept = async (): Promise<string[]> =>
      (await device.store.read((tx) => tx.refusals())).map((d) => d.id).sort();
    const after = await kept();
    expect(after.length).toBeGreaterThanOrEqual(450);
    expect(after.length).toBeLessThanOrEqual(500);
    expect(after).toEqual(Array.from({ length: after.length }, (_, i) => id(701 - after.length + i)));

    // What is remembered still meets its message; what was forgotten shows as the server's `sent` says, and no debt is left.
    const own = (n: number): object => ({ ...message(n), type: "sent", from: ME, to: BOB });
    s.deliver(event(701, own(700)));
    s.deliver(event(702, own(1)));
    await settle();
    expect((await device.messages(BOB)).map((m) => [m.id, m.status, m.refusal?.code])).toEqual([
      [id(1), "sent", undefined],
      [id(700), "refused", "blocked"],
    ]);
    expect(await kept()).not.toContain(id(700));

    s.drop(1006);
    platform.skew = 32 * 24 * 3_600_000;
    await clock.advance(600);
    await greeted();
    expect(await kept()).toEqual([]);
  });

  test("passes over one poisonous event and stores the others", async () => {
    const s = await greeted();
    s.deliver(event(1, message(1)));
    // An index of the database takes no such number; the frame is well formed.
    s.deliver(event(2, { ...message(2), conversation: CONVERSATION, at: Number.MAX_SAFE_INTEGER }));
    s.deliver(event(3, message(3)));
    await settle();
    expect((await device.messages(BOB)).map((r) => r.id)).toEqual(expect.arrayContaining([id(1), id(3)]));
    // Its time must not push later ones ahead with it.
    await device.send(BOB, "mine");
    await settle();
    expect(sent(s, "send")[0]?.["at"]).toBeLessThan(NOW * 1000 + 1_000_000);
  });

  test("a server that sends nonsense breaks nothing: what makes sense afterwards is stored and shown", async () => {
    const word = fc.oneof(
      fc.constantFrom(
        "message",
        "sent",
        "delivered",
        "refused",
        "read",
        "event",
        "welcome",
        "sent",
        "error",
        "presence",
        "typing",
        "goaway",
        "caught_up",
        ME,
        BOB,
        CONVERSATION,
        id(1),
        id(2),
        "",
        "e:1-0",
      ),
      fc.string(),
    );
    const value = fc.oneof(
      word,
      fc.integer(),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
      fc.array(word, { maxLength: 3 }),
      fc.array(fc.record({ id: word, at: fc.integer() }), { maxLength: 3 }),
    );
    const names = [
      "type",
      "id",
      "conversation",
      "from",
      "to",
      "body",
      "at",
      "accepted_at",
      "reply_to",
      "messages",
      "delivered_at",
      "code",
      "message",
      "by",
      "uid",
      "now",
      "limits",
      "resumed",
      "cursor",
      "user",
      "online",
      "within_ms",
      "retry_after_ms",
    ];
    const inner = fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 10 });
    const frame = fc.oneof(
      fc.string(),
      fc.json(),
      inner.map((f) => JSON.stringify(f)),
      fc.tuple(word, inner).map(([cursor, e]) => JSON.stringify({ type: "event", cursor, event: e })),
      // Well formed, and not for this person or not possible.
      fc
        .tuple(
          fc.constantFrom("message", "sent"),
          fc.constantFrom(ME, BOB, "malloryUid01"),
          fc.constantFrom(ME, BOB),
          fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        )
        .map(([type, from, to, at]) => JSON.stringify(event(1, { ...message(1, at), type, from, to }))),
    );
    let n = 10;
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 12 }), async (frames) => {
        // A link that brought nonsense may be given up; the next one is as good as any.
        for (const s of platform.opened) if (s.state !== "closed") s.drop(1006);
        while (socket().state !== "opening") await clock.advance(1_000);
        const s = await greeted();
        for (const text of frames) s.deliver(text);
        await settle();
        for (const old of platform.opened) if (old.state !== "closed") old.drop(1006);
        while (socket().state !== "opening") await clock.advance(1_000);
        const next = await greeted();
        next.deliver(event(++n, message(n)));
        await clock.advance(100);
        expect(device.ended).toBeNull();
        const rows = await device.messages(BOB);
        expect(rows.map((r) => r.id)).toContain(id(n));
        for (const row of rows)
          expect([row.conversation, [row.from, row.to].sort()]).toEqual([CONVERSATION, [ME, BOB]]);
      }),
      { numRuns: 60 },
    );
  });

  test("loads again what lies below a hole, though it was here without one before", async () => {
    const s = await greeted(false);
    archive.save(Array.from({ length: 120 }, (_, i) => saved(i + 1, (NOW - 500_000 + i) * 1000)));
    await device.open(CONVERSATION);
    let top = null;
    for (let i = 0; i < 4; i++) top = (await device.history.older(CONVERSATION, top)).rows[0] ?? top;
    expect((await device.messages(BOB)).length).toBe(120);
    // A message of long ago, sent and saved while this device missed events.
    archive.save([saved(999, (NOW - 499_990) * 1000 + 1)]);
    s.drop(1006);
    await clock.advance(3_600_000);
    await greeted(false);
    await clock.advance(5_000);
    top = null;
    for (let i = 0; i < 4; i++) top = (await device.history.older(CONVERSATION, top)).rows[0] ?? top;
    expect((await device.messages(BOB)).some((r) => r.id === id(999))).toBe(true);
  });

  test("sends many waiting messages in order, few at a time, and again all that are not delivered", async () => {
    const s = await greeted();
    for (let n = 0; n < 40; n++) await device.send(BOB, `m${n}`);
    s.onSent = (text) => {
      const frame = JSON.parse(text) as { type: string; id: string };
      if (frame.type === "send")
        clock.after(5, () => s.deliver({ type: "sent", id: frame.id, accepted_at: clock.now() * 1000 }));
    };
    for (const frame of sent(s, "send")) s.deliver({ type: "sent", id: frame["id"], accepted_at: NOW * 1000 });
    await clock.advance(2_000);
    expect(sent(s, "send").map((f) => f["body"])).toEqual(Array.from({ length: 40 }, (_, n) => `m${n}`));
    const again = await reconnected(true);
    expect(sent(again, "send").length).toBe(8);
    expect(sent(again, "send").map((f) => f["at"])).toEqual(
      sent(s, "send")
        .slice(0, 8)
        .map((f) => f["at"]),
    );
    for (let i = 0; i < 40; i++) {
      const frame = sent(again, "send")[i];
      if (frame) again.deliver({ type: "sent", id: frame["id"], accepted_at: NOW * 1000 });
      await settle();
    }
    expect(sent(again, "send").map((f) => f["body"])).toEqual(Array.from({ length: 40 }, (_, n) => `m${n}`));
  });

  test("sends again what was not answered, after it has tested the link", async () => {
    const s = await greeted();
    await device.send(BOB, "hello?");
    await settle();
    expect(sent(s, "send").length).toBe(1);
    s.onSent = (text) => {
      if (text.includes('"ping"')) clock.after(1, () => s.deliver({ type: "pong" }));
    };
    await clock.advance(10_000);
    expect(sent(s, "ping").length).toBe(1);
    await clock.advance(10_000);
    expect(sent(s, "send").length).toBe(2);
    expect(sent(s, "send")[1]).toEqual(sent(s, "send")[0]);
  });

  test("while everything is refused, tries with one message and not with all", async () => {
    const s = await greeted();
    let taken = false;
    s.onSent = (text) => {
      const frame = JSON.parse(text) as { type: string; id: string };
      if (frame.type !== "send") return;
      clock.after(1, () =>
        s.deliver(
          taken
            ? { type: "sent", id: frame.id, accepted_at: clock.now() * 1000 }
            : { type: "error", code: "unavailable", message: "Later.", id: frame.id, retry_after_ms: 1000 },
        ),
      );
    };
    for (let n = 0; n < 10; n++) await device.send(`person${n}`, "hello");
    await clock.advance(100);
    const first = sent(s, "send").length;
    await clock.advance(60_000);
    const tries = sent(s, "send").length - first;
    expect(tries).toBeGreaterThan(2);
    expect(tries).toBeLessThan(20);
    taken = true;
    await clock.advance(40_000);
    expect(new Set(sent(s, "send").map((f) => f["id"])).size).toBe(10);
    expect((await device.see()).outbox.length).toBe(10);
  });
});
