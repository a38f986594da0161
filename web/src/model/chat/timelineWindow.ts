/**
 * The part of a conversation that is in memory while it is open. The window loads it, extends it and follows the store.
 */
import { type Micros, otherMember } from "../../protocol/chat";
import type { Cancel, Platform } from "../../platform/platform";
import type { History } from "../history";
import type { Problem } from "../interface/outcome";
import type { Quote, Timeline } from "../interface/conversation";
import { type Readable, Value } from "../observable";
import { problemOf } from "../outcome";
import type { LocalStore } from "../store/store";
import type { Change } from "../store/change";
import type { ConversationRow, MessageRow } from "../store/rows";
import type { ServerTime } from "../time";
import { unreadOf } from "../store/readMarks";
import { TimelineRows } from "./timeline";

export interface WindowParts {
  readonly platform: Platform;
  readonly uid: string;
  readonly store: LocalStore;
  readonly history: History;
  readonly time: ServerTime;
}

/** Messages shown at once when a conversation is opened, in addition to the unread ones. */
const FIRST = 60;
/**
 * The most unread messages that are loaded at once. Beyond that, the "new messages" line is above the oldest loaded
 * one.
 */
const MAX_UNREAD = 500;
/** Messages that a jump to a message far away reads from this device at once, and loads from the server at once. */
const JUMP_READS = 1_000;
const JUMP_PAGE = 100;
/** How long to wait after the store could not be read. */
const RETRY_MS = 1_000;

export class TimelineWindow {
  private readonly parts: WindowParts;
  private readonly id: string;
  private readonly rows: TimelineRows;
  private readonly value: Value<Timeline>;
  private readonly unreadValue = new Value(0);
  /** Quoted messages outside the window. Null: the message is not on this device. */
  private readonly quotes = new Map<string, MessageRow | null>();
  private readonly dirty = new Set<string>();
  private dirtyAll = false;
  private starred: ReadonlySet<string> = new Set();
  /** The stars may have changed. */
  private dirtyStars = false;
  private following = false;
  private opened = false;
  private loading = true;
  private closed = false;
  private complete = false;
  private problem: Problem | null = null;
  /**
   * The user's own read mark when the conversation was opened, or a later one that another device has set, or that an
   * answer implies.
   */
  private readAtOpen = 0;
  /** Waits for the list of a new device, which has the read marks. */
  private awaitingMarks = false;
  private firstUnread: string | null = null;
  private held: string | null = null;
  /** Messages up to here were removed. */
  private removed: Micros = 0;
  private older: Promise<void> | null = null;
  private retry: Cancel | null = null;
  private readonly unlisten: () => void;
  private readonly marked: () => Micros;

  /** `marked` returns how far the user has read in this window. */
  constructor(parts: WindowParts, id: string, marked: () => Micros) {
    this.parts = parts;
    this.id = id;
    this.marked = marked;
    this.rows = new TimelineRows({
      uid: parts.uid,
      ofLocal: (ms) => parts.time.ofLocal(ms),
      quoted: (quoted) => this.quoted(quoted),
    });
    this.value = new Value<Timeline>({
      items: [],
      loading: true,
      loadingOlder: false,
      complete: false,
      problem: null,
      firstUnread: null,
      held: null,
      starred: this.starred,
    });
    this.unlisten = parts.store.onChange((change) => this.changed(change));
    void this.open();
  }

  get timeline(): Readable<Timeline> {
    return this.value;
  }

  get unread(): Readable<number> {
    return this.unreadValue;
  }

  row(key: string): MessageRow | undefined {
    return this.rows.row(key);
  }

  quote(key: string): Quote {
    return this.rows.quote(key);
  }

  close(): void {
    this.closed = true;
    this.retry?.();
    this.unlisten();
  }

  /** Shows a problem that happened outside the window. */
  showProblem(problem: Problem): void {
    this.problem = problem;
    this.publish();
  }

  async loadOlder(): Promise<void> {
    if (this.complete || this.closed || !this.opened) return;
    this.older ??= this.loadPage().finally(() => {
      this.older = null;
      this.publish();
    });
    this.publish();
    await this.older;
  }

  async reveal(key: string): Promise<boolean> {
    // A reply may name a message that cannot exist.
    if (otherMember(this.id, key.slice(key.indexOf(".") + 1)) === null) return false;
    await this.older;
    if (this.rows.has(key) || this.complete || this.closed || !this.opened) return this.rows.has(key);
    this.older = this.loadBackTo(key).finally(() => {
      this.older = null;
      this.publish();
    });
    this.publish();
    await this.older;
    return this.rows.has(key);
  }

