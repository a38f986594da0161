import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { conversationId, messageKey } from "../protocol/chat";
import { uuidv7 } from "../protocol/uuid";
import { FakeClock } from "../platform/testing/clock";
import { FakeBrowser, FakePlatform, settle } from "../platform/testing/fake";
import { databaseName } from "./store/store";
import { messagePath, type MessageRow } from "./store/rows";
import { contextOf } from "./engine/ports";
import type { OwnChange } from "./interface/conversation";
import { changeRules } from "./store/rules";
import { Device } from "./testing/device";
import { ModelServer } from "./testing/server";

/**
 * Two users with two devices each, and anything that may happen to them, in any order. Then everything works again and
 * time passes. In the end, all four devices have every message that was typed, once and in the same order.
 */
const USERS = ["aliceUid0001", "bobUid000002"] as const;
const CONVERSATION = conversationId(...USERS);
const START_MS = 1_795_348_800_000;

type Command =
  | { readonly do: "send"; readonly device: number; readonly reply: boolean }
  /** Changes the message number `nth`, if it is on the device. */
  | { readonly do: "change"; readonly device: number; readonly nth: number; readonly kind: OwnChange["kind"] }
  | { readonly do: "read"; readonly device: number }
  | { readonly do: "open"; readonly device: number }
  | { readonly do: "pass"; readonly ms: number }
  | { readonly do: "kill"; readonly device: number; readonly afterTurns: number }
  | { readonly do: "start"; readonly device: number }
  | { readonly do: "drop"; readonly user: number }
  | { readonly do: "goaway" | "wipe" }
  | { readonly do: "redis" | "archive" | "network" | "answers"; readonly up: boolean }
  | { readonly do: "saving"; readonly ms: number }
  | { readonly do: "full"; readonly device: number; readonly full: boolean }
  /** Sets the clock of a device, also while it is connected. */
  | { readonly do: "clock"; readonly device: number; readonly ms: number }
  /** A client of `user` that chooses its ids itself sends a message under the id of the message number `nth`. */
  | { readonly do: "reuse"; readonly user: number; readonly nth: number };

const device = fc.nat({ max: 3 });
const skew = fc.constantFrom(0, 0, -1_500, 2_000, 86_400_000, -86_400_000);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("send" as const), device, reply: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("change" as const),
      device,
      nth: fc.nat({ max: 9 }),
      kind: fc.constantFrom("edit" as const, "edit" as const, "react" as const, "delete" as const, "undo" as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("read" as const), device }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("open" as const), device }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("pass" as const),
      ms: fc.constantFrom(0, 1, 2, 5, 40, 60, 400, 5_000, 70_000),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("kill" as const), device, afterTurns: fc.nat({ max: 6 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("start" as const), device }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("drop" as const), user: fc.nat({ max: 1 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("goaway" as const, "wipe" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom("redis" as const, "archive" as const, "network" as const, "answers" as const),
      up: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("saving" as const), ms: fc.constantFrom(0, 500, 20_000, 200_000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("full" as const), device, full: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("clock" as const), device, ms: skew }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("reuse" as const), user: fc.nat({ max: 1 }), nth: fc.nat({ max: 9 }) }),
  },
);

class World {
  readonly clock = new FakeClock(START_MS, settle);
  readonly server = new ModelServer(this.clock);
  readonly devices: {
    uid: string;
    browser: FakeBrowser;
    running: Device | null;
    reported: Set<string>;
    skew: number;
  }[];
  /** Everything that was typed and stored, with the messages that its sender had seen. */
  typed: { id: string; key: string; uid: string; body: string; after: string[] }[] = [];
  /** Messages that were sent with different content. Which of them counts is decided by the server. */
  private readonly changed = new Set<string>();
  /** Keys of messages that a page had only in memory, over a full disk, when it ended. The user was warned. */
  private readonly volatile = new Set<string>();
  /** Keys of messages, or contents, of clients that do not send again. */
  private readonly sentOnce = new Set<string>();
  private online = true;
  private count = 0;
  private seed = 1;

