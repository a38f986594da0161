import type { Outcome, Page, Problem } from "../../model";

/** A list that is loaded page by page. A newer question drops the answers to older ones. */
export class Listing<T> {
  items: readonly T[] = $state.raw([]);
  next: string | null = $state(null);
  loading: boolean = $state(true);
  problem: Problem | null = $state.raw(null);
  private turn = 0;
  private readonly load: (cursor: string | null) => Promise<Outcome<Page<T>>>;

  constructor(load: (cursor: string | null) => Promise<Outcome<Page<T>>>) {
    this.load = load;
  }

  /** Loads the list from its beginning; what is shown stays until the answer comes. */
  restart(): Promise<void> {
    return this.take(null);
  }

  /** Loads the next page, if there is one and none is under way. */
  async more(): Promise<void> {
    if (this.loading) return;
    if (this.next !== null || this.problem) await this.take(this.items.length > 0 ? this.next : null);
  }

  /** Replaces an item in place. */
  replace(old: (item: T) => boolean, now: T | null): void {
    this.items =
      now === null ? this.items.filter((item) => !old(item)) : this.items.map((item) => (old(item) ? now : item));
  }

  private async take(cursor: string | null): Promise<void> {
    const mine = ++this.turn;
    this.loading = true;
    this.problem = null;
    const outcome = await this.load(cursor);
    if (mine !== this.turn) return;
    this.loading = false;
    if (!outcome.ok) {
      this.problem = outcome.problem;
      return;
    }
    this.items = cursor === null ? outcome.value.items : [...this.items, ...outcome.value.items];
    this.next = outcome.value.next;
  }
}