  /** Loads everything from a message on. It is shown at once, at the end. */
  private async loadBackTo(key: string): Promise<void> {
    while (!this.rows.has(key) && !this.complete && !this.closed) {
      const before = this.rows.size;
      const stored = await this.parts.history.local(this.id, this.rows.first(), JUMP_READS).catch(() => null);
      if (stored?.whole) {
        this.rows.put(stored.rows);
        this.complete = stored.complete;
      } else await this.loadPage(JUMP_PAGE);
      const pause = this.problem?.retryAfterMs ?? null;
      // Beyond the server's budget, the jump only becomes slower.
      if (pause !== null) await new Promise<void>((resolve) => void this.parts.platform.clock.after(pause, resolve));
      else if (this.rows.size === before) return;
    }
  }

  // --- loading ---

  private async open(): Promise<void> {
    try {
      if (await this.fill()) {
        // Stored messages show at once. An empty window waits for the server.
        this.loading = this.rows.size === 0;
        this.opened = true;
        this.publish();
      }
      await this.refresh();
    } catch (err) {
      this.problem = problemOf(err);
    }
    await this.reach();
  }

  /** Shows the conversation from the first unread message on, as soon as the read marks are known. */
  private async reach(): Promise<void> {
    try {
      if (!this.opened && !(await this.fill()) && this.problem === null) {
        this.awaitingMarks = true;
        return;
      }
      await this.reachUnread();
    } catch (err) {
      this.problem = problemOf(err);
    }
    this.opened = true;
    this.loading = false;
    this.placeUnreadLine();
    this.publish();
    // Applies changes that arrived meanwhile.
    this.follow();
  }

  /**
   * Reads the newest rows of this device, and as many more as are unread. Returns false on a new device that does not
   * know the read marks yet. Its rows may be anything of the past.
   */
  private async fill(): Promise<boolean> {
    const { rows, conversation, replay, starred } = await this.parts.store.read(async (tx) => {
      const row = await tx.conversation(this.id);
      const unseen = row ? (await tx.messagesFrom(this.id, row.myRead + 1, MAX_UNREAD)).length : 0;
      const newest = await tx.messagesBefore(this.id, null, FIRST + unseen);
      return { rows: newest, conversation: row, replay: await tx.replay(), starred: await tx.starred(this.id) };
    });
    if (replay && !replay.listed && this.problem === null) return false;
    this.readAtOpen = conversation?.myRead ?? 0;
    this.showMarks(conversation);
    this.starred = starred;
    this.rows.put(rows);
    this.placeUnreadLine();
    await this.checkComplete();
    return true;
  }

  /** Loads the newest page if messages may be missing on this device. */
  private async refresh(): Promise<void> {
    try {
      await this.parts.history.refresh(this.id);
      this.problem = null;
      const missing = FIRST - this.rows.size;
      if (missing > 0) this.rows.put((await this.parts.history.local(this.id, this.rows.first(), missing)).rows);
      await this.checkComplete();
    } catch (err) {
      this.failed(err, () => void this.refresh().then(() => this.publish()));
    }
  }

  /** Shows a problem of loading. If the server asked for a pause, loading goes on by itself after it. */
  private failed(err: unknown, again: () => void): void {
    const problem = problemOf(err);
    this.problem = problem;
    this.retry?.();
    this.retry = problem.retryAfterMs === null ? null : this.parts.platform.clock.after(problem.retryAfterMs, again);
  }

  /** Loads back to the first unread message, so that the conversation can open there. */
  private async reachUnread(): Promise<void> {
    while (
      !this.complete &&
      this.problem === null &&
      this.unreadValue.get() > 0 &&
      this.rows.size < MAX_UNREAD &&
      !this.closed
    ) {
      const first = this.rows.first();
      if (!first || first.place <= this.readAtOpen) return;
      const before = this.rows.size;
      await this.loadPage();
      if (this.rows.size === before) return;
    }
  }

  private async loadPage(limit?: number): Promise<void> {
    const before = this.rows.first();
    try {
      const page = await this.parts.history.older(this.id, before, limit);
      this.rows.put(page.rows);
      this.problem = null;
    } catch (err) {
      this.failed(err, () => void this.loadOlder());
      // Offline, show the stored rows even though messages between them may be missing. A pause is only waited for.
      const waits = this.problem?.retryAfterMs !== null;
      const page = waits ? null : await this.parts.history.local(this.id, before).catch(() => null);
      if (page) this.rows.put(page.rows);
    }
    await this.checkComplete().catch(() => undefined);
  }

  private async checkComplete(): Promise<void> {
    const older = await this.parts.history.local(this.id, this.rows.first(), 1);
    this.complete = older.complete && older.rows.length === 0;
  }

