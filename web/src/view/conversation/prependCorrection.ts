/**
 * Keeps the visible messages in place after older ones were prepended.
 *
 * The virtual list then keeps its distance from the end of the content until scrolling ends. This has two gaps. Rows
 * below the visible ones that are measured for the first time move the visible ones. And if scrolling ends after the
 * change but before its first measurement, the list ignores the new height of the row that used to be the first: it
 * loses its date. This class measures such movements and undoes them, before the browser paints.
 */
export class PrependCorrection {
  /** The key of the message that was the first; null if nothing needs correction. */
  #first: string | null = null;
  #measured = false;
  #pending = false;
  readonly #scroller: () => HTMLElement | undefined;

  constructor(scroller: () => HTMLElement | undefined) {
    this.#scroller = scroller;
  }

  /** Must be called before messages are prepended. `first` is the key of the message that was the first until now. */
  prepend(first: string): void {
    this.#first = first;
    this.#measured = false;
  }

  /** Must be called when scrolling has ended. */
  scrollEnded(): void {
    if (this.#measured) this.#first = null;
  }

  /**
   * Must be called when rows were measured and before the list moves them. The returned function must be called once it
   * has moved them.
   */
  measured(): () => void {
    const scroller = this.#scroller();
    if (!scroller || this.#first === null || this.#pending) return () => {};
    this.#measured = true;
    const { top, bottom } = scroller.getBoundingClientRect();
    // The size of the former first row has already changed, so its message is no longer where the reader saw it.
    const seen = [...scroller.querySelectorAll("article")].find((article) => {
      const box = article.getBoundingClientRect();
      return article.id !== `m-${this.#first}` && box.bottom > top && box.top < bottom;
    });
    if (!seen) return () => {};
    const before = seen.getBoundingClientRect().top;
    this.#pending = true;
    return () => {
      this.#pending = false;
      if (!seen.isConnected) return;
      const moved = seen.getBoundingClientRect().top - before;
      if (Math.abs(moved) >= 1) scroller.scrollBy({ top: moved, behavior: "instant" });
    };
  }
}
