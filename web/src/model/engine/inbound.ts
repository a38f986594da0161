/**
 * Stores what links receive, in order. An event, its consequences and the cursor are stored in one transaction. Only
 * then is the event acknowledged, on the link that brought it. On a full disk, events are stored in memory and not
 * acknowledged. Once there is space, a new engine goes on from the cursor on disk (see ../tabs/leader).
 */
import type { Link } from "../../net/link";
import { Backoff } from "../../net/backoff";
import { type Micros, otherMember } from "../../protocol/chat";
import { type ChatEvent, type ServerFrame, waits, type Welcome } from "../../protocol/frames";
import { StorageFull, StorageLost } from "../../platform/database";
import type { Cancel } from "../../platform/platform";
import { forgetRefusals } from "../store/backfills";
import { accepted, applyEvent, refuse } from "../store/rules";
import type { Gap, MessageRow } from "../store/rows";
import { CodeMissing } from "../store/store";
import type { WriteTx } from "../store/tx";
import { contextOf, type InboundParts } from "./ports";

type Item =
  | { readonly kind: "welcome"; readonly link: Link; readonly welcome: Welcome }
  | { readonly kind: "event"; readonly link: Link; readonly cursor: string; readonly event: ChatEvent }
  | { readonly kind: "caught-up"; readonly link: Link; readonly cursor: string }
  | { readonly kind: "unreadable"; readonly link: Link }
  | { readonly kind: "sent"; readonly link: Link; readonly id: string; readonly acceptedAt: number }
  | {
      readonly kind: "refused";
      readonly link: Link;
      readonly id: string;
      readonly code: string;
      readonly message: string;
    };

export interface InboundHandlers {
  /** Everything that `link` received up to its caught_up is stored, so it may be sent on. */
  onCaughtUp(link: Link): void;
  /** The server refused a message to `uid`, who cannot be written to. Nothing is known about them any more. */
  onUnavailable(uid: string): void;
  /** A send got a final answer, and the answer is stored. */
  onAnswered(link: Link, id: string, accepted: boolean): void;
  /**
   * Messages of others that were stored for the first time. Those that a link brought before it had caught up are
   * reported once it has, and only if they are still unread. Those of the first replay on a new device are not reported.
   * Also own messages to which the other user has reacted, if the link had caught up before.
   */
  onReceived(messages: readonly MessageRow[]): void;
  /** A link delivers something wrong (another user's events), or more than can be stored. */
  onBadLink(link: Link): void;
}

/** The effects of a transaction outside the store. */
interface Written {
  readonly received: readonly MessageRow[];
  readonly replayed: readonly MessageRow[];
  /** Users who cannot be written to, according to refusals. */
  readonly unavailable: readonly string[];
  readonly lead: Link | null;
  readonly cursor: string | null;
}

/** The refusal of a message between users of whom one has blocked the other, or to a disabled user. */
const UNAVAILABLE = "recipient_unavailable";
/** Items per transaction. */
const BATCH = 200;
/**
 * The most items that wait while the device cannot store them. Beyond that, the link is dropped, and a later one
 * resumes from the cursor.
 */
const MAX_WAITING = 2_000;
/** The most messages of a replay that are reported. */
const MAX_REPLAYED = 500;

export class Inbound {
  private readonly parts: InboundParts;
  private readonly handlers: InboundHandlers;
  private readonly backoff: Backoff;
  private queue: Item[] = [];
  private running = false;
  private stopped = false;
  private pause: Cancel | null = null;
  /** The link whose cursor is stored. Another link may be catching up beside it, further behind. */
  private lead: Link | null = null;
  /** Links that have caught up. */
  private readonly caughtUp = new WeakSet<Link>();
  /** Messages that links brought before they had caught up. */
  private replayed: readonly MessageRow[] = [];
  /** Whether the clock's offset has changed and is not stored yet. */
  private clockMoved = false;
  /** The cursor on disk, for hello. Everything up to it is acknowledged. */
  cursor = "";

