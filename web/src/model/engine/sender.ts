/**
 * Sends the outbox. Each conversation's messages go out in the order of typing, each once per link, and again on the
 * next link until the message is known to be delivered.
 */
import { Backoff } from "../../net/backoff";
import type { Link } from "../../net/link";
import type { ErrorFrame } from "../../protocol/frames";
import type { Cancel } from "../../platform/platform";
import { freeze, hold as store, thaw } from "../store/outbox";
import { type ChangeRow, type Gap, isChange, type Queued } from "../store/rows";
import { transmitted } from "../store/tx";
import { contextOf, type EngineParts } from "./ports";

/** If an answer takes longer than this, the link is tested. */
const DOUBT_MS = 10_000;
/** If an answer takes longer than this, the message is sent again. */
const GIVE_UP_MS = 20_000;
/** Messages in flight. The server accepts a burst and then 20 messages a second, so it answers before DOUBT_MS. */
const MAX_FLIGHTS = 16;
/** In-flight limit per conversation. It applies to re-sending messages that the server already accepted. */
const WINDOW = 8;
/**
 * The clocks of two instances differ by less than this. An `at` that one instance refuses as further ahead was refused
 * by every other one, too, so it may be replaced.
 */
const INSTANCES_DIFFER_MS = 10_000;
/**
 * Codes of refusals that concern one conversation. Any other retryable refusal concerns the server and pauses
 * everything.
 */
const OF_CONVERSATION: ReadonlySet<string> = new Set([
  "inbox_full",
  "at_ahead",
  "answer_awaited",
  "too_many_new_people",
  "outbox_full",
]);
/** A change waits at most this long to be undone (see ChangeRow.notBefore). */
const MAX_UNDO_MS = 10_000;
/** Those of them that a message of the other user ends. */
const UNTIL_ANSWER: ReadonlySet<string> = new Set(["answer_awaited", "too_many_new_people"]);

interface Flight {
  readonly conversation: string;
  /** It is a reaction, whose rate the server limits for each message. */
  readonly reaction: boolean;
  readonly timers: readonly Cancel[];
}

/** A pause of one conversation. */
interface Hold {
  readonly code: string;
  /** By the monotonic clock, as are the other times of this module. */
  readonly until: number;
  readonly failures: number;
  /** Whether ConversationRow.held shows it. */
  stored: boolean;
}

/** The facts about a conversation that decide what of its outbox may go. */
interface Facts {
  readonly checked: number;
  readonly held: string | undefined;
}

export interface SenderHandlers {
  /** History must show which messages of `conversation` were delivered before it may go on (see Backfiller.check). */
  onCheckNeeded(conversation: string): void;
}

export class Sender {
  private readonly parts: EngineParts;
  private readonly handlers: SenderHandlers;
  private link: Link | null = null;
  /** Messages that were answered on this link. */
  private readonly answered = new Set<string>();
  private readonly flights = new Map<string, Flight>();
  private readonly holds = new Map<string, Hold>();
  /** Until when reactions wait that were too many for their message, by their ids. Nothing waits for them. */
  private readonly slowed = new Map<string, number>();
  private readonly backoff: Backoff;
  /** Set while the server refuses everything. */
  private hold: { readonly until: number } | null = null;
  /** After a general refusal, one message goes first to probe the server. */
  private probing = false;
  private timer: { readonly at: number; readonly cancel: Cancel } | null = null;
  private pumping = false;
  private again = false;

  constructor(parts: EngineParts, handlers: SenderHandlers) {
    this.parts = parts;
    this.handlers = handlers;
    this.backoff = new Backoff(parts.platform.random, 1_000, 30_000);
  }

  /** Sends everything on `link` from now on, including messages that were sent before and are not delivered. */
  attach(link: Link): void {
    this.reset();
    this.link = link;
    this.wake();
  }

  detach(link: Link): void {
    if (this.link !== link) return;
    this.reset();
    this.link = null;
  }

  stop(): void {
    this.reset();
    this.link = null;
    this.timer?.cancel();
    this.timer = null;
  }

  /** Called when there may be something to send. */
  wake(): void {
    if (this.pumping) {
      this.again = true;
      return;
    }
    void this.pump();
  }

  /** The server has accepted a message or refused it for good, and that is stored. */
  onAnswer(link: Link, id: string, accepted: boolean): void {
    if (link !== this.link) return;
    const flight = this.flights.get(id);
    this.endFlight(id);
    this.answered.add(id);
    if (accepted) {
      if (flight) this.holds.delete(flight.conversation);
      this.probing = false;
      this.hold = null;
      this.backoff.reset();
    }
    this.wake();
  }

