/**
 * Sends the outbox: each conversation's messages in the order of typing, each
 * once per link, and again on the next link until it is known to be delivered.
 */
import { Backoff } from "../../net/backoff";
import type { Link } from "../../net/link";
import type { ErrorFrame } from "../../protocol/frames";
import type { Cancel } from "../../platform/platform";
import { freeze } from "../store/outbox";
import type { Loss, MessageRow } from "../store/rows";
import { transmitted } from "../store/tx";
import { type EngineParts, here } from "./ports";

/** An answer that takes longer makes the link doubtful. */
const DOUBT_MS = 10_000;
/** An answer that takes longer is not awaited any more: the message is sent again. */
const GIVE_UP_MS = 20_000;
/** Messages in flight. The server takes 20 a second beyond a burst, so that they are answered well before they are doubted. */
const MAX_FLIGHTS = 16;
/** Of these, in one conversation, and only such as the server is known to have: sending them again is a formality. */
const WINDOW = 8;
/** Refusals that are about this one conversation; others that may be retried are about the server, and hold everything. */
const OF_CONVERSATION: ReadonlySet<string> = new Set(["inbox_full", "at_ahead"]);

interface Flight {
  readonly conversation: string;
  readonly timers: readonly Cancel[];
}

interface Hold {
  readonly until: number;
  readonly failures: number;
}

export interface SenderHandlers {
  /** Before `conversation` may go on, history must show which of its messages were delivered (see Loader.check). */
  onCheckNeeded(conversation: string): void;
}

export class Sender {
  private readonly parts: EngineParts;
  private readonly handlers: SenderHandlers;
  private link: Link | null = null;
  /** Answered on this link. */
  private readonly answered = new Set<string>();
  private readonly flights = new Map<string, Flight>();
  private readonly holds = new Map<string, Hold>();
  private readonly backoff: Backoff;
  /** The server refuses everything for now. */
  private hold: { readonly until: number } | null = null;
  /** After a general refusal one message goes ahead and tries for all. */
  private probing = false;
  private timer: { readonly at: number; readonly cancel: Cancel } | null = null;
  private pumping = false;
  private again = false;

  constructor(parts: EngineParts, handlers: SenderHandlers) {
    this.parts = parts;
    this.handlers = handlers;
    this.backoff = new Backoff(parts.platform.random, 1_000, 30_000);
  }

  /** Everything goes out on `link` from now on, what was sent before and is not delivered included. */
  use(link: Link): void {
    this.reset();
    this.link = link;
    this.wake();
  }

  gone(link: Link): void {
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

  /** There may be something to send. */
  wake(): void {
    if (this.pumping) {
      this.again = true;
      return;
    }
    void this.pump();
  }

  /** The server has the message, or has refused it for good; that is stored. */
  settled(link: Link, id: string, accepted: boolean): void {
    if (link !== this.link) return;
    const flight = this.flights.get(id);
    this.land(id);
    this.answered.add(id);
    if (accepted) {
      if (flight) this.holds.delete(flight.conversation);
      this.probing = false;
      this.hold = null;
      this.backoff.reset();
    }
    this.wake();
  }

  /** The server refuses a message for now. */
  refused(link: Link, error: ErrorFrame): void {
    if (link !== this.link || error.id === null) return;
    const flight = this.flights.get(error.id);
    if (!flight) return;
    this.land(error.id);
    const { clock, random } = this.parts.platform;
    const asked = Math.max(error.retry_after_ms ?? 0, 100);
    if (OF_CONVERSATION.has(error.code)) {
      const failures = (this.holds.get(flight.conversation)?.failures ?? 0) + 1;
      // Spread, so that the many who wait for one full inbox do not come together.
      const until = clock.now() + asked + random.unit() * Math.min(30_000, 500 * 2 ** failures);
      this.holds.set(flight.conversation, { until, failures });
    } else {
      this.probing = true;
      this.hold = { until: clock.now() + asked + this.backoff.next() };
    }
    this.wake();
  }

  private reset(): void {
    for (const id of [...this.flights.keys()]) this.land(id);
    this.answered.clear();
    this.holds.clear();
    this.hold = null;
    this.probing = false;
  }

  private land(id: string): void {
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
      // The store could not be read or written: it tells the person; here it is only tried again.
      this.parts.platform.report("the outbox could not be read", err);
      this.later(5_000);
    } finally {
      this.pumping = false;
    }
  }

