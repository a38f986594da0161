/** The texts of the messages that a search has found. They are read when they are shown, since the index is folded. */
import type { Cancel } from "../../platform/platform";
import type { LateParts } from "../interface/late";
import { type Readable, Value } from "../observable";
import { excerptOf, type Part } from "./excerpt";
import { type Entry, newestOf, textOf } from "./messageIndex";
import type { Found, MessageSearch } from "./search";

/** The hits that are shown at once. More are shown when the user reaches them. */
const SHOWN = 30;

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
        Promise.all(
          entries.map(async ({ conversation, key }) => {
            const row = await tx.message(conversation, key);
            // Messages of a removed request are not shown anywhere.
            return row && row.place > ((await tx.conversation(conversation))?.removed ?? 0) ? row : undefined;
          }),
        ),
      );
      return rows.flatMap((row) => {
        const uid = row?.from === this.parts.uid ? row.to : row?.from;
        const excerpt = row ? excerptOf(textOf(row), query) : [];
        // Otherwise it has changed meanwhile. The index follows.
        if (!row || uid === undefined || !excerpt.some(({ hit }) => hit)) return [];
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