  constructor(skews: readonly number[]) {
    this.devices = [0, 1, 2, 3].map((i) => ({
      uid: USERS[i < 2 ? 0 : 1],
      browser: new FakeBrowser(),
      running: null,
      reported: new Set(),
      skew: skews[i] ?? 0,
    }));
  }

  /** One sequence for all devices, so that no two create the same id. */
  private random(): number {
    this.seed = (this.seed * 48271) % 2147483647;
    return this.seed / 2147483647;
  }

  async start(i: number): Promise<void> {
    const d = this.devices[i];
    if (!d || d.running) return;
    const platform = new FakePlatform({ clock: this.clock, browser: d.browser, random: () => this.random() });
    platform.skew = d.skew;
    platform.overlays = true;
    platform.onSocket = (socket) => {
      if (this.online) this.server.open(socket);
      else this.clock.after(1, () => socket.drop(1006));
    };
    platform.answer = (request) => this.server.archive.answer(d.uid, request);
    d.running = await Device.start(platform, d.uid);
  }

  async run(c: Command): Promise<void> {
    switch (c.do) {
      case "send":
        await this.send(c.device, c.reply);
        return;
      case "change":
        await this.change(c.device, c.nth, c.kind);
        return;
      case "read": {
        const running = this.devices[c.device]?.running;
        const rows = running ? await running.store.read((tx) => tx.messagesFrom(CONVERSATION, 0)) : [];
        const last = rows.filter((r) => r.status === "received").pop();
        if (running && last?.at) await running.read(CONVERSATION, last.at).catch(() => undefined);
        return;
      }
      case "open":
        await this.devices[c.device]?.running?.open(CONVERSATION);
        return;
      case "pass":
        await this.clock.advance(c.ms);
        return;
      case "kill":
        await this.kill(c.device, c.afterTurns);
        return;
      case "start":
        await this.start(c.device);
        return;
      case "drop":
        this.server.drop(USERS[c.user]);
        return;
      case "goaway":
        this.server.goaway("rotate");
        return;
      case "wipe":
        // Nobody would send again what was lost: the stated exception.
        if (![...this.sentOnce].some((key) => !this.isSaved(key))) this.server.wipe();
        return;
      case "redis":
        this.server.redisDown = !c.up;
        return;
      case "archive":
        this.server.archive.down = !c.up;
        return;
      case "network":
        this.online = c.up;
        if (!c.up) this.server.drop();
        return;
      case "answers":
        this.server.loseAnswers = !c.up;
        return;
      case "saving":
        this.server.saveDelay = c.ms;
        return;
      case "full": {
        const running = this.devices[c.device]?.running;
        if (running) running.platform.full = c.full;
        return;
      }
      case "clock": {
        const d = this.devices[c.device];
        if (d) d.skew = c.ms;
        if (d?.running) d.running.platform.skew = c.ms;
        return;
      }
      case "reuse":
        this.reuse(USERS[c.user === 0 ? 0 : 1], c.nth);
        return;
    }
  }

  private async send(i: number, reply: boolean): Promise<void> {
    const d = this.devices[i];
    if (!d?.running) return;
    const other = d.uid === USERS[0] ? USERS[1] : USERS[0];
    const seen = await d.running.store.read((tx) => tx.messagesFrom(CONVERSATION, 0));
    const received = seen.filter((r) => r.status === "received");
    const body = `message ${++this.count}`;
    try {
      const id = await d.running.send(other, body, reply ? (received[received.length - 1]?.key ?? null) : null);
      // Messages on the sender's screen sort before it, including messages of the same device.
      this.typed.push({
        id,
        key: messageKey({ id, from: d.uid }),
        uid: d.uid,
        body,
        after: seen.filter((r) => r.at !== null || r.queue !== undefined).map((r) => r.key),
      });
    } catch {
      // The device is being killed, and the user saw an error.
    }
  }

