/**
 * What links bring, stored in order: events, what follows from them and the
 * cursor in one transaction, and only then acknowledged on the link that brought them.
 */
import type { Link } from "../../net/link";
import { Backoff } from "../../net/backoff";
import type { ChatEvent, ServerFrame, Welcome } from "../../protocol/frames";
import { StorageFull, StorageLost } from "../../platform/database";
import type { Cancel } from "../../platform/platform";
import { accepted, applyEvent, forgetRefusals, refuse } from "../store/rules";
import type { Loss, MessageRow } from "../store/rows";
import type { WriteTx } from "../store/tx";
import { type EngineParts, here } from "./ports";

type Item =
  | { readonly kind: "welcome"; readonly link: Link; readonly welcome: Welcome }
  | { readonly kind: "event"; readonly link: Link; readonly cursor: string; readonly event: ChatEvent }
  | { readonly kind: "caught-up"; readonly link: Link; readonly cursor: string }
  | { readonly kind: "hole"; readonly link: Link }
  | { readonly kind: "sent"; readonly link: Link; readonly id: string; readonly acceptedAt: number }
  | {
      readonly kind: "refused";
      readonly link: Link;
      readonly id: string;
      readonly code: string;
      readonly message: string;
    };

export interface InboundHandlers {
  /** Everything that `link` brought up to its caught_up is stored: it may be sent on. */
  onCaughtUp(link: Link): void;
  /** A send was answered for good, and the answer is stored. */
  onAnswered(link: Link, id: string, accepted: boolean): void;
  /** Messages of others that were not here before, and are stored now. */
  onReceived(messages: readonly MessageRow[]): void;
  /** A link brings what it should not (another person's events), or more than can be stored. */
  onBadLink(link: Link): void;
}

/** What a transaction did beside what it stored. */
interface Written {
  readonly received: readonly MessageRow[];
  readonly lead: Link | null;
  readonly cursor: string | null;
}

/** Items of one transaction. */
const BATCH = 200;
/** Items that wait because the device cannot store them; beyond that the link is given up, and a later one resumes from the cursor. */
const MAX_WAITING = 2_000;

export class Inbound {
  private readonly parts: EngineParts;
  private readonly handlers: InboundHandlers;
  private readonly backoff: Backoff;
  private queue: Item[] = [];
  private running = false;
  private stopped = false;
  private pause: Cancel | null = null;
  /** The link whose cursor is stored. Another may be catching up beside it, further behind. */
  private lead: Link | null = null;
  /** The cursor as stored; hello sends it. */
  cursor = "";

  constructor(parts: EngineParts, handlers: InboundHandlers) {
    this.parts = parts;
    this.handlers = handlers;
    this.backoff = new Backoff(parts.platform.random, 1_000, 30_000);
  }

  stop(): void {
    this.stopped = true;
    this.queue = [];
    this.pause?.();
  }

  /** Takes a frame that changes what is stored. False: it is none of those. */
  take(link: Link, frame: ServerFrame): boolean {
    switch (frame.type) {
      case "welcome":
        if (frame.uid !== this.parts.uid) {
          this.parts.platform.report("the server welcomed somebody else");
          this.handlers.onBadLink(link);
          return true;
        }
        // At once: what is transmitted from now on needs the server's time.
        this.parts.time.learn(frame.now);
        this.parts.limits.learn(frame.limits);
        this.push({ kind: "welcome", link, welcome: frame });
        return true;
      case "event":
        this.push({ kind: "event", link, cursor: frame.cursor, event: frame.event });
        return true;
      case "caught_up":
        this.push({ kind: "caught-up", link, cursor: frame.cursor });
        return true;
      case "sent":
        this.push({ kind: "sent", link, id: frame.id, acceptedAt: frame.accepted_at });
        return true;
      case "error":
        if (frame.id === null || frame.retry_after_ms !== null) return false;
        this.push({ kind: "refused", link, id: frame.id, code: frame.code, message: frame.message });
        return true;
      default:
        return false;
    }
  }

  /** Something that `link` brought could not be read. */
  hole(link: Link): void {
    this.push({ kind: "hole", link });
  }

  /** `link` has ended; what it brought is still stored, but no longer leads. */
  gone(link: Link): void {
    if (this.lead === link) this.lead = null;
  }

  private push(item: Item): void {
    if (this.stopped) return;
    if (this.queue.length >= MAX_WAITING) {
      this.queue = this.queue.filter((i) => i.link !== item.link);
      this.handlers.onBadLink(item.link);
      return;
    }
    this.queue.push(item);
    if (!this.running && !this.pause) void this.run();
  }

