/** What is asked of the virtual list: offsets in CSS pixels from the start of what scrolls. */
export interface Rows {
  getItemOffset(index: number): number;
  getItemSize(index: number): number;
}

/** What is asked of the element that scrolls. */
export interface Scroller {
  readonly scrollTop: number;
  readonly scrollHeight: number;
  readonly clientHeight: number;
  scrollTo(to: { top: number; behavior: "instant" }): void;
}

/** How long rows may take to be measured after a jump, in ms. */
export const HOLD_MS = 150;

/** How near the end counts as being there, in CSS pixels. */
const NEAR_END = 48;
/** How much of what came before shows above a message that is put at the start. */
const GLANCE = 64;

/**
 * Brings a list to a place and holds it there while rows that were never
 * shown are measured, since each measurement moves what was aimed at. It ends
 * when nothing was measured for HOLD_MS, and at once when the reader scrolls:
 * the list is theirs.
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

  /** Whether the end is in sight. */
  get atEnd(): boolean {
    const s = this.#scroller();
    return s !== undefined && s.scrollTop + s.clientHeight >= s.scrollHeight - NEAR_END;
  }

  end(): void {
    this.#at(() => this.#scroller()?.scrollHeight ?? 0);
  }

  /** Puts a row near the upper edge. */
  start(index: number): void {
    this.#at(() => (this.#rows()?.getItemOffset(index) ?? 0) - GLANCE);
  }

  centre(index: number): void {
    this.#at(() => {
      const [top, bottom] = this.#row(index);
      return (top + bottom - this.#height) / 2;
    });
  }

  /** Scrolls no further than needed to show a row whole. */
  intoView(index: number): void {
    const seen = this.#scroller()?.scrollTop ?? 0;
    const [top, bottom] = this.#row(index);
    if (top < seen) this.#at(() => this.#row(index)[0]);
    else if (bottom > seen + this.#height) this.#at(() => this.#row(index)[1] - this.#height);
  }

  /** Rows have been measured and drawn. */
  measured(): void {
    if (this.#place) this.#hold();
  }

  /** The reader scrolls, or the list is gone. */
  release(): void {
    clearTimeout(this.#timer);
    this.#place = null;
  }

  #at(place: () => number): void {
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
