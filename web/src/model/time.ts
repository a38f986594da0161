import type { Micros } from "../protocol/chat";
import type { Clock } from "../platform/platform";
import { type Readable, Value } from "./observable";

/** Time by the server's clock, so far as it is known. */
export class ServerTime {
  private readonly clock: Clock;
  /** What to add to this device's clock, in ms. */
  private readonly offsetValue = new Value(0);

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** In µs. */
  now(): Micros {
    return Math.round((this.clock.now() + this.offset) * 1000);
  }

  /** In ms. */
  nowMs(): number {
    return this.clock.now() + this.offset;
  }

  /** A time of this device's clock by the server's, in ms. */
  ofLocal(ms: number): number {
    return ms + this.offset;
  }

  get offsetMs(): number {
    return this.offset;
  }

  /** The same, to follow; 0 while not known. */
  get offsets(): Readable<number> {
    return this.offsetValue;
  }

  private get offset(): number {
    return this.offsetValue.get();
  }

  /** The server said what time it is. */
  learn(serverNow: Micros): void {
    this.offsetValue.set(serverNow / 1000 - this.clock.now());
  }

  /** Takes over what another tab or an earlier visit learned. */
  setOffset(ms: number): void {
    this.offsetValue.set(ms);
  }
}