  private async change(i: number, nth: number, kind: OwnChange["kind"]): Promise<void> {
    const { running, uid } = this.devices[i] ?? {};
    const typed = this.typed[nth];
    if (!running || !typed) return;
    const { key } = typed;
    const body = `edit ${++this.count}`;
    const what = { id: uuidv7(this.clock.now(), running.platform.random.bytes(10)), conversation: CONVERSATION, key };
    const emoji = ["", "👍", "🎉"][this.count % 3] ?? "";
    const change = kind === "edit" ? { kind, body } : kind === "react" ? { kind, emoji } : { kind };
    try {
      const gone = await running.store.write(async (tx) => {
        const before = await tx.message(CONVERSATION, key);
        await changeRules(tx).makeChange(tx, contextOf(running.parts), what, change);
        const after = await tx.message(CONVERSATION, key);
        return { never: before && !after, edited: after && !after.settled && after.body !== before?.body };
      });
      // It was never sent, so it never existed, unless a client has used its id; or it was sent with the new text.
      if (gone.never && !this.sentOnce.has(key)) this.typed = this.typed.filter((t) => t.key !== key);
      if (gone.edited && typed.uid === uid) typed.body = body;
    } catch {
      // The storage is full, and the user saw an error.
    }
  }

  /** Under an id of the other user, it is a message of its own. Under an own id, the saved content counts. */
  private reuse(uid: string, nth: number): void {
    const taken = this.typed[nth];
    if (!taken || this.server.redisDown) return;
    const body = `message ${++this.count} under the id of ${taken.body}`;
    const now = this.clock.now() * 1000;
    const to = uid === USERS[0] ? USERS[1] : USERS[0];
    const message = { id: taken.id, conversation: CONVERSATION, from: uid, to, body, at: now, accepted_at: now };
    const key = messageKey(message);
    if (this.typed.some((t) => t.key === key)) this.changed.add(key);
    if (!this.server.queue(message)) return;
    this.sentOnce.add(key);
    if (!this.changed.has(key)) this.typed.push({ id: taken.id, key, uid, body, after: [] });
  }

  private isSaved(key: string): boolean {
    return [...this.server.archive.saved.values()].some((m) => messageKey(m) === key);
  }

  private async kill(i: number, afterTurns: number): Promise<void> {
    const d = this.devices[i];
    if (!d?.running) return;
    // Killed in the middle of any work.
    for (let t = 0; t < afterTurns; t++) await Promise.resolve();
    const rows = d.running.store.full ? await d.running.messages(USERS[i < 2 ? 1 : 0]) : [];
    this.collectReceived(d);
    this.forgetVolatile(d, rows);
    d.running.kill();
    d.running = null;
    await settle();
  }

  /** Forgets the rows that were only in memory. The server sends messages of others again, and they count as new. */
  private forgetVolatile(d: World["devices"][number], rows: readonly MessageRow[]): void {
    const stored = d.browser.disks.get(databaseName(d.uid))?.tables.get("messages");
    for (const { key, queue } of rows) {
      if (stored?.has(messagePath(CONVERSATION, key))) continue;
      d.reported.delete(key);
      if (queue !== undefined && !this.isSaved(key)) this.volatile.add(key);
    }
    this.typed = this.typed.filter((t) => !this.volatile.has(t.key));
  }

  private collectReceived(d: { running: Device | null; reported: Set<string> }): void {
    for (const key of d.running?.received ?? []) {
      if (d.reported.has(key)) throw new Error(`${key} was reported as new twice`);
      d.reported.add(key);
    }
  }

  /** Makes everything work again and lets time pass. */
  async recover(): Promise<void> {
    this.online = true;
    this.server.redisDown = false;
    this.server.archive.down = false;
    this.server.loseAnswers = false;
    this.server.saveDelay = 100;
    for (let i = 0; i < 4; i++) {
      await this.start(i);
      const running = this.devices[i]?.running;
      if (running) running.platform.full = false;
    }
    await this.clock.advance(40 * 60_000);
    // Opening the conversation loads what a device does not load unasked. The loop then loads all pages.
    for (const { running } of this.devices) {
      if (!running) continue;
      await running.open(CONVERSATION);
      let top: { place: number; key: string } | null = null;
      for (;;) {
        const page: Awaited<ReturnType<typeof running.history.older>> = await running.history.older(
          CONVERSATION,
          top,
          7,
        );
        top = page.rows[0] ?? top;
        if (page.complete) break;
      }
    }
    await this.clock.advance(60_000);
  }