  /** Finds the message at which the "new messages" line begins. */
  private placeUnreadLine(): void {
    this.firstUnread = null;
    for (const row of this.rows.rows()) {
      if (row.status !== "received" || row.place <= this.readAtOpen) continue;
      this.firstUnread = row.key;
      return;
    }
  }

  // --- following the store ---

  private changed(change: Change): void {
    const keys = change.messages[this.id] ?? [];
    for (const key of keys) this.dirty.add(key);
    if (change.all) this.dirtyAll = true;
    if (change.all || change.settings.includes(this.id)) this.dirtyStars = true;
    if (this.awaitingMarks && change.meta.includes("replay")) {
      this.awaitingMarks = false;
      void this.reach();
    }
    if (change.meta.includes("gap") && this.opened) void this.refresh().then(() => this.publish());
    if (keys.length > 0 || change.all || change.conversations.includes(this.id)) this.follow();
  }

  private follow(): void {
    if (!this.following && this.opened && !this.closed) void this.catchUp();
  }

  private async catchUp(): Promise<void> {
    this.following = true;
    try {
      do await this.round();
      while ((this.dirty.size > 0 || this.dirtyAll || this.dirtyStars) && !this.closed);
    } catch (err) {
      this.parts.platform.report("a conversation could not be read", err);
      // The set of changes is lost, so everything is read again.
      this.dirtyAll = true;
      this.dirtyStars = true;
      this.parts.platform.clock.after(RETRY_MS, () => this.follow());
    } finally {
      this.following = false;
    }
  }

  private async round(): Promise<void> {
    const all = this.dirtyAll;
    const keys = new Set(this.dirty);
    const stars = this.dirtyStars;
    const start = this.rows.first()?.place;
    this.dirty.clear();
    this.dirtyAll = false;
    this.dirtyStars = false;
    const { found, conversation, starred } = await this.parts.store.read(async (tx) => {
      const rows: MessageRow[] = [];
      if (all)
        rows.push(
          ...(start === undefined
            ? await tx.messagesBefore(this.id, null, FIRST)
            : await tx.messagesFrom(this.id, start)),
        );
      for (const key of keys) {
        const row = await tx.message(this.id, key);
        if (row) rows.push(row);
      }
      return {
        found: rows,
        conversation: await tx.conversation(this.id),
        starred: stars ? await tx.starred(this.id) : this.starred,
      };
    });
    if (this.closed) return;
    this.starred = starred;
    if (all) for (const row of this.rows.rows()) keys.add(row.key);
    const first = this.rows.first();
    for (const row of found) {
      keys.delete(row.key);
      const before = this.rows.row(row.key);
      const quoted = this.quotes.has(row.key);
      // Messages older than the window are loaded when it is scrolled to them.
      if (first === null || this.complete || this.rows.has(row.key) || row.place >= first.place) {
        this.rows.put([row]);
        // The user has answered, so nothing before is new.
        if (!before && row.from === this.parts.uid) this.raiseLine(row.place);
      }
      if (quoted) this.quotes.set(row.key, row);
      if (quoted || (before && before.body !== row.body)) this.rows.requote(row.key);
    }
    for (const key of keys) this.rows.delete(key);
    this.showMarks(conversation);
    this.publish();
  }

  /** Nothing up to `place` is new any more. */
  private raiseLine(place: number): void {
    if (this.firstUnread === null || place <= this.readAtOpen) return;
    this.readAtOpen = place;
    this.placeUnreadLine();
  }

  private showMarks(conversation: ConversationRow | undefined): void {
    if (!conversation) return;
    // Another device, or another tab, has read further.
    if (conversation.readShown > this.marked()) this.raiseLine(conversation.readShown);
    this.rows.mark(conversation);
    this.held = conversation.held ?? null;
    this.removed = conversation.removed ?? 0;
    this.unreadValue.set(unreadOf(conversation));
  }

  /** Returns a quoted message outside the window. It is read once and then kept up to date. */
  private quoted(key: string): MessageRow | undefined {
    const known = this.quotes.get(key);
    if (known === undefined) {
      this.quotes.set(key, null);
      this.dirty.add(key);
      this.follow();
    }
    return known ?? undefined;
  }

  private publish(): void {
    if (this.closed) return;
    const items = this.rows.items(this.removed);
    const next: Timeline = {
      items,
      loading: this.loading,
      loadingOlder: this.older !== null,
      complete: this.complete || items.length < this.rows.size,
      problem: this.problem,
      firstUnread: this.firstUnread,
      held: items.some((m) => m.state === "waiting") ? this.held : null,
      starred: this.starred,
    };
    const old = this.value.get();
    const same = (Object.keys(next) as (keyof Timeline)[]).every((key) => Object.is(next[key], old[key]));
    if (!same) this.value.set(next);
  }
}
