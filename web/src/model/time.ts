import type { Micros } from "../protocol/chat";
import type { Clock } from "../platform/platform";
import { type Readable, Value } from "./observable";

/** A smaller change of the difference between the clocks is not reported. */
const JUMP_MS = 1_000;

/**
 * The server's clock as far as it is known: the time in the last `welcome` plus the time that has passed since, by a
 * clock that nobody can set. Before the first `welcome`, it is this device's clock plus the last known difference.
 */
export class ServerTime {
  private readonly clock: Clock;
  /** The server's time in ms when the monotonic clock shows 0. Null before the first `welcome`. */
  private origin: number | null = null;
  /** The server's clock minus this device's clock, in ms. */
  private readonly offsetValue = new Value(0);

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** The server's time in µs. */
  now(): Micros {
    return Math.round(this.nowMs() * 1000);
  }

  /** The server's time in ms. */
  nowMs(): number {
    if (this.origin === null) return this.clock.now() + this.offsetValue.get();
    return this.origin + this.clock.monotonic();
  }

  /** Converts a time of this device's clock to the server's clock, in ms. */
  ofLocal(ms: number): number {
    return ms + this.offsetMs;
  }

  /** The server's clock minus this device's clock, in ms, now. */
  get offsetMs(): number {
    return this.nowMs() - this.clock.now();
  }

  /** The last reported offset, as an observable value. 0 while not known. */
  get offsets(): Readable<number> {
    return this.offsetValue;
  }

  /** Learns the time that the server sent. */
  learn(serverNow: Micros): void {
    this.origin = serverNow / 1000 - this.clock.monotonic();
    this.offsetValue.set(this.offsetMs);
  }

  /** Learns that the server's time is at most `latest`, because it has refused that time as too far ahead. */
  learnLatest(latest: Micros): void {
    if (latest < this.now()) this.learn(latest);
  }

  /** Reports the offset again if this device's clock was set meanwhile. Returns false if it was not. */
  noticeJump(): boolean {
    const offset = this.offsetMs;
    if (Math.abs(offset - this.offsetValue.get()) < JUMP_MS) return false;
    this.offsetValue.set(offset);
    return true;
  }

  /** Learns the offset that another tab has learned just now. */
  learnOffset(ms: number): void {
    this.origin = this.clock.now() + ms - this.clock.monotonic();
    this.offsetValue.set(ms);
  }

  /** Sets the offset that an earlier visit learned, which counts until this one learns the time. */
  rememberOffset(ms: number): void {
    if (this.origin === null) this.offsetValue.set(ms);
  }
}
