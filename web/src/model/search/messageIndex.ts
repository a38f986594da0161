/** The folded texts of all messages on this device, in memory. Plain code; ./indexed reads the messages. */
import { fold } from "../../text/folding";
import type { MessageRow } from "../store/rows";

/** A message in the index. */
export interface Entry {
  readonly conversation: string;
  readonly key: string;
  readonly place: number;
  readonly text: string;
}

type Row = Pick<MessageRow, "conversation" | "key" | "place" | "body">;

/** The matches in one conversation, newest first. Never empty. */
export type Matches = readonly Entry[];

/** After so many messages, a search asks whether it should pause. */
const STRIDE = 256;

/**
 * The text of a message that is searched. Everything that must not be found, such as deleted text, is not in it. This
 * is the only place that reads it.
 */
export function textOf(row: Pick<MessageRow, "body">): string {
  return row.body;
}

function compare(a: Pick<Entry, "place" | "key">, b: Pick<Entry, "place" | "key">): number {
  return a.place - b.place || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
}

class Shelf {
  /** Oldest first, in the order of the conversation. */
  readonly entries: Entry[] = [];
  private readonly byKey = new Map<string, Entry>();

  put(entry: Entry): void {
    this.delete(entry.key);
    this.byKey.set(entry.key, entry);
    const at = this.placeOf(entry);
    if (at === this.entries.length) this.entries.push(entry);
    else this.entries.splice(at, 0, entry);
  }

  delete(key: string): void {
    const known = this.byKey.get(key);
    if (!known) return;
    this.byKey.delete(key);
    this.entries.splice(this.placeOf(known), 1);
  }

  /** Returns the index of an entry, or that at which it belongs. */
  private placeOf(entry: Entry): number {
    let low = 0;
    let high = this.entries.length;
    const last = this.entries[high - 1];
    if (last && compare(last, entry) < 0) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = this.entries[middle];
      if (at && compare(at, entry) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export class MessageIndex {
  private shelves = new Map<string, Shelf>();

  get size(): number {
    let size = 0;
    for (const shelf of this.shelves.values()) size += shelf.entries.length;
    return size;
  }

  /** Adds messages, or replaces those that are known. */
  put(rows: readonly Row[]): void {
    for (const row of rows) {
      let shelf = this.shelves.get(row.conversation);
      if (!shelf) {
        shelf = new Shelf();
        this.shelves.set(row.conversation, shelf);
      }
      const { conversation, key, place } = row;
      shelf.put({ conversation, key, place, text: fold(textOf(row)) });
    }
  }

  delete(conversation: string, key: string): void {
    this.shelves.get(conversation)?.delete(key);
  }

  clear(): void {
    this.shelves = new Map();
  }

  /**
   * Finds a folded query in one conversation, or in all of them (null), or only among earlier matches. `pause` is called
   * now and then; the search goes on when its promise resolves, and ends with null if that is false.
   */
  async find(
    query: string,
    scope: string | null,
    pause: () => Promise<boolean> | true,
    within?: readonly Matches[],
  ): Promise<Matches[] | null> {
    const found: Matches[] = [];
    if (query === "") return found;
    let searched = 0;
    for (const entries of within ?? this.newestFirst(scope)) {
      const matches: Entry[] = [];
      for (let i = 0; i < entries.length; i++) {
        const entry = entries[i];
        if (entry?.text.includes(query)) matches.push(entry);
        if (++searched % STRIDE > 0) continue;
        const asked = pause();
        if (asked !== true && !(await asked)) return null;
      }
      if (matches.length > 0) found.push(matches);
    }
    return found;
  }

  /** Returns the messages of one conversation, or of all of them, as they are now. */
  private *newestFirst(scope: string | null): Iterable<readonly Entry[]> {
    for (const [conversation, { entries }] of this.shelves)
      if (scope === null || scope === conversation) yield [...entries].reverse();
  }
}

/** Returns the newest `count` of the matches, newest first. */
export function newestOf(found: readonly Matches[], count: number): Entry[] {
  const newest: Entry[] = [];
  const next = found.map(() => 0);
  while (newest.length < count) {
    let best: { entry: Entry; list: number } | null = null;
    for (const [list, matches] of found.entries()) {
      const entry = matches[next[list] ?? 0];
      if (entry && (best === null || compare(entry, best.entry) > 0)) best = { entry, list };
    }
    if (!best) break;
    newest.push(best.entry);
    next[best.list] = (next[best.list] ?? 0) + 1;
  }
  return newest;
}