  constructor(parts: InboundParts, handlers: InboundHandlers) {
    this.parts = parts;
    this.handlers = handlers;
    this.backoff = new Backoff(parts.platform.random, 1_000, 30_000);
  }

  stop(): void {
    this.stopped = true;
    this.queue = [];
    this.pause?.();
  }

  /** Accepts a frame that changes the store. Returns false for any other frame. */
  accept(link: Link, frame: ServerFrame): boolean {
    switch (frame.type) {
      case "welcome":
        if (frame.uid !== this.parts.uid) {
          this.parts.platform.report("the server welcomed another user");
          this.handlers.onBadLink(link);
          return true;
        }
        // Applied at once, because messages transmitted from now on need the server's time.
        this.parts.time.learn(frame.now);
        this.parts.limits.learn(frame.limits);
        this.enqueue({ kind: "welcome", link, welcome: frame });
        return true;
      case "event":
        this.enqueue({ kind: "event", link, cursor: frame.cursor, event: frame.event });
        return true;
      case "caught_up":
        this.enqueue({ kind: "caught-up", link, cursor: frame.cursor });
        return true;
      case "sent":
        this.enqueue({ kind: "sent", link, id: frame.id, acceptedAt: frame.accepted_at });
        return true;
      case "error":
        if (frame.id === null || frame.retry_after_ms !== null) return false;
        this.enqueue({ kind: "refused", link, id: frame.id, code: frame.code, message: frame.message });
        return true;
      default:
        return false;
    }
  }

  /** Records that a frame of `link` could not be read. */
  noteUnreadable(link: Link): void {
    this.enqueue({ kind: "unreadable", link });
  }

  /** Called when `link` has ended. Its items are still stored, but its cursor is not the leading one any more. */
  detach(link: Link): void {
    if (this.lead === link) this.lead = null;
  }

