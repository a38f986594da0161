/** A search in the directory while somebody types. */
import type { Cancel } from "../../platform/platform";
import type { DirectorySearch, UserList } from "../interface/chat";
import type { LateParts } from "../interface/late";
import { type Readable, Value } from "../observable";
import { problemOf } from "../outcome";

const DEBOUNCE_MS = 150;
const PAGE = 50;

export class Directory implements DirectorySearch {
  private readonly parts: LateParts;
  private readonly value = new Value<UserList>({ items: [], loading: true, more: false, problem: null });
  private query = "";
  private next: string | null = null;
  /** Incremented per search, so that the answer to an older one is dropped. */
  private serial = 0;
  private busy = false;
  private timer: Cancel | null = null;

  /** Begins with everyone. */
  constructor(parts: LateParts) {
    this.parts = parts;
    this.search("");
  }

  get users(): Readable<UserList> {
    return this.value;
  }

  search(query: string): void {
    this.query = query.trim();
    this.serial++;
    this.timer?.();
    this.timer = this.parts.platform.clock.after(DEBOUNCE_MS, () => void this.load(null));
    this.value.update((v) => ({ ...v, loading: true, problem: null }));
  }

  more(): void {
    // While the server has asked for a pause, scrolling does not end it.
    if (this.next === null || this.busy || this.value.get().problem?.retryAfterMs) return;
    void this.load(this.next);
  }

  retry(): void {
    if (this.busy) return;
    // Continues where the search failed: at the first page or at the next one.
    void this.load(this.value.get().items.length > 0 ? this.next : null);
  }

  close(): void {
    this.serial++;
    this.timer?.();
  }

  private async load(cursor: string | null): Promise<void> {
    const serial = ++this.serial;
    this.timer?.();
    this.busy = true;
    this.value.update((v) => ({ ...v, loading: true, problem: null }));
    try {
      const page = await this.parts.archive.users(this.query, cursor, PAGE);
      if (serial !== this.serial) return;
      this.parts.found(page.items);
      this.next = page.next;
      const items = page.items.map((user) => this.parts.userOf(user.uid, user));
      const before = cursor === null ? [] : this.value.get().items;
      const known = new Set(before.map((p) => p.uid));
      this.value.set({
        items: [...before, ...items.filter((p) => !known.has(p.uid))],
        loading: false,
        more: page.next !== null,
        problem: null,
      });
    } catch (err) {
      if (serial !== this.serial) return;
      const problem = problemOf(err);
      // The list goes on by itself after the pause that the server asked for.
      if (problem.retryAfterMs !== null)
        this.timer = this.parts.platform.clock.after(problem.retryAfterMs, () => void this.load(cursor));
      this.value.update((v) => ({ ...v, items: cursor === null ? [] : v.items, loading: false, problem }));
    } finally {
      if (serial === this.serial) this.busy = false;
    }
  }
}
