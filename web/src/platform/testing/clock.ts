import type { Cancel, Clock } from "../platform";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** A clock that moves only when a test moves it. */
export class FakeClock implements Clock {
  private readonly start: number;
  private time: number;
  private order = 0;
  private readonly timers = new Set<Timer>();
  /** Waits for everything that does not wait for the clock. */
  private readonly settle: () => Promise<void>;

  constructor(start: number, settle: () => Promise<void>) {
    this.start = this.time = start;
    this.settle = settle;
  }

  now(): number {
    return this.time;
  }

  /** It counts from another moment than `now`, so that code which mixes the two fails. */
  monotonic(): number {
    return this.time - this.start;
  }

  after(ms: number, run: () => void): Cancel {
    const timer: Timer = { at: this.time + Math.ceil(Math.max(0, ms)), order: this.order++, run };
    this.timers.add(timer);
    return () => {
      this.timers.delete(timer);
    };
  }

  /** When the next timer fires, in ms from now. Null if there is none. */
  next(): number | null {
    const timer = this.earliest();
    return timer ? timer.at - this.time : null;
  }

  /**
   * Moves by `ms`. Timers run in order, and the work that each starts is done before the next runs. `until` stops it
   * early.
   */
  async advance(ms: number, until?: () => boolean): Promise<void> {
    const end = this.time + ms;
    await this.settle();
    for (;;) {
      if (until?.()) return;
      const timer = this.earliest();
      if (!timer || timer.at > end) break;
      this.timers.delete(timer);
      this.time = Math.max(this.time, timer.at);
      timer.run();
      await this.settle();
    }
    this.time = end;
  }

  private earliest(): Timer | undefined {
    let first: Timer | undefined;
    for (const t of this.timers)
      if (!first || t.at < first.at || (t.at === first.at && t.order < first.order)) first = t;
    return first;
  }
}
