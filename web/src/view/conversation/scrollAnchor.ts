/** The part of the virtual list that an anchor needs. Offsets are in CSS pixels from the start of the content. */
export interface Rows {
  getItemOffset(index: number): number;
  getItemSize(index: number): number;
}

/** The part of the scrolling element that an anchor needs. */
export interface Scroller {
  readonly scrollTop: number;
  readonly scrollHeight: number;
  readonly clientHeight: number;
  scrollTo(to: { top: number; behavior: "instant" }): void;
}

/** After this time without a measurement, in ms, the anchor releases the list. */
export const HOLD_MS = 150;

/** The largest distance from the end that counts as being at the end, in CSS pixels. */
const NEAR_END = 48;
/** How much of the previous messages stays visible above a message at the start, in CSS pixels. */
const GLANCE = 64;

/**
 * Scrolls a list to a place and keeps it there while new rows are measured, because each measurement moves the place.
 * It releases the list when no row was measured for HOLD_MS, and at once when the user scrolls.
 */
export class ScrollAnchor {
  #place: (() => number) | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #scroller: () => Scroller | undefined;
  readonly #rows: () => Rows | undefined;

  constructor(scroller: () => Scroller | undefined, rows: () => Rows | undefined) {
    this.#scroller = scroller;
    this.#rows = rows;
  }

  /** Whether the list is scrolled to its end. */
  get atEnd(): boolean {
    const s = this.#scroller();
    return s !== undefined && s.scrollTop + s.clientHeight >= s.scrollHeight - NEAR_END;
  }

  end(): void {
    this.#scrollTo(() => this.#scroller()?.scrollHeight ?? 0);
  }

  /** Scrolls a row to the upper edge. */
  start(index: number): void {
    this.#scrollTo(() => (this.#rows()?.getItemOffset(index) ?? 0) - GLANCE);
  }

  center(index: number): void {
    this.#scrollTo(() => {
      const [top, bottom] = this.#row(index);
      return (top + bottom - this.#height) / 2;
    });
  }

  /** Scrolls just as far as needed to show a whole row. */
  intoView(index: number): void {
    const seen = this.#scroller()?.scrollTop ?? 0;
    const [top, bottom] = this.#row(index);
    if (top < seen) this.#scrollTo(() => this.#row(index)[0]);
    else if (bottom > seen + this.#height) this.#scrollTo(() => this.#row(index)[1] - this.#height);
  }

  /** Must be called after rows were measured and drawn. */
  measured(): void {
    if (this.#place) this.#hold();
  }

  /** Must be called when the user scrolls, or the list is removed. */
  release(): void {
    clearTimeout(this.#timer);
    this.#place = null;
  }

  #scrollTo(place: () => number): void {
    this.#place = place;
    this.#hold();
  }

  #hold(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.#place = null), HOLD_MS);
    if (this.#place) this.#scroller()?.scrollTo({ top: this.#place(), behavior: "instant" });
  }

  get #height(): number {
    return this.#scroller()?.clientHeight ?? 0;
  }

  #row(index: number): [top: number, bottom: number] {
    const top = this.#rows()?.getItemOffset(index) ?? 0;
    return [top, top + (this.#rows()?.getItemSize(index) ?? 0)];
  }
}