  /** The server has refused a message for now. */
  onRetryableRefusal(link: Link, error: ErrorFrame): void {
    if (link !== this.link || error.id === null) return;
    const flight = this.flights.get(error.id);
    if (!flight) return;
    const asked = Math.max(error.retry_after_ms ?? 0, 100);
    if (OF_CONVERSATION.has(error.code)) {
      if (error.code === "at_ahead" && asked > INSTANCES_DIFFER_MS) {
        void this.setNewTimes(link, error.id, flight, asked);
        return;
      }
      this.pause(flight.conversation, error.code, asked);
    } else if (flight.reaction && error.code === "rate_limited") {
      this.slowed.set(error.id, this.parts.platform.clock.monotonic() + asked);
    } else {
      this.probing = true;
      this.hold = { until: this.parts.platform.clock.monotonic() + asked + this.backoff.next() };
    }
    this.endFlight(error.id);
    this.wake();
  }

  private pause(conversation: string, code: string, ms: number): void {
    const { clock, random } = this.parts.platform;
    const failures = (this.holds.get(conversation)?.failures ?? 0) + 1;
    // Random delay, so that the many senders that wait for one full inbox do not come back together.
    const until = clock.monotonic() + ms + random.unit() * Math.min(30_000, 500 * 2 ** failures);
    const hold = { code, until, failures, stored: false };
    this.holds.set(conversation, hold);
    void this.storeHold(conversation, hold);
  }

  /**
   * Handles a refused `at` that no instance can have accepted: it and those of the messages behind it are replaced. The
   * flight lasts until they are, so that nothing is sent meanwhile.
   */
  private async setNewTimes(link: Link, id: string, flight: Flight, aheadMs: number): Promise<void> {
    const { store, time, platform } = this.parts;
    const refusedAt = platform.clock.monotonic();
    let thawed = false;
    try {
      const at = (await store.read((tx) => tx.typed(id)))?.at ?? null;
      const elapsedMs = platform.clock.monotonic() - refusedAt;
      if (at !== null) time.learnLatest(at + (elapsedMs - aheadMs) * 1000);
      thawed = await store.write((tx) => thaw(tx, contextOf(this.parts), id));
    } catch (err) {
      platform.report("a refused time could not be replaced", err);
    }
    // A message that was accepted before keeps its `at`. It waits, but no longer than for the clocks of instances.
    if (this.link !== link || this.flights.get(id) !== flight) return;
    this.pause(flight.conversation, "at_ahead", thawed ? 0 : INSTANCES_DIFFER_MS);
    this.endFlight(id);
    this.wake();
  }

  /** Stores why a conversation waits, so that every tab shows it, and so that an answer ends it (see `applyMessage`). */
  private async storeHold(conversation: string, hold: Hold): Promise<void> {
    try {
      await this.parts.store.write((tx) => store(tx, conversation, hold.code));
      hold.stored = true;
    } catch (err) {
      this.parts.platform.report("the reason of a pause could not be stored", err);
    }
  }

  private reset(): void {
    for (const id of [...this.flights.keys()]) this.endFlight(id);
    this.answered.clear();
    this.holds.clear();
    this.slowed.clear();
    this.hold = null;
    this.probing = false;
  }

  private endFlight(id: string): void {
    for (const cancel of this.flights.get(id)?.timers ?? []) cancel();
    this.flights.delete(id);
  }

  private async pump(): Promise<void> {
    this.pumping = true;
    try {
      do {
        this.again = false;
        await this.round();
      } while (this.again);
    } catch (err) {
      // The store could not be read or written. The store informs the user; this code tries again.
      this.parts.platform.report("the outbox could not be read", err);
      this.wakeAfter(5_000);
    } finally {
      this.pumping = false;
    }
  }

  private async round(): Promise<void> {
    const link = this.link;
    if (!link) return;
    const now = this.parts.platform.clock.monotonic();
    if (this.hold && this.hold.until > now) {
      this.wakeAfter(this.hold.until - now);
      return;
    }
    const { queues, gap, facts } = await this.parts.store.read(async (tx) => {
      const byConversation = new Map<string, Queued[]>();
      for (const row of await tx.outbox()) {
        const queue = byConversation.get(row.conversation);
        if (queue) queue.push(row);
        else byConversation.set(row.conversation, [row]);
      }
      const known = new Map<string, Facts>();
      for (const id of byConversation.keys()) {
        const row = await tx.conversation(id);
        known.set(id, { checked: row?.checked ?? 0, held: row?.held });
      }
      return { queues: byConversation, gap: await tx.gap(), facts: known };
    });
    const ids: string[] = [];
    for (const [conversation, queue] of queues)
      ids.push(...this.pick(conversation, queue, gap, facts.get(conversation) ?? { checked: 0, held: undefined }));
    if (ids.length === 0) return;
    let rows: readonly Queued[] = [];
    try {
      rows = await this.freezeAll(ids);
    } finally {
      // Ends the flights of messages that have left the outbox meanwhile, and of those that could not be stored.
      if (this.link === link) for (const id of ids) if (!rows.some((r) => r.id === id)) this.endFlight(id);
    }
    if (rows.length < ids.length) this.again = true;
    if (this.parts.store.full) rows = await this.withStoredTime(rows);
    if (this.link !== link) return;
    for (const row of rows) this.transmit(link, row);
  }

