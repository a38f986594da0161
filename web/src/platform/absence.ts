/**
 * Knows when the page is in the back-forward cache, or on its way there.
 *
 * A page that enters the cache in the middle of a transaction is suspended with it, so the transaction neither ends nor
 * aborts. Every other page of the same user then waits for the database as long as the cache keeps the page. WebKit
 * behaves that way. So a page aborts its transactions when it is hidden by a navigation, begins none while it is away,
 * and repeats them when it is shown again.
 */
export class Absence {
  private readonly open = new Set<IDBTransaction>();
  private away: Promise<void> | null = null;
  private left = 0;
  private end: () => void = () => undefined;

  constructor(page: EventTarget) {
    page.addEventListener("pagehide", () => this.leave());
    page.addEventListener("pageshow", () => this.return());
  }

  /** Resolves when the page is shown again. Null while it is shown. */
  get over(): Promise<void> | null {
    return this.away;
  }

  /** The number of times that the page has left. */
  get departures(): number {
    return this.left;
  }

  /** Aborts `tx` if the page leaves before the returned function is called. */
  watch(tx: IDBTransaction): () => void {
    this.open.add(tx);
    return () => void this.open.delete(tx);
  }

  private leave(): void {
    this.left++;
    this.away ??= new Promise((resolve) => (this.end = resolve));
    for (const tx of this.open) {
      try {
        tx.abort();
      } catch {
        // The transaction is being committed, which needs nothing more from this page.
      }
    }
  }

  private return(): void {
    this.away = null;
    this.end();
  }
}
