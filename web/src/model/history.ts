/** Loads history when somebody looks at it. Any tab may do so. engine/backfiller loads what nobody asked for. */
import type { Archive } from "./engine/ports";
import { PAGE } from "./engine/backfiller";
import type { LocalStore } from "./store/store";
import { applyPage, loadedPart, type Place } from "./store/history";
import type { RuleContext } from "./store/rules";
import type { MessageRow } from "./store/rows";

/** Saving may lag this far behind. History loaded within this time after a gap may lack missed messages. */
const SAVE_LAG_MS = 15 * 60_000;

export interface HistoryParts {
  readonly store: LocalStore;
  readonly archive: Archive;
  context(): RuleContext;
}

/** A conversation that is not complete on this device, and the start of what is here without a gap, in µs. */
export interface Shortest {
  readonly conversation: string;
  /** Null: nothing is here. */
  readonly from: number | null;
}

export class History {
  private readonly parts: HistoryParts;

  constructor(parts: HistoryParts) {
    this.parts = parts;
  }

  /**
   * Loads the newest page of a conversation that is being opened, unless the stored part is known to be complete.
   * Rejects with ApiProblem, StorageFull, StorageLost or SignInEnded.
   */
  async refresh(conversation: string): Promise<void> {
    const { store } = this.parts;
    const needed = await store.read(async (tx) => {
      const row = await tx.conversation(conversation);
      const gap = await tx.gap();
      if (!row) return true;
      const { from, complete } = loadedPart(row, gap);
      if (from === null && !complete) return true;
      return row.checkedAt < gap.at + SAVE_LAG_MS;
    });
    if (needed) await this.load(conversation, null, PAGE);
  }

  /**
   * Returns messages before `before` (null: from the end), oldest first. They come from this device as far as it has
   * them without a gap, and from the server otherwise. `complete`: there are no older ones. If loading fails, it
   * rejects like {@link refresh} and changes nothing.
   */
  async older(
    conversation: string,
    before: Pick<MessageRow, "place" | "key"> | null,
    limit = PAGE,
  ): Promise<{ rows: MessageRow[]; complete: boolean }> {
    const local = await this.local(conversation, before, limit);
    if (local.whole) return local;
    const start = local.from;
    if (start === null) await this.load(conversation, null, PAGE);
    else {
      // Starts at the last place of the loaded part, inclusive, because another message may have the same time.
      const have = local.rows.filter((r) => r.place > start).length;
      await this.load(conversation, { at: start + 1, key: "" }, limit - have);
    }
    const { rows, complete, from } = await this.local(conversation, before, limit);
    // Stored rows below the loaded part may have gaps between them. They come with the next page.
    const sound = rows.filter((r) => from === null || complete || r.place >= from);
    return { rows: sound.length > 0 ? sound : rows, complete };
  }

  /**
   * Loads the page before the part that this device has without a gap. Returns how many messages the server read for
   * it; 0 if the whole conversation is here. Rejects like {@link refresh}.
   */
  async extend(conversation: string, limit: number): Promise<number> {
    const { from, complete } = await this.parts.store.read(async (tx) => {
      const row = await tx.conversation(conversation);
      return row ? loadedPart(row, await tx.gap()) : { from: null, complete: false };
    });
    if (complete) return 0;
    // Starts at the last place of the loaded part, inclusive, as above.
    return await this.load(conversation, from === null ? null : { at: from + 1, key: "" }, limit);
  }

  /**
   * Returns the conversation of which the shortest time is on this device: a certain one, or any one (null), but none of
   * those to skip. Returns null if they are complete.
   */
  async shortest(one: string | null, skip: ReadonlySet<string>): Promise<Shortest | null> {
    return await this.parts.store.read(async (tx) => {
      const gap = await tx.gap();
      const rows = one === null ? await tx.conversations() : [await tx.conversation(one)];
      let found: Shortest | null = null;
      for (const row of rows) {
        if (!row || skip.has(row.id)) continue;
        const { from, complete } = loadedPart(row, gap);
        if (complete || (found !== null && (found.from ?? Infinity) >= (from ?? Infinity))) continue;
        found = { conversation: row.id, from };
      }
      return found;
    });
  }

  /** Returns what this device has. `whole`: nothing is missing in it, and it is a full page or the last one. */
  async local(
    conversation: string,
    before: Pick<MessageRow, "place" | "key"> | null,
    limit = PAGE,
  ): Promise<{ rows: MessageRow[]; complete: boolean; whole: boolean; from: number | null }> {
    return await this.parts.store.read(async (tx) => {
      const rows = (await tx.messagesBefore(conversation, before, limit)).reverse();
      const row = await tx.conversation(conversation);
      const { from, complete } = row ? loadedPart(row, await tx.gap()) : { from: null, complete: false };
      const oldest = rows[0];
      const reaches = from !== null && oldest !== undefined && oldest.place >= from;
      const full = rows.length >= limit;
      return { rows, complete: complete && !full, whole: complete || (reaches && full), from };
    });
  }

  /** Returns the number of messages of the page. */
  private async load(conversation: string, before: Place | null, limit: number): Promise<number> {
    const { store, archive } = this.parts;
    const gap = await store.read((tx) => tx.gap());
    const answer = await archive.messages(conversation, before, limit);
    await store.write((tx) => applyPage(tx, this.parts.context(), { conversation, before, ...answer }, gap));
    return answer.messages.length;
  }
}
