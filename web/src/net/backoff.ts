import type { Random } from "../platform/platform";

/**
 * Waiting times with full jitter: evenly distributed from 0 to a bound that starts at `firstMs` and doubles up to
 * `maxMs`. Clients that failed together therefore do not come back together.
 */
export class Backoff {
  private readonly random: Random;
  private readonly firstMs: number;
  private readonly maxMs: number;
  private failures = 0;

  constructor(random: Random, firstMs: number, maxMs: number) {
    this.random = random;
    this.firstMs = firstMs;
    this.maxMs = maxMs;
  }

  /** Returns how long to wait before the next attempt. */
  next(): number {
    const bound = Math.min(this.maxMs, this.firstMs * 2 ** Math.min(this.failures, 30));
    this.failures++;
    return this.random.unit() * bound;
  }

  /** Starts over after a success. */
  reset(): void {
    this.failures = 0;
  }
}
