import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import type { Database, Shape } from "../../platform/database";
import { openIndexed, removeIndexed } from "../../platform/indexed";
import type { FakeClock } from "../../platform/testing/clock";
import { type FakePlatform, type FakeSocket, settle } from "../../platform/testing/fake";
import { type FakeArchive, json } from "../testing/archive";
import type { Device } from "../testing/device";
import {
  bodies,
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
import { EVERYTHING } from "../store/change";
import { databaseName } from "../store/store";

let stage: Stage;
let clock: FakeClock;
let platform: FakePlatform;
let archive: FakeArchive;
let device: Device;

function play(on: Stage): void {
  stage = on;
  ({ clock, platform, archive, device } = on);
}

beforeEach(async () => play(await Stage.start()));

const socket = (): FakeSocket => stage.socket;
const welcome = (resumed: boolean, uid?: string): object => stage.welcome(resumed, uid);
const greeted = (resumed?: boolean): Promise<FakeSocket> => stage.greeted(resumed);
const reconnected = (resumed: boolean): Promise<FakeSocket> => stage.reconnected(resumed);
const answerPings = (s: FakeSocket): void => stage.answerPings(s);

describe("the engine", () => {
  test("does not move the cursor back while a new link catches up beside the old one", async () => {
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
    expect(device.received).toEqual([1, 2, 3, 4, 5].map((n) => key(n)));
  });

  test("leaves a server that welcomes another user, and stores nothing from it", async () => {
    const s = socket();
    s.accept();
    s.deliver(welcome(true, "malloryUid01"));
    s.deliver(event(1, message(1)));
    await settle();
    expect(s.closedByClient).not.toBeNull();
    expect(await device.messages(BOB)).toEqual([]);
  });

  test("reports a message as new once, however often it arrives", async () => {
    const s = await greeted();
    s.deliver(event(1, message(1)));
    s.deliver(event(2, message(1)));
    await settle();
    const again = await reconnected(false);
    again.deliver(event(1, message(1)));
    await settle();
    expect(device.received).toEqual([key(1)]);
  });

  test("acknowledges only what is stored, and drops a link that delivers more than fits", async () => {
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

  test("frees space by pruning old history, never waiting messages", async () => {
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
    // Pruned messages come back when they are looked at.
    archive.save(Array.from({ length: 150 }, (_, i) => saved(i + 1, NOW * 1000 + i + 1)));
    const page = await device.history.older(CONVERSATION, left[0] ?? null);
    expect(page.rows.at(-1)?.body).toBe("message 51");
  });

  test("pruning keeps own messages that are not delivered, and refused ones, however old they are", async () => {
    const s = await greeted();
    const ids: string[] = [];
    for (const body of ["delivered", "sent", "refused"]) {
      ids.push(await device.send(BOB, body));
      await settle();
      s.deliver({ type: "sent", id: ids.at(-1), accepted_at: clock.now() * 1000 });
      await settle();
    }
    const ref = (n: number): object => ({
      conversation: CONVERSATION,
      messages: [{ id: ids[n], at: sent(s, "send")[n]?.["at"] }],
    });
    s.deliver(event(1, { type: "delivered", ...ref(0), delivered_at: clock.now() * 1000 }));
    s.deliver(event(2, { type: "refused", ...ref(2), code: "account_deleted", message: "x" }));
    for (let n = 3; n <= 152; n++) s.deliver(event(n, message(n, (NOW + 60_000) * 1000 + n)));
    await clock.advance(1_000);
    expect((await device.messages(BOB)).length).toBe(153);
    let failures = 1;
    Object.defineProperty(platform, "full", { get: () => failures-- > 0, configurable: true });
    await device.send(BOB, "the last one");
    const left = await device.messages(BOB);
    expect(left.slice(0, 3).map((r) => [r.body, r.status])).toEqual([
      ["sent", "sent"],
      ["refused", "refused"],
      ["message 53", "received"],
    ]);
    expect((await device.see()).outbox).toEqual([ids[1], left.at(-1)?.id]);
  });

  test("loads history again after the browser has evicted the database under a link that goes on", async () => {
    device.kill();
    const factory = new IDBFactory();
    const open = (name: string, shape: Shape): Promise<Database> => openIndexed(factory, name, shape, 5000);
    play(await Stage.start(open));
    const s = await greeted();
    const [hello] = sent(s, "hello");
    s.deliver(event(1, message(1)));
    await settle();
    archive.save([saved(1, NOW * 1000 + 1)]);
    await removeIndexed(factory, databaseName(ME), 5000);
    await clock.advance(5_000);
    expect((await device.messages(BOB)).map((r) => r.id)).toEqual([id(1)]);
    s.deliver(event(2, message(2)));
    await settle();
    expect((await device.messages(BOB)).map((r) => r.id)).toEqual([id(1), id(2)]);
    // It is still the same device, and history is loaded again for what is saved late, but not for the eviction again.
    device.store.notify(EVERYTHING);
    await settle();
    expect((await device.store.read((tx) => tx.gap())).n).toBe(1);
    archive.save([saved(3, NOW * 1000 + 3)]);
    await clock.advance(60_000);
    expect((await device.messages(BOB)).map((r) => r.id)).toEqual([id(1), id(2), id(3)]);
    s.drop(1006);
    await clock.advance(600);
    expect(sent(await greeted(), "hello")[0]).toMatchObject({ device: hello?.["device"], cursor: "e:2-0" });
  });

  test("remembers refusals of unknown messages, within limits of number and time", async () => {
    const s = await greeted();
    const refused = (n: number): object => ({
      type: "refused",
      conversation: CONVERSATION,
      messages: [{ id: id(n), at: NOW * 1000 + n }],
      code: "recipient_unavailable",
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

    // A remembered refusal is applied to its message. A forgotten one leaves the message as `sent`. No backfill is
    // left.
    const own = (n: number): object => ({ ...message(n), type: "sent", from: ME, to: BOB });
    s.deliver(event(701, own(700)));
    s.deliver(event(702, own(1)));
    await settle();
    expect((await device.messages(BOB)).map((m) => [m.id, m.status, m.refusal?.code])).toEqual([
      [id(1), "sent", undefined],
      [id(700), "refused", "recipient_unavailable"],
    ]);
    expect(await kept()).not.toContain(id(700));

    s.drop(1006);
    platform.skew = 32 * 24 * 3_600_000;
    await clock.advance(600);
    await greeted();
    expect(await kept()).toEqual([]);
  });

  test("skips an event that cannot be stored, and stores the others", async () => {
    const s = await greeted();
    s.deliver(event(1, message(1)));
    // An index of the database does not accept this number, although the frame is well formed.
    s.deliver(event(2, { ...message(2), conversation: CONVERSATION, at: Number.MAX_SAFE_INTEGER }));
    s.deliver(event(3, message(3)));
    await settle();
    expect((await device.messages(BOB)).map((r) => r.id)).toEqual(expect.arrayContaining([id(1), id(3)]));
    // Its time must not push later messages ahead.
    await device.send(BOB, "mine");
    await settle();
    expect(sent(s, "send")[0]?.["at"]).toBeLessThan(NOW * 1000 + 1_000_000);
  });

  test("survives a server that sends nonsense: valid events after it are stored and shown", async () => {
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
      // Well-formed frames that are for another user or make no sense.
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
        // A link that sent nonsense may be dropped. The next one counts as new.
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
      {
        numRuns: Number(process.env["PHOENIX_RUNS"] ?? "60"),
        ...(process.env["PHOENIX_SEED"] ? { seed: Number(process.env["PHOENIX_SEED"]) } : {}),
      },
    );
  });

  test("loads history below a gap again, although it was complete before", async () => {
    const s = await greeted(false);
    archive.save(Array.from({ length: 120 }, (_, i) => saved(i + 1, (NOW - 500_000 + i) * 1000)));
    await device.open(CONVERSATION);
    let top = null;
    for (let i = 0; i < 4; i++) top = (await device.history.older(CONVERSATION, top)).rows[0] ?? top;
    expect((await device.messages(BOB)).length).toBe(120);
    // An old message that was sent and saved while this device missed events.
    archive.save([saved(999, (NOW - 499_990) * 1000 + 1)]);
    s.drop(1006);
    await clock.advance(3_600_000);
    await greeted(false);
    await clock.advance(5_000);
    top = null;
    for (let i = 0; i < 4; i++) top = (await device.history.older(CONVERSATION, top)).rows[0] ?? top;
    expect((await device.messages(BOB)).some((r) => r.id === id(999))).toBe(true);
  });

  test("shows what is saved after a gap in which a correction was missed", async () => {
    const asked: string[] = [];
    platform.answer = (request) => {
      const lists = new URL(request.url).searchParams.getAll("saved");
      asked.push(...lists.flatMap((list) => list.split(",").slice(1)));
      return archive.answer(ME, request);
    };
    const s = await greeted();
    s.deliver(event(1, message(1)));
    answerPings(s);
    // More than a correction can lag behind.
    await clock.advance(900_000);
    s.deliver(event(2, { ...message(2, clock.now() * 1000), body: "changed" }));
    s.deliver(event(3, message(3, clock.now() * 1000)));
    s.deliver(event(4, message(4, clock.now() * 1000)));
    await clock.advance(1_000);
    archive.save([
      ...Array.from({ length: 200 }, (_, i) => saved(100 + i, (NOW - 1_000 * i) * 1000)),
      saved(3, clock.now() * 1000),
    ]);
    const again = await reconnected(false);
    answerPings(again);
    await clock.advance(1_000);
    again.deliver(event(5, message(5, clock.now() * 1000)));
    await clock.advance(1_000);
    const shown = async (): Promise<string | undefined> =>
      (await device.messages(BOB)).find((r) => r.key === key(2))?.body;
    // History has not shown these two: one is not saved yet.
    expect(asked.sort()).toEqual([key(2), key(4)]);
    expect(await shown()).toBe("changed");
    // History has it far above the loaded pages.
    archive.save([saved(2, (NOW - 60 * 24 * 3_600_000) * 1000)]);
    await clock.advance(60_000);
    expect(await shown()).toBe("message 2");
    expect(asked.sort()).toEqual([key(2), key(2), key(4), key(4)]);
    await clock.advance(3_600_000);
    expect(asked.filter((k) => k === key(4)).length).toBe(4);
    expect(asked.length).toBe(6);
    expect((await device.messages(BOB)).map((r) => r.heard !== undefined && r.key).filter(Boolean)).toEqual(
      [1, 4, 5].map((n) => key(n)),
    );
  });

  test("loads history once if the later loads of a gap were due while the device was away", async () => {
    archive.save([saved(1, NOW * 1000)]);
    await greeted(false);
    await clock.advance(5_000);
    device.kill();
    await clock.advance(24 * 3_600_000);
    await stage.restart();
    play(stage);
    await clock.advance(0);
    archive.requests = 0;
    await greeted();
    await clock.advance(20 * 60_000);
    expect(archive.requests).toBe(3); // the changes, the list, and the conversation
  });

  test("sends many waiting messages in order, a few at a time, and re-sends those that are not delivered", async () => {
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

  test("tests the link and re-sends messages that were not answered", async () => {
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

  test("probes with one message while the server refuses everything", async () => {
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
    for (let n = 0; n < 10; n++) await device.send(`user${n}`, "hello");
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

  describe("that was refused for now", () => {
    const held = async (): Promise<string | undefined> =>
      (await device.store.read((tx) => tx.conversation(CONVERSATION)))?.held;

    /** Refuses the first message to Bob. */
    async function refused(code: string, retryAfterMs = 10_000): Promise<FakeSocket> {
      const s = await greeted();
      answerPings(s);
      await device.send(BOB, "one");
      await settle();
      s.deliver({
        type: "error",
        code,
        message: "x",
        id: sent(s, "send")[0]?.["id"],
        retry_after_ms: retryAfterMs,
      });
      await settle();
      return s;
    }

    test.each(["inbox_full", "at_ahead", "answer_awaited", "too_many_new_people", "outbox_full"])(
      "%s pauses only its conversation, and the reason is stored until a message is accepted",
      async (code) => {
        const s = await refused(code);
        expect(await held()).toBe(code);
        await device.send(BOB, "two");
        await device.send(CAROL, "hello");
        await settle();
        expect(bodies(s)).toEqual(["one", "hello"]);
        s.deliver({ type: "sent", id: sent(s, "send")[1]?.["id"], accepted_at: NOW * 1000 });
        await clock.advance(9_000);
        expect(bodies(s)).toEqual(["one", "hello"]);
        await clock.advance(3_000);
        expect(bodies(s)).toEqual(["one", "hello", "one"]);
        expect(sent(s, "send")[2]).toEqual(sent(s, "send")[0]);
        s.deliver({ type: "sent", id: sent(s, "send")[0]?.["id"], accepted_at: NOW * 1000 });
        await settle();
        expect(await held()).toBeUndefined();
        expect(bodies(s).at(-1)).toBe("two");
      },
    );

    test.each(["rate_limited", "unavailable", "a_code_of_a_later_version"])("%s pauses everything", async (code) => {
      const s = await refused(code);
      await device.send(CAROL, "hello");
      await clock.advance(9_000);
      expect(bodies(s)).toEqual(["one"]);
      expect(await held()).toBeUndefined();
    });

    test.each(["answer_awaited", "too_many_new_people"])("%s ends at once with an answer", async (code) => {
      const s = await refused(code, 3_600_000);
      // A message of somebody else is not the answer.
      s.deliver(event(1, { ...message(1), conversation: `${ME}~${CAROL}`, from: CAROL }));
      await clock.advance(10_000);
      expect(bodies(s)).toEqual(["one"]);
      s.deliver(event(2, message(2)));
      await settle();
      expect(bodies(s)).toEqual(["one", "one"]);
      expect(await held()).toBeUndefined();
    });

    test("answer_awaited ends at once with an answer that history brings", async () => {
      const s = await refused("answer_awaited", 3_600_000);
      archive.save([saved(5, NOW * 1000 + 5)]);
      s.deliver(event(1, { type: "read", conversation: CONVERSATION, by: BOB, at: NOW * 1000 + 5 }));
      await clock.advance(4_000);
      expect(bodies(s)).toEqual(["one", "one"]);
    });

    test.each(["inbox_full", "outbox_full", "at_ahead"])("%s does not end with an answer", async (code) => {
      const s = await refused(code);
      s.deliver(event(1, message(1)));
      await clock.advance(9_000);
      expect(bodies(s)).toEqual(["one"]);
    });

    test("is sent again on the next link, and waits again if it is refused again", async () => {
      await refused("answer_awaited", 3_600_000);
      const again = await reconnected(true);
      expect(bodies(again)).toEqual(["one"]);
      again.deliver({
        type: "error",
        code: "answer_awaited",
        message: "x",
        id: sent(again, "send")[0]?.["id"],
        retry_after_ms: 60_000,
      });
      await clock.advance(50_000);
      expect(bodies(again)).toEqual(["one"]);
      again.deliver(event(1, message(1)));
      await settle();
      expect(bodies(again)).toEqual(["one", "one"]);
    });
  });

  describe("whose device has a wrong clock", () => {
    const DAY_MS = 86_400_000;
    const ats = (s: FakeSocket): number[] => sent(s, "send").map((f) => Number(f["at"]));
    const refuse = (s: FakeSocket, n: number, retryAfterMs: number): void =>
      s.deliver({
        type: "error",
        code: "at_ahead",
        message: "x",
        id: sent(s, "send")[n]?.["id"],
        retry_after_ms: retryAfterMs,
      });
    const accept = (s: FakeSocket, n: number): void =>
      s.deliver({ type: "sent", id: sent(s, "send")[n]?.["id"], accepted_at: clock.now() * 1000 });

    test.each([-DAY_MS, DAY_MS, 365 * DAY_MS])(
      "sends the server's time when the clock is put right by %i ms while connected",
      async (jump) => {
        platform.skew = -jump;
        const s = await greeted();
        platform.skew = 0;
        await clock.advance(30_000);
        await device.send(BOB, "one");
        await settle();
        accept(s, 0);
        await settle();
        platform.skew = jump;
        await device.send(BOB, "two");
        await settle();
        expect(ats(s).map((at) => Math.round(at / 1000) - clock.now())).toEqual([0, 0]);
        // The new difference is stored for the other tabs and the next visit.
        s.deliver(event(1, message(1)));
        await settle();
        expect(await device.store.read((tx) => tx.meta("clock"))).toMatchObject({ offset: -jump });
      },
    );

    test("goes on after a pause, a read mark and a failed load, although the clock was put back meanwhile", async () => {
      archive.save([saved(1, NOW * 1000 + 1), saved(2, NOW * 1000 + 2)]);
      archive.down = true;
      const s = await greeted(false);
      await device.send(BOB, "one");
      await device.read(CONVERSATION, NOW * 1000 + 2);
      await settle();
      s.deliver({
        type: "error",
        code: "inbox_full",
        message: "x",
        id: sent(s, "send")[0]?.["id"],
        retry_after_ms: 1000,
      });
      s.deliver(event(1, { type: "read", conversation: `${ME}~${CAROL}`, by: CAROL, at: NOW * 1000 }));
      await clock.advance(0);
      platform.skew = -DAY_MS;
      archive.down = false;
      await clock.advance(10_000);
      expect(sent(s, "send").length).toBe(2);
      expect(sent(s, "read").length).toBe(2);
      expect((await device.messages(BOB)).filter((r) => r.status === "received").length).toBe(2);
      // Stored times, too: the next load of the gap comes after a minute.
      archive.save([saved(3, NOW * 1000 + 3)]);
      await clock.advance(60_000);
      expect((await device.messages(BOB)).filter((r) => r.status === "received").length).toBe(3);
    });

    test("sets new times, in order, where the server can never have accepted the old ones", async () => {
      const s = socket();
      answerPings(s);
      s.accept();
      // A server whose own clock is a day ahead, and then put right.
      s.deliver({ type: "welcome", uid: ME, now: (NOW + DAY_MS) * 1000, resumed: true, limits: LIMITS });
      s.deliver({ type: "caught_up", cursor: "e:0-0" });
      for (const body of ["one", "two", "three"]) await device.send(BOB, body);
      await settle();
      expect(ats(s)[0]).toBeGreaterThan((NOW + DAY_MS - 1_000) * 1000);
      for (let n = 0, waits = DAY_MS; waits > 0 && n < 40; n++) {
        refuse(s, sent(s, "send").length - 1, Math.min(waits, 3_600_000) + 1);
        await clock.advance(35_000);
        waits = (ats(s).at(-1) ?? 0) / 1000 - clock.now() - LIMITS.ahead_ms;
      }
      const tries = sent(s, "send").length;
      accept(s, tries - 1);
      await settle();
      accept(s, tries);
      await settle();
      expect(
        sent(s, "send")
          .slice(tries - 1)
          .map((f) => f["body"]),
      ).toEqual(["one", "two", "three"]);
      const times = ats(s).slice(tries - 1);
      expect([...times].sort((a, b) => a - b)).toEqual(times);
      expect(times[2]).toBeLessThan((clock.now() + LIMITS.ahead_ms) * 1000);
      const list = await device.store.read((tx) => tx.conversation(CONVERSATION));
      expect(list?.recent).toBeLessThan((clock.now() + 60_000) * 1000);
    });

    test("keeps the time of a message that was accepted before, and does not wait longer than instances differ", async () => {
      const s = await greeted();
      await device.send(BOB, "one");
      await settle();
      accept(s, 0);
      const again = await reconnected(true);
      answerPings(again);
      refuse(again, 0, 3_600_000);
      await clock.advance(12_000);
      expect(ats(again).length).toBe(2);
      expect(new Set([...ats(s), ...ats(again)]).size).toBe(1);
    });
  });

  test("pages of history go on between two messages of one time and one id", async () => {
    await greeted();
    const pair = (n: number): Parameters<FakeArchive["save"]>[0] => [
      saved(n, NOW * 1000 + n, BOB),
      saved(n, NOW * 1000 + n, ME),
    ];
    archive.save([saved(0, NOW * 1000), ...Array.from({ length: 60 }, (_, n) => pair(n + 1)).flat()]);
    await device.open(CONVERSATION);
    let top = null;
    for (let i = 0; i < 4; i++) top = (await device.history.older(CONVERSATION, top)).rows[0] ?? top;
    expect((await device.messages(BOB)).length).toBe(121);
    const again = await reconnected(false);
    await clock.advance(5_000);
    expect(again.state).toBe("open");
    expect((await device.messages(BOB)).length).toBe(121);
  });

  test("a backfill that the server refuses for a while runs after that time, also over a new link", async () => {
    archive.save([saved(1, NOW * 1000 + 1)]);
    let refusals = 0;
    let allowed = 0;
    archive.before = (_uid, _request, path) => {
      if (path !== "/api/conversations" && path !== "/api/messages") return null;
      if (clock.now() >= allowed) return null;
      refusals++;
      return json(429, { code: "rate_limited", detail: "x", retry_after_ms: allowed - clock.now() });
    };
    allowed = clock.now() + 600_000;
    await greeted(false);
    await clock.advance(10_000);
    expect(refusals).toBe(1);
    for (let i = 0; i < 5; i++) await reconnected(true);
    await clock.advance(30_000);
    expect(refusals).toBe(1);
    expect(await device.messages(BOB)).toEqual([]);
    await clock.advance(600_000);
    expect((await device.messages(BOB)).map((r) => r.id)).toEqual([id(1)]);
  });
});