  private async run(): Promise<void> {
    this.running = true;
    try {
      while (this.queue.length > 0 && !this.stopped) {
        const batch = this.queue.slice(0, BATCH);
        if (!(await this.store(batch))) return;
        const done = new Set(batch);
        this.queue = this.queue.filter((i) => !done.has(i));
        this.backoff.reset();
      }
    } finally {
      this.running = false;
    }
  }

  /** Stores a batch and acknowledges it. False: it could not be stored now, and will be tried again. */
  private async store(batch: readonly Item[]): Promise<boolean> {
    try {
      const written = await this.write(batch);
      if (!this.stopped) this.after(batch, written);
      return true;
    } catch (err) {
      if (this.stopped) return false;
      if (err instanceof StorageFull || err instanceof StorageLost) {
        this.parts.platform.report("events could not be stored; trying again", err);
        this.pause = this.parts.platform.clock.after(this.backoff.next(), () => {
          this.pause = null;
          if (!this.running) void this.run();
        });
        return false;
      }
      if (batch.length > 1) {
        // One of them is what this program cannot take: it must not hold up the others.
        for (const item of batch) if (!(await this.store([item]))) return false;
        return true;
      }
      this.parts.platform.report("an event was passed over", err);
      const [item] = batch;
      return item && item.kind !== "hole" ? await this.store([{ kind: "hole", link: item.link }]) : true;
    }
  }

  private write(batch: readonly Item[]): Promise<Written> {
    return this.parts.store.write(async (tx) => {
      const fresh: string[] = [];
      let lead = this.lead;
      let cursor: string | null = null;
      for (const item of batch) {
        switch (item.kind) {
          case "welcome":
            lead ??= item.link;
            await tx.putMeta({ name: "clock", offset: this.parts.time.offsetMs });
            await tx.putMeta({ name: "limits", limits: item.welcome.limits });
            await forgetRefusals(tx, here(this.parts));
            if (!item.welcome.resumed) await noteLoss(tx, this.parts);
            break;
          case "hole":
            await noteLoss(tx, this.parts);
            break;
          case "event": {
            const message = item.event.type === "message" ? item.event.message : null;
            const known = message ? (await tx.message(message.id)) !== undefined : true;
            const fits = await applyEvent(tx, here(this.parts), item.event);
            if (!fits) this.parts.platform.report("an event that is not ours was passed over");
            else if (message && !known) fresh.push(message.id);
            lead ??= item.link;
            if (item.link === lead) cursor = item.cursor;
            break;
          }
          case "caught-up":
            lead = item.link;
            cursor = item.cursor;
            break;
          case "sent":
            await accepted(tx, item.id, item.acceptedAt);
            break;
          case "refused": {
            const row = await tx.message(item.id);
            if (row?.queue !== undefined) await refuse(tx, row, { code: item.code, message: item.message });
            break;
          }
        }
      }
      if (cursor !== null) await tx.putMeta({ name: "cursor", cursor, at: this.parts.time.now() });
      const rows: MessageRow[] = [];
      for (const id of fresh) {
        const row = await tx.message(id);
        if (row?.status === "received") rows.push(row);
      }
      return { received: rows, lead, cursor };
    });
  }

  private after(batch: readonly Item[], { received, lead, cursor }: Written): void {
    this.lead = lead === null || lead.state === "ended" ? null : lead;
    if (cursor !== null) this.cursor = cursor;
    const acks = new Map<Link, string>();
    // Only messages wait to be acknowledged; receipts ride along (DESIGN §5), which halves the acks.
    for (const item of batch) if (item.kind === "event" && needsAck(item.event)) acks.set(item.link, item.cursor);
    for (const [link, cursor] of acks) link.ack(cursor);
    if (received.length > 0) this.handlers.onReceived(received);
    for (const item of batch) {
      if (item.kind === "caught-up") this.handlers.onCaughtUp(item.link);
      else if (item.kind === "sent") this.handlers.onAnswered(item.link, item.id, true);
      else if (item.kind === "refused") this.handlers.onAnswered(item.link, item.id, false);
    }
  }
}

function needsAck(event: ChatEvent): boolean {
  return event.type === "message" || event.type === "unknown";
}

/** Notes that events may have been missed, and with it the debt to load history: now, and after 1, 5 and 15 min. */
async function noteLoss(tx: WriteTx, parts: EngineParts): Promise<void> {
  const last = await tx.loss();
  const cursor = await tx.meta("cursor");
  const now = parts.platform.clock.now();
  const loss: Loss = {
    n: last.n + 1,
    at: now,
    // What an earlier loss asks for and was not loaded yet is asked for still.
    since: last.due !== null && last.n > 0 ? Math.min(last.since, cursor?.at ?? 0) : (cursor?.at ?? 0),
    loads: 0,
    tries: 0,
    due: now,
  };
  await tx.putMeta({ name: "loss", loss });
  tx.changes.toDo();
}
