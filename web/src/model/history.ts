/** Loads history when somebody looks at it; any tab may do so. What the engine owes without being asked is in engine/loader. */
import type { Archive } from "./engine/ports";
import { PAGE } from "./engine/backfiller";
import type { LocalStore } from "./store/store";
import { applyPage, loadedPart, type Place } from "./store/history";
import type { RuleContext } from "./store/rules";
import type { MessageRow } from "./store/rows";

/** History loaded within this time after a gap may predate the saving of what was lost. */
const SAVE_LAG_MS = 15 * 60_000;

export interface HistoryParts {
  readonly store: LocalStore;
  readonly archive: Archive;
  context(): RuleContext;
}

export class History {
  private readonly parts: HistoryParts;

  constructor(parts: HistoryParts) {
    this.parts = parts;
  }

  /**
   * Loads the newest page of a conversation that is being opened, unless what is here is known to
   * be whole. Rejects with ApiProblem, StorageFull, StorageLost or SignInEnded.
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
    if (needed) await this.load(conversation, null);
  }

  /**
   * Messages before `before` (from the end where it is null), oldest first, from this device so far as it has
   * them without a hole, else loaded. `complete`: there are none older. Rejects like {@link refresh}, having loaded nothing.
   */
  async older(
    conversation: string,
    before: Pick<MessageRow, "place" | "id"> | null,
    limit = PAGE,
  ): Promise<{ rows: MessageRow[]; complete: boolean }> {
    const local = await this.local(conversation, before, limit);
    if (local.whole) return local;
    // From the loaded part's last place, included: another message may stand at the same time.
    await this.load(conversation, local.from === null ? null : { at: local.from + 1, id: "" });
    const { rows, complete, from } = await this.local(conversation, before, limit);
    // What lies below the loaded part is here by chance, with holes; it comes with the next page.
    const sound = rows.filter((r) => from === null || complete || r.place >= from);
    return { rows: sound.length > 0 ? sound : rows, complete };
  }

  /** What this device has; `whole` where nothing is missing in it, and it is a full page or the last. */
  async local(
    conversation: string,
    before: Pick<MessageRow, "place" | "id"> | null,
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

  private async load(conversation: string, before: Place | null): Promise<void> {
    const { store, archive } = this.parts;
    const gap = await store.read((tx) => tx.gap());
    const answer = await archive.messages(conversation, before, PAGE);
    await store.write((tx) => applyPage(tx, this.parts.context(), { conversation, before, ...answer }, gap));
  }
}
