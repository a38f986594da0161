/** Keeps a {@link MessageIndex} of the messages of this device, from its first use until the sign-out. */
import type { LateParts } from "../interface/late";
import { type Readable, Value } from "../observable";
import type { Change } from "../store/change";
import { type Matches, MessageIndex } from "./messageIndex";

/** So few messages are read at once that handling them is not a long task, even on a slow phone. */
const CHUNK = 250;
/** After this time, a search lets the page handle what has happened, in ms. One frame. */
const SLICE_MS = 16;
/** How long to wait after the store could not be read. */
const RETRY_MS = 1_000;

/** The state of the index. `version` grows with each change of it. */
export interface Indexed {
  /** Everything that was stored is in the index. */
  readonly loaded: boolean;
  readonly version: number;
}

export type IndexedParts = Pick<LateParts, "platform" | "store">;

export class IndexedMessages {
  private readonly parts: IndexedParts;
  private readonly index = new MessageIndex();
  private readonly value = new Value<Indexed>({ loaded: false, version: 0 });
  /** The path of the last message that was read. Null: all were read. */
  private after: string | null = "";
  /** Changed messages to read again: conversation and key by path. */
  private readonly dirty = new Map<string, readonly [conversation: string, key: string]>();
  /** Incremented when everything is read again. */
  private round = 0;
  private working = false;
  private closed = false;
  private readonly unlisten: () => void;

  /** Begins to read the messages. */
  constructor(parts: IndexedParts) {
    this.parts = parts;
    this.unlisten = parts.store.onChange((change) => this.onChange(change));
    void this.work();
  }

  get state(): Readable<Indexed> {
    return this.value;
  }

  get size(): number {
    return this.index.size;
  }

  /**
   * Finds a folded query in one conversation, or in all of them, or only among `within`. Returns null if `wanted` has
   * become false.
   */
  async find(
    query: string,
    scope: string | null,
    wanted: () => boolean,
    within?: readonly Matches[],
  ): Promise<Matches[] | null> {
    const pause = this.pauses();
    return await this.index.find(query, scope, () => pause()?.then(wanted) ?? true, within);
  }

  /** Forgets everything. */
  close(): void {
    this.closed = true;
    this.unlisten();
    this.dirty.clear();
    this.index.clear();
  }

  /** Returns a function that is null while there is time, and then a promise for the next turn of the event loop. */
  private pauses(): () => Promise<void> | null {
    const { clock } = this.parts.platform;
    let until = clock.monotonic() + SLICE_MS;
    return () => {
      if (clock.monotonic() < until) return null;
      return new Promise((resolve) => {
        clock.after(0, () => {
          until = clock.monotonic() + SLICE_MS;
          resolve();
        });
      });
    };
  }

  private onChange(change: Change): void {
    if (change.all) {
      this.round++;
      this.after = "";
      this.index.clear();
      this.value.update(({ version }) => ({ loaded: false, version: version + 1 }));
    }
    for (const [conversation, keys] of Object.entries(change.messages))
      for (const key of keys) this.dirty.set(`${conversation}/${key}`, [conversation, key]);
    if (change.all || this.dirty.size > 0) void this.work();
  }

  /** Reads in steps, one after the other, so that an older state of a message never replaces a newer one. */
  private async work(): Promise<void> {
    if (this.working) return;
    this.working = true;
    try {
      while (!this.closed && (this.after !== null || this.dirty.size > 0)) {
        if (this.dirty.size > 0) await this.readDirty();
        else await this.readNext(this.after ?? "");
      }
    } catch (err) {
      if (this.closed) return;
      this.parts.platform.report("messages could not be read for the search", err);
      this.parts.platform.clock.after(RETRY_MS, () => void this.work());
    } finally {
      this.working = false;
    }
  }

  private async readNext(after: string): Promise<void> {
    const { round } = this;
    /** Whether everything is being read again. */
    const over = (): boolean => this.closed || this.round !== round;
    const rows = await this.parts.store.read((tx) => tx.messagesAfter(after, CHUNK));
    const pause = this.pauses();
    for (const row of rows) {
      if (over()) return;
      this.index.put([row]);
      await pause();
    }
    if (over()) return;
    this.after = rows.length < CHUNK ? null : (rows[rows.length - 1]?.path ?? null);
    if (this.after === null) this.value.update(({ version }) => ({ loaded: true, version: version + 1 }));
  }

  private async readDirty(): Promise<void> {
    const paths = [...this.dirty].slice(0, CHUNK);
    // Removed before they are read, so that what changes meanwhile is read again.
    for (const [path] of paths) this.dirty.delete(path);
    try {
      const rows = await this.parts.store.read((tx) =>
        Promise.all(paths.map(([, [conversation, key]]) => tx.message(conversation, key))),
      );
      if (this.closed) return;
      for (const [i, [, [conversation, key]]] of paths.entries()) {
        const row = rows[i];
        if (row) this.index.put([row]);
        else this.index.delete(conversation, key);
      }
    } catch (err) {
      for (const [path, place] of paths) this.dirty.set(path, place);
      throw err;
    }
    this.value.update(({ loaded, version }) => ({ loaded, version: version + 1 }));
  }
}
