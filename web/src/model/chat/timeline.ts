/**
 * The messages of one open conversation: rows of the store, sorted, as items for a view. Plain and synchronous code;
 * ./timelineWindow loads the rows.
 */
import type { Message, Quote } from "../interface/conversation";
import type { Micros } from "../../protocol/chat";
import { type ConversationRow, type MessageRow, WAITING } from "../store/rows";
import { stateOf } from "./messageState";

/** The data that items need beside the rows. */
export interface TimelineContext {
  readonly uid: string;
  /** Converts a time of this device's clock to the server's clock, in ms. */
  ofLocal(ms: number): number;
  /** Returns a quoted message that is not in the window, or undefined if it is not known. */
  quoted(key: string): MessageRow | undefined;
}

/** Beyond this difference the view shows both times, so that nobody can backdate a message unnoticed. */
const BACKDATED_MICROS = 10 * 60_000_000;

export type Marks = Pick<ConversationRow, "myRead" | "otherRead">;

interface Entry {
  row: MessageRow;
  item: Message;
}

/** Compares rows by the order that all devices share: (at, key). Messages without an `at` come last. */
export function compareRows(a: Pick<MessageRow, "place" | "key">, b: Pick<MessageRow, "place" | "key">): number {
  return a.place - b.place || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
}

export class TimelineRows {
  private readonly context: TimelineContext;
  private marks: Marks = { myRead: 0, otherRead: 0 };
  private readonly byKey = new Map<string, Entry>();
  private sorted: Entry[] = [];
  private list: readonly Message[] = [];
  private after: Micros = 0;
  private stale = false;

  constructor(context: TimelineContext) {
    this.context = context;
  }

  get size(): number {
    return this.sorted.length;
  }

  has(key: string): boolean {
    return this.byKey.has(key);
  }

  row(key: string): MessageRow | undefined {
    return this.byKey.get(key)?.row;
  }

  /** The oldest row, or null if there is none. */
  first(): MessageRow | null {
    return this.sorted[0]?.row ?? null;
  }

  /** All rows, oldest first. */
  *rows(): Iterable<MessageRow> {
    for (const entry of this.sorted) yield entry.row;
  }

  /**
   * Returns the items after a time, in order. Returns the same array with the same objects as long as nothing changed.
   */
  items(after: Micros = 0): readonly Message[] {
    if (this.stale || after !== this.after) {
      this.list = this.sorted.filter((e) => e.row.place > after).map((e) => e.item);
      this.after = after;
      this.stale = false;
    }
    return this.list;
  }

  /** Adds rows, or updates those that are known. */
  put(rows: readonly MessageRow[]): void {
    const fresh: Entry[] = [];
    for (const row of rows) {
      const known = this.byKey.get(row.key);
      if (!known) {
        const entry = { row, item: this.itemOf(row) };
        this.byKey.set(row.key, entry);
        fresh.push(entry);
        continue;
      }
      if (known.row.place !== row.place && !fresh.includes(known)) {
        this.removeEntry(known);
        known.row = row;
        this.insert(known);
      }
      known.row = row;
      this.renewItem(known);
    }
    this.merge(fresh);
  }

  delete(key: string): void {
    const entry = this.byKey.get(key);
    if (!entry) return;
    this.removeEntry(entry);
    this.byKey.delete(key);
  }

  /** Applies moved read marks. */
  mark(marks: Marks): void {
    if (marks.myRead === this.marks.myRead && marks.otherRead === this.marks.otherRead) return;
    this.marks = { myRead: marks.myRead, otherRead: marks.otherRead };
    for (const entry of this.sorted) if (entry.item.state !== stateOf(entry.row, this.marks)) this.renewItem(entry);
  }

  /** Updates the items that quote a message that has become known or has changed. */
  requote(key: string): void {
    for (const entry of this.sorted) if (entry.row.replyTo === key) this.renewItem(entry);
  }

  quote(key: string): Quote {
    const row = this.byKey.get(key)?.row ?? this.context.quoted(key);
    if (!row) return { key, mine: null, body: null };
    return { key, mine: row.from === this.context.uid, body: row.body };
  }

  /** Merges new entries. A page that is older than all entries is prepended in one step. */
  private merge(fresh: Entry[]): void {
    fresh.sort((a, b) => compareRows(a.row, b.row));
    const first = this.sorted[0];
    const last = fresh[fresh.length - 1];
    if (first && last && fresh.length > 1 && compareRows(last.row, first.row) < 0) {
      this.sorted = [...fresh, ...this.sorted];
      this.stale = true;
      return;
    }
    for (const entry of fresh) this.insert(entry);
  }

  private insert(entry: Entry): void {
    // Most entries belong at the end or at the beginning.
    let low = 0;
    let high = this.sorted.length;
    const last = this.sorted[high - 1];
    if (last && compareRows(last.row, entry.row) < 0) low = high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = this.sorted[middle];
      if (at && compareRows(at.row, entry.row) < 0) low = middle + 1;
      else high = middle;
    }
    this.sorted.splice(low, 0, entry);
    this.stale = true;
  }

  private removeEntry(entry: Entry): void {
    const at = this.sorted.indexOf(entry);
    if (at >= 0) this.sorted.splice(at, 1);
    this.stale = true;
  }

  private renewItem(entry: Entry): void {
    const item = this.itemOf(entry.row);
    if (sameItem(item, entry.item)) return;
    entry.item = item;
    this.stale = true;
  }

  private changesOf(
    { deleted, edited, reactions = {} }: NonNullable<MessageRow["changes"]>,
    settled: MessageRow["settled"],
  ): NonNullable<Message["changes"]> {
    return {
      deleted: deleted !== undefined,
      edited: edited ? (edited.at < WAITING ? edited.at / 1000 : 0) : null,
      reactions: Object.entries(reactions).flatMap(([by, { emoji }]) =>
        emoji === undefined ? [] : [{ emoji, mine: by === this.context.uid }],
      ),
      waiting: settled?.waiting ?? false,
      undo: settled?.undo ?? false,
    };
  }

  private itemOf(row: MessageRow): Message {
    const { at, acceptedAt } = row;
    const late = at !== null && acceptedAt !== null && Math.abs(acceptedAt - at) > BACKDATED_MICROS;
    return {
      key: row.key,
      mine: row.from === this.context.uid,
      body: row.body,
      time: at === null ? this.context.ofLocal(row.typedAt ?? 0) : at / 1000,
      acceptedTime: late ? acceptedAt / 1000 : null,
      state: stateOf(row, this.marks),
      deliveredTime: row.deliveredAt === null ? null : row.deliveredAt / 1000,
      refusal: row.refusal,
      quote: row.replyTo === null ? null : this.quote(row.replyTo),
      ...(row.changes && { changes: this.changesOf(row.changes, row.settled) }),
      ...(row.unchanged && { reverted: row.unchanged }),
    };
  }
}

function sameItem(a: Message, b: Message): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
