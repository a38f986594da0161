/** The searches in the messages of one signed-in user, in one tab. Their code is loaded with the first one. */
import { otherMember } from "../../protocol/chat";
import type { Cancel } from "../../platform/platform";
import { fold } from "../../text/folding";
import type { LateParts } from "../interface/late";
import { type Readable, Value } from "../observable";
import { type Entry, type Matches, newestOf, textOf } from "./messageIndex";
import { excerptOf, type Part } from "./excerpt";
import { IndexedMessages } from "./indexed";
import { Allowance, OlderHistory } from "./olderHistory";

/** How soon a search is repeated while messages arrive, in ms. */
const REPEAT_MS = 300;
/** The hits that are shown at once. More are shown when the user reaches them. */
const SHOWN = 30;

export interface Found {
  /** The folded query that was searched for. */
  readonly query: string;
  readonly matches: readonly Matches[];
  /** The number of messages that match. */
  readonly count: number;
  /** The index is still being loaded, or the search runs. There may be more matches. */
  readonly busy: boolean;
}

/** A message that was found. */
export interface Hit {
  readonly conversation: string;
  readonly key: string;
  /** The other member of the conversation. */
  readonly uid: string;
  readonly mine: boolean;
  /** When it was sent or typed, in ms. */
  readonly time: number;
  readonly excerpt: readonly Part[];
}

/** Keeps the index and what searches may read, from the first search until the sign-out. */
export class Searches {
  private readonly parts: LateParts;
  private readonly allowance: Allowance;
  private index: IndexedMessages | null = null;

  constructor(parts: LateParts) {
    this.parts = parts;
    this.allowance = new Allowance(parts.platform.clock);
    parts.onStop(() => this.index?.close());
  }

  /** Reads the stored messages into the index, if this was not done before. */
  prepare(): IndexedMessages {
    this.index ??= new IndexedMessages(this.parts);
    return this.index;
  }

  /** Begins a search in one conversation, or in all of them (null). */
  open(scope: string | null): MessageSearch {
    return new MessageSearch(this.parts, this.prepare(), this.allowance, scope);
  }
}

export class MessageSearch {
  /** Loads older history as long as the search is open. */
  readonly older: OlderHistory;
  private readonly parts: LateParts;
  private readonly index: IndexedMessages;
  private readonly scope: string | null;
  private readonly value = new Value<Found>({ query: "", matches: [], count: 0, busy: false });
  private query = "";
  /** Incremented per query, which ends the search for an older one. */
  private serial = 0;
  private running = false;
  private stale = false;
  private timer: Cancel | null = null;
  private readonly ends: Cancel[];

  constructor(parts: LateParts, index: IndexedMessages, allowance: Allowance, scope: string | null) {
    this.parts = parts;
    this.index = index;
    this.scope = scope;
    this.older = new OlderHistory(parts, allowance, scope);
    this.ends = [index.state.subscribe(() => this.changed())];
  }

  get found(): Readable<Found> {
    return this.value;
  }

  search(query: string): void {
    const folded = fold(query);
    if (folded === this.query) return;
    this.query = folded;
    this.serial++;
    this.timer?.();
    this.timer = null;
    void this.run();
  }

  close(): void {
    this.serial++;
    this.timer?.();
    for (const end of this.ends) end();
    this.older.close();
  }

  /** Repeats the search after a change of the index. */
  private changed(): void {
    if (this.query === "") return;
    this.timer ??= this.parts.platform.clock.after(REPEAT_MS, () => {
      this.timer = null;
      void this.run();
    });
  }

  private async run(): Promise<void> {
    this.stale = true;
    if (this.running) return;
    this.running = true;
    while (this.stale) {
      this.stale = false;
      const { query, serial } = this;
      if (query !== this.value.get().query) this.value.update((old) => ({ ...old, busy: query !== "" }));
      const matches = await this.index.find(query, this.scope, () => serial === this.serial);
      if (matches === null || serial !== this.serial) continue;
      const count = matches.reduce((sum, { length }) => sum + length, 0);
      this.value.set({ query, matches, count, busy: query !== "" && !this.index.state.get().loaded });
    }
    this.running = false;
  }
}

/** The newest hits of a search, with their texts. */
export interface HitList {
  readonly query: string;
  readonly hits: readonly Hit[];
  readonly more: boolean;
  /** There may be more hits in a moment. */
  readonly busy: boolean;
}

/** Reads the texts of what a search has found, as far as they are shown. */
export class Hits {
  private readonly parts: Pick<LateParts, "uid" | "store" | "platform">;
  private readonly search: MessageSearch;
  private readonly value = new Value<HitList>({ query: "", hits: [], more: false, busy: false });
  private shown = SHOWN;
  private query = "";
  private serial = 0;
  private readonly unlisten: Cancel;

  constructor(parts: Pick<LateParts, "uid" | "store" | "platform">, search: MessageSearch) {
    this.parts = parts;
    this.search = search;
    this.unlisten = search.found.subscribe((found) => {
      if (found.query !== this.query) this.shown = SHOWN;
      this.query = found.query;
      void this.read(found);
    });
  }

  get list(): Readable<HitList> {
    return this.value;
  }

  /** Shows more of them. */
  more(): void {
    if (!this.value.get().more || this.value.get().hits.length < this.shown) return;
    this.shown += SHOWN;
    void this.read(this.search.found.get());
  }

  close(): void {
    this.serial++;
    this.unlisten();
  }

  private async read({ query, matches, count, busy }: Found): Promise<void> {
    const serial = ++this.serial;
    const entries = newestOf(matches, this.shown);
    const hits = await this.texts(entries, query);
    if (serial === this.serial) this.value.set({ query, hits, more: count > entries.length, busy });
  }

  private async texts(entries: readonly Entry[], query: string): Promise<Hit[]> {
    if (entries.length === 0) return [];
    try {
      const rows = await this.parts.store.read((tx) =>
        Promise.all(entries.map((entry) => tx.message(entry.conversation, entry.key))),
      );
      return rows.flatMap((row) => {
        const uid = row && otherMember(row.conversation, this.parts.uid);
        const excerpt = row ? excerptOf(textOf(row), query) : [];
        // Otherwise it has changed meanwhile. The index follows.
        if (!row || !uid || !excerpt.some(({ hit }) => hit)) return [];
        const { conversation, key, at, typedAt } = row;
        const mine = row.from === this.parts.uid;
        return [{ conversation, key, uid, mine, time: at === null ? (typedAt ?? 0) : at / 1000, excerpt }];
      });
    } catch (err) {
      this.parts.platform.report("messages could not be read for the search", err);
      return [];
    }
  }
}