  private enqueue(item: Item): void {
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

  /** Stores a batch and acknowledges it. Returns false if it could not be stored now and will be tried again. */
  private async store(batch: readonly Item[]): Promise<boolean> {
    try {
      const written = await this.write(batch);
      if (!this.stopped) this.publish(batch, written);
      return true;
    } catch (err) {
      if (this.stopped) return false;
      if (err instanceof StorageFull || err instanceof StorageLost || err instanceof CodeMissing) {
        this.parts.platform.report("events could not be stored; trying again", err);
        this.pause = this.parts.platform.clock.after(this.backoff.next(), () => {
          this.pause = null;
          if (!this.running) void this.run();
        });
        return false;
      }
      if (batch.length > 1) {
        // One item cannot be processed by this program. It must not hold up the others.
        for (const item of batch) if (!(await this.store([item]))) return false;
        return true;
      }
      this.parts.platform.report("an event was skipped", err);
      const [item] = batch;
      return item && item.kind !== "unreadable" ? await this.store([{ kind: "unreadable", link: item.link }]) : true;
    }
  }

  private async write(batch: readonly Item[]): Promise<Written> {
    this.clockMoved = this.parts.time.noticeJump() || this.clockMoved;
    const written = await this.parts.store.write(async (tx) => {
      const fresh: MessageRow[] = [];
      let replayed = [...this.replayed];
      const caughtUp = new Set<Link>();
      if (this.clockMoved) await tx.putMeta({ name: "clock", offset: this.parts.time.offsetMs });
      const unavailable = new Set<string>();
      let lead = this.lead;
      let cursor: string | null = null;
      for (const item of batch) {
        switch (item.kind) {
          case "welcome":
            lead ??= item.link;
            await tx.putMeta({ name: "clock", offset: this.parts.time.offsetMs });
            await tx.putMeta({ name: "limits", limits: item.welcome.limits });
            await forgetRefusals(tx, contextOf(this.parts));
            if (!item.welcome.resumed) {
              await noteGap(tx, this.parts);
              if (!(await tx.meta("cursor"))) await tx.putMeta({ name: "replay", live: false, listed: null });
            }
            break;
          case "unreadable":
            await noteGap(tx, this.parts);
            break;
          case "event": {
            const stored = tx.added.length;
            const fits = await applyEvent(tx, contextOf(this.parts), item.event);
            const { type } = item.event;
            const row = tx.added[stored];
            const live = caughtUp.has(item.link) || this.caughtUp.has(item.link);
            if (!fits) this.parts.platform.report("an event that is not for this user was skipped");
            else if (row && live && (type === "message" || type === "change")) fresh.push(row);
            else if (row && type === "message") replayed.push(row);
            else if (item.event.type === "refused" && item.event.code === UNAVAILABLE)
              unavailable.add(otherMember(item.event.conversation, this.parts.uid) ?? "");
            lead ??= item.link;
            if (item.link === lead) cursor = item.cursor;
            break;
          }
          case "caught-up": {
            const replay = await tx.meta("replay");
            if (replay && !replay.live) await tx.putMeta({ ...replay, live: true });
            else
              for (const row of replayed)
                if (row.place > ((await tx.conversation(row.conversation))?.myRead ?? 0)) fresh.push(row);
            replayed = [];
            caughtUp.add(item.link);
            lead = item.link;
            cursor = item.cursor;
            break;
          }
          case "sent":
            await accepted(tx, item.id, item.acceptedAt);
            break;
          case "refused": {
            const row = await tx.queued(item.id);
            if (row && item.code === UNAVAILABLE) unavailable.add(row.to);
            if (row?.queue !== undefined) await refuse(tx, row, { code: item.code, message: item.message });
            break;
          }
        }
      }
      if (cursor !== null) await tx.putMeta({ name: "cursor", cursor, at: this.parts.time.now() });
      replayed = replayed.slice(-MAX_REPLAYED);
      return { received: fresh, replayed, unavailable: [...unavailable], lead, cursor };
    });
    this.clockMoved = false;
    return written;
  }

  private publish(batch: readonly Item[], { received, replayed, unavailable, lead, cursor }: Written): void {
    this.replayed = replayed;
    this.lead = lead === null || lead.state === "ended" ? null : lead;
    const { full } = this.parts.store;
    if (cursor !== null && !full) this.cursor = cursor;
    const acks = new Map<Link, string>();
    // Only messages and changes need an ack. Receipts are covered by the next one (DESIGN §5), which halves the number of
    // acks.
    for (const item of batch)
      if (item.kind === "event" && needsAck(item.event) && !full) acks.set(item.link, item.cursor);
    for (const [link, cursor] of acks) link.ack(cursor);
    if (received.length > 0) this.handlers.onReceived(received);
    for (const uid of unavailable) this.handlers.onUnavailable(uid);
    for (const item of batch) {
      if (item.kind === "caught-up") {
        this.caughtUp.add(item.link);
        this.handlers.onCaughtUp(item.link);
      } else if (item.kind === "sent") this.handlers.onAnswered(item.link, item.id, true);
      else if (item.kind === "refused") this.handlers.onAnswered(item.link, item.id, false);
    }
  }
}

function needsAck(event: ChatEvent): boolean {
  return waits(event) || event.type === "unknown";
}

/**
 * Records that events may be missing, which schedules the loads of history: now, and after 1, 5 and 15 min. Nothing is
 * missing up to `complete`: by default, the time of the last stored event.
 */
export async function noteGap(tx: WriteTx, parts: InboundParts, complete?: Micros): Promise<void> {
  const last = await tx.gap();
  const until = complete ?? (await tx.meta("cursor"))?.at ?? 0;
  const now = parts.platform.clock.now();
  const gap: Gap = {
    n: last.n + 1,
    at: now,
    foundAt: parts.time.now(),
    // Keep the start of an earlier gap that is not backfilled yet.
    since: last.due !== null && last.n > 0 ? Math.min(last.since, until) : until,
    loads: 0,
    tries: 0,
    due: now,
  };
  await tx.putMeta({ name: "gap", gap });
  tx.changes.toDo("backfill");
  tx.changes.toDo("send"); // the outbox waits for history
}