  async verify(): Promise<void> {
    // A device sends the content again that a server has accepted under the id of its message.
    const changed = [...this.changed].map((key) => `message ${CONVERSATION}/${key} was changed`);
    expect(this.server.faults.filter((fault) => !changed.some((known) => fault.startsWith(known)))).toEqual([]);
    const keys = new Set(this.typed.map((t) => t.key));
    const saved = new Map([...this.server.archive.saved.values()].map((m) => [messageKey(m), m]));
    let order: string[] | null = null;
    for (const [i, d] of this.devices.entries()) {
      if (!d.running) throw new Error("a device did not start");
      this.collectReceived(d);
      expect(d.running.ended).toBeNull();
      const state = await d.running.see();
      const messages = state.conversations[CONVERSATION]?.messages ?? [];
      const here = messages.map((m) => m.key);
      expect(new Set(here).size, `device ${i} shows a message twice`).toBe(here.length);
      const missing = this.typed.filter((t) => !here.includes(t.key)).map((t) => t.body);
      expect(missing, `device ${i} lost messages`).toEqual([]);
      expect(
        here.filter((key) => !keys.has(key) && !this.volatile.has(key)),
        `device ${i} shows what nobody typed`,
      ).toEqual([]);
      expect(
        messages.map((m) => [m.key, m.body, m.changes, m.at]),
        `device ${i} shows other texts, changes or times than the archive`,
      ).toEqual(
        here.map((key) => {
          const message = saved.get(key);
          const shown = message && this.server.archive.shown(message);
          return [key, shown?.body, shown?.changes, message?.at];
        }),
      );
      for (const t of this.typed)
        if (!this.changed.has(t.key)) expect(saved.get(t.key)?.body, "the archive has another text").toBe(t.body);
      order ??= here;
      expect(here, `device ${i} has another order`).toEqual(order);
      expect(state.outbox, `outbox of device ${i}`).toEqual([]);
      expect(state.unsent_reads).toEqual({});
      expect(state.backfills.ids, `backfills of device ${i}`).toEqual([]);
      for (const m of messages) expect(["delivered", "read", "received"]).toContain(m.status);
    }
    const place = new Map((order ?? []).map((key, n) => [key, n]));
    for (const t of this.typed)
      for (const before of t.after)
        if (!this.changed.has(before) && !this.changed.has(t.key))
          expect(place.get(before) ?? -1, `${t.body} sorts before what its sender had seen`).toBeLessThan(
            place.get(t.key) ?? -1,
          );
    this.verifyMarks(await Promise.all(this.devices.map(async (d) => d.running?.see())));
  }

  private verifyMarks(states: readonly (Awaited<ReturnType<Device["see"]>> | undefined)[]): void {
    for (const [a, b] of [
      [0, 1],
      [2, 3],
    ] as const) {
      const first = states[a]?.conversations[CONVERSATION];
      const second = states[b]?.conversations[CONVERSATION];
      expect(first?.read ?? 0).toBe(second?.read ?? 0);
      expect(first?.unread ?? 0).toBe(second?.unread ?? 0);
    }
  }
}

async function live(commands: readonly Command[], skews: readonly number[]): Promise<void> {
  const world = new World(skews);
  for (let i = 0; i < 4; i++) await world.start(i);
  for (const c of commands) await world.run(c);
  await world.recover();
  await world.verify();
}

describe("two users with two devices each", () => {
  test("lose, duplicate and reorder nothing, whatever happens", { timeout: 240_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(command, { minLength: 5, maxLength: 60 }),
        fc.tuple(skew, skew, skew, skew),
        (commands, skews) => live(commands, skews),
      ),
      {
        numRuns: Number(process.env["PHOENIX_RUNS"] ?? "60"),
        ...(process.env["PHOENIX_SEED"] ? { seed: Number(process.env["PHOENIX_SEED"]) } : {}),
      },
    );
  });
});