  /**
   * Leaves out messages whose `at` is only in memory although they are on disk: after a reload, they would be sent with
   * another one. They wait for space, and so does everything behind them in their conversations.
   */
  private withStoredTime(rows: readonly Queued[]): Promise<Queued[]> {
    return this.parts.store.readDisk(async (tx) => {
      const safe: Queued[] = [];
      for (const row of rows) {
        const stored = await tx.queued(row.id);
        if (!stored || stored.at === row.at) safe.push(row);
      }
      return safe;
    });
  }

  private freezeAll(ids: readonly string[]): Promise<Queued[]> {
    return this.parts.store.write(async (tx) => {
      const frozen: Queued[] = [];
      for (const id of ids) {
        const row = await freeze(tx, contextOf(this.parts), id);
        if (row) frozen.push(row);
      }
      return frozen;
    });
  }

  /** Returns the messages and changes of a conversation that may be sent now. */
  private pick(conversation: string, queue: readonly Queued[], gap: Gap, facts: Facts): string[] {
    const hold = this.holds.get(conversation);
    const now = this.parts.platform.clock.monotonic();
    if (hold && hold.until > now && hold.stored && UNTIL_ANSWER.has(hold.code) && facts.held === undefined)
      this.holds.delete(conversation);
    else if (hold && hold.until > now) {
      this.wakeAfter(hold.until - now);
      return [];
    }
    // A change may be repeated at any time, also after it was saved.
    if (facts.checked < gap.n && queue.some((row) => transmitted(row) && !isChange(row))) {
      this.handlers.onCheckNeeded(conversation);
      return [];
    }
    const picked: string[] = [];
    let flying = 0;
    for (const row of queue) {
      if (this.answered.has(row.id) || (isChange(row) && !this.mayGo(row))) continue;
      const flies = this.flights.has(row.id);
      if (!flies) {
        if (this.flights.size >= (this.probing ? 1 : MAX_FLIGHTS)) break;
        picked.push(row.id);
        this.flights.set(row.id, { conversation, reaction: false, timers: [] });
      }
      flying++;
      // A message that the server may not have yet holds back the ones behind it.
      if (row.status === "waiting" || flying >= WINDOW) break;
    }
    return picked;
  }

  /** Whether the server accepts changes, and the user cannot undo this one any more. */
  private mayGo({ id, notBefore = 0 }: ChangeRow): boolean {
    const slowed = (this.slowed.get(id) ?? 0) - this.parts.platform.clock.monotonic();
    if (slowed > 0) {
      this.wakeAfter(slowed);
      return false;
    }
    const wait = notBefore - this.parts.platform.clock.now();
    // A longer wait was set before this device's clock was put back.
    if (wait <= 0 || wait > MAX_UNDO_MS) return this.parts.limits.all.get().changes;
    this.wakeAfter(wait);
    return false;
  }

  private transmit(link: Link, row: Queued): void {
    if (row.at === null) return;
    const { clock } = this.parts.platform;
    this.flights.set(row.id, {
      conversation: row.conversation,
      reaction: isChange(row) && row.kind === "react",
      timers: [
        clock.after(DOUBT_MS, () => link.doubt()),
        clock.after(GIVE_UP_MS, () => {
          this.endFlight(row.id);
          this.wake();
        }),
      ],
    });
    const { id, to, at } = row;
    if (isChange(row)) {
      const { of, kind, body, emoji } = row;
      link.send({ type: "change", id, to, at, of, kind, ...(body && { body }), ...(emoji && { emoji }) });
      return;
    }
    link.send({
      type: "send",
      id,
      to,
      body: row.original ?? row.settled?.body ?? row.body,
      at,
      ...(row.replyTo === null ? {} : { reply_to: row.replyTo }),
    });
  }

  /** Wakes up after `ms`, or earlier if that was requested before. */
  private wakeAfter(ms: number): void {
    const { clock } = this.parts.platform;
    const at = clock.monotonic() + Math.max(ms, 1);
    if (this.timer && this.timer.at <= at) return;
    this.timer?.cancel();
    const cancel = clock.after(Math.max(ms, 1), () => {
      this.timer = null;
      this.wake();
    });
    this.timer = { at, cancel };
  }
}
