/** The searches in the messages of one signed-in user, in one tab. Their code is loaded with the first one. */
import type { Cancel } from "../../platform/platform";
import { fold } from "../../text/folding";
import type { LateParts } from "../interface/late";
import { type Readable, Value } from "../observable";
import { IndexedMessages } from "./indexed";
import type { Matches } from "./messageIndex";
import { Allowance, OlderHistory } from "./olderHistory";

/** How soon a search is repeated while messages arrive, in ms. */
const REPEAT_MS = 300;

export interface Found {
  /** The folded query that was searched for. */
  readonly query: string;
  readonly matches: readonly Matches[];
  /** The number of messages that match. */
  readonly count: number;
  /** The index is still being loaded, or the search runs. There may be more matches. */
  readonly busy: boolean;
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
  /** The last result that was complete, and the version of the index that it is of. */
  private last: { readonly query: string; readonly matches: readonly Matches[]; readonly version: number } | null =
    null;
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
      const { loaded, version } = this.index.state.get();
      // While a query grows, its matches are among those of the shorter one.
      const { last } = this;
      const within = last?.version === version && query.includes(last.query) ? last.matches : undefined;
      const matches = await this.index.find(query, this.scope, () => serial === this.serial, within);
      if (matches === null || serial !== this.serial) continue;
      this.last =
        loaded && query !== "" && this.index.state.get().version === version ? { query, matches, version } : null;
      const count = matches.reduce((sum, { length }) => sum + length, 0);
      this.value.set({ query, matches, count, busy: query !== "" && !this.index.state.get().loaded });
    }
    this.running = false;
  }
}