  private async round(): Promise<void> {
    const link = this.link;
    if (!link) return;
    const { clock } = this.parts.platform;
    if (this.hold && this.hold.until > clock.now()) {
      this.later(this.hold.until - clock.now());
      return;
    }
    const { queues, loss, checked } = await this.parts.store.read(async (tx) => {
      const byConversation = new Map<string, MessageRow[]>();
      for (const row of await tx.outbox()) {
        const queue = byConversation.get(row.conversation);
        if (queue) queue.push(row);
        else byConversation.set(row.conversation, [row]);
      }
      const done = new Map<string, number>();
      for (const id of byConversation.keys()) done.set(id, (await tx.conversation(id))?.checked ?? 0);
      return { queues: byConversation, loss: await tx.loss(), checked: done };
    });
    const ids: string[] = [];
    for (const [conversation, queue] of queues)
      ids.push(...this.pick(conversation, queue, loss, checked.get(conversation) ?? 0));
    if (ids.length === 0) return;
    let rows: readonly MessageRow[] = [];
    try {
      rows = await this.freezeAll(ids);
    } finally {
      // What left the outbox in between is not waited for, nor is what could not be stored.
      if (this.link === link) for (const id of ids) if (!rows.some((r) => r.id === id)) this.land(id);
    }
    if (this.link !== link) return;
    for (const row of rows) this.transmit(link, row);
    if (rows.length < ids.length) this.again = true;
  }

  private freezeAll(ids: readonly string[]): Promise<MessageRow[]> {
    return this.parts.store.write(async (tx) => {
      const frozen: MessageRow[] = [];
      for (const id of ids) {
        const row = await freeze(tx, here(this.parts), id);
        if (row) frozen.push(row);
      }
      return frozen;
    });
  }

  /** Which messages of a conversation may go now. */
  private pick(conversation: string, queue: readonly MessageRow[], loss: Loss, checked: number): string[] {
    const hold = this.holds.get(conversation);
    const now = this.parts.platform.clock.now();
    if (hold && hold.until > now) {
      this.later(hold.until - now);
      return [];
    }
    if (checked < loss.n && queue.some(transmitted)) {
      this.handlers.onCheckNeeded(conversation);
      return [];
    }
    const picked: string[] = [];
    let flying = 0;
    for (const row of queue) {
      if (this.answered.has(row.id)) continue;
      const flies = this.flights.has(row.id);
      if (!flies) {
        if (this.flights.size >= (this.probing ? 1 : MAX_FLIGHTS)) break;
        picked.push(row.id);
        this.flights.set(row.id, { conversation, timers: [] });
      }
      flying++;
      // What the server may not have yet holds back what follows.
      if (row.status === "waiting" || flying >= WINDOW) break;
    }
    return picked;
  }

  private transmit(link: Link, row: MessageRow): void {
    if (row.at === null) return;
    const { clock } = this.parts.platform;
    this.flights.set(row.id, {
      conversation: row.conversation,
      timers: [
        clock.after(DOUBT_MS, () => link.doubt()),
        clock.after(GIVE_UP_MS, () => {
          this.land(row.id);
          this.wake();
        }),
      ],
    });
    link.send({
      type: "send",
      id: row.id,
      to: row.to,
      body: row.body,
      at: row.at,
      ...(row.replyTo === null ? {} : { reply_to: row.replyTo }),
    });
  }

  /** Looks again after `ms`, or sooner where that was asked for before. */
  private later(ms: number): void {
    const { clock } = this.parts.platform;
    const at = clock.now() + Math.max(ms, 1);
    if (this.timer && this.timer.at <= at) return;
    this.timer?.cancel();
    const cancel = clock.after(Math.max(ms, 1), () => {
      this.timer = null;
      this.wake();
    });
    this.timer = { at, cancel };
  }
}
