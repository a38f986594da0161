/** A search in the directory while somebody types. The results stay up to date while they are on the screen. */
import type { Cancel } from "../../platform/platform";
import type { ConversationList, DirectorySearch, UserList } from "../interface/lists";
import type { LateParts } from "../interface/late";
import type { User } from "../interface/user";
import { type Readable, Value } from "../observable";
import { problemOf } from "../outcome";
import type { Change } from "../store/change";

const DEBOUNCE_MS = 150;
const PAGE = 50;
/** A complete list of one page is loaded again at this interval while the page is visible. */
const REFRESH_MS = 30_000;
/** Focus and visibility change at the same time. The list is not loaded again so soon. */
const FRESH_MS = 2_000;

export class Directory implements DirectorySearch {
  private readonly parts: LateParts;
  private readonly value = new Value<UserList>({ items: [], loading: true, more: false, problem: null });
  private readonly ends: Cancel[];
  private query = "";
  private next: string | null = null;
  /** Incremented per search, so that the answer to an older one is dropped. */
  private serial = 0;
  private busy = false;
  private timer: Cancel | null = null;
  /** Loads the list again. */
  private refreshTimer: Cancel | null = null;
  /** The list is not loaded again before this, by the monotonic clock. */
  private freshUntil = 0;
  /** People who have written. Each of them prompts one refresh if they are not in the list. */
  private readonly writers = new Set<string>();

  /** Begins with everyone. */
  constructor(parts: LateParts) {
    this.parts = parts;
    this.search("");
    const { page } = parts.platform;
    const follow = (): void => {
      if (!page.visible()) this.refreshTimer?.();
      else this.refresh();
    };
    const onFocused = (): void => {
      if (page.focused()) this.refresh();
    };
    this.ends = [
      page.onVisible(follow),
      page.onFocused(onFocused),
      parts.conversations.subscribe((list) => this.onConversations(list)),
      parts.store.onChange((change) => void this.onChange(change)),
    ];
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
    this.refreshTimer?.();
    for (const end of this.ends) end();
  }

  /** Loads the list again, unless more than one page is shown, which would move what the user reads. */
  private refresh(): void {
    const { items, loading, problem } = this.value.get();
    const { clock, page } = this.parts.platform;
    const wanted = page.visible() && !this.busy && !loading && !problem?.retryAfterMs && items.length <= PAGE;
    if (wanted && clock.monotonic() >= this.freshUntil) void this.load(null, true);
  }

  /** Plans the next refresh. Somebody who looks at a short list waits for others. */
  private planRefresh(ms: number): void {
    const { clock, page } = this.parts.platform;
    this.refreshTimer?.();
    if (page.visible() && this.next === null) this.refreshTimer = clock.after(ms, () => this.refresh());
  }

  /** `quiet`: the list is shown already, and stays as it is if it cannot be loaded. */
  private async load(cursor: string | null, quiet = false): Promise<void> {
    const { clock } = this.parts.platform;
    const serial = ++this.serial;
    this.timer?.();
    this.refreshTimer?.();
    this.busy = true;
    if (!quiet) this.value.update((v) => ({ ...v, loading: true, problem: null }));
    let pause = 0;
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
      pause = problem.retryAfterMs ?? 0;
      if (quiet) return;
      // The list goes on by itself after the pause that the server asked for.
      if (problem.retryAfterMs !== null) this.timer = clock.after(problem.retryAfterMs, () => void this.load(cursor));
      this.value.update((v) => ({ ...v, items: cursor === null ? [] : v.items, loading: false, problem }));
    } finally {
      if (serial === this.serial) {
        this.busy = false;
        this.freshUntil = clock.monotonic() + Math.max(FRESH_MS, pause);
        this.planRefresh(Math.max(REFRESH_MS, pause));
      }
    }
  }

  /** Somebody new has written: they have joined. */
  private onConversations(list: ConversationList): void {
    const shown = this.value.get();
    const writers = list.items.map(({ user }) => user.uid).filter((uid) => !this.writers.has(uid));
    for (const uid of writers) this.writers.add(uid);
    if (this.query !== "" || this.next !== null || writers.every((uid) => shown.items.some((p) => p.uid === uid)))
      return;
    if (!shown.loading) this.freshUntil = Math.min(this.freshUntil, this.parts.platform.clock.monotonic());
    this.refresh();
  }

  /** Shows names and pictures that have changed. */
  private async onChange(change: Change): Promise<void> {
    const shown = new Set(this.value.get().items.map((p) => p.uid));
    const uids = change.all ? [...shown] : [...change.users].filter((uid) => shown.has(uid));
    if (uids.length === 0) return;
    const rows = await this.parts.store.read((tx) => Promise.all(uids.map((uid) => tx.user(uid)))).catch(() => []);
    const now = new Map<string, User>();
    for (const row of rows) if (row) now.set(row.uid, this.parts.userOf(row.uid, row));
    const { items, ...rest } = this.value.get();
    const next = items.map((old) => now.get(old.uid) ?? old);
    if (JSON.stringify(next) !== JSON.stringify(items)) this.value.set({ ...rest, items: next });
  }
}
