import type { Micros } from "../protocol/chat";
import type { Clock } from "../platform/platform";
import { type Readable, Value } from "./observable";

/** The server's clock as far as it is known. */
export class ServerTime {
  private readonly clock: Clock;
  /** The server's clock minus this device's clock, in ms. */
  private readonly offsetValue = new Value(0);

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** The server's time in µs. */
  now(): Micros {
    return Math.round((this.clock.now() + this.offset) * 1000);
  }

  /** The server's time in ms. */
  nowMs(): number {
    return this.clock.now() + this.offset;
  }

  /** Converts a time of this device's clock to the server's clock, in ms. */
  ofLocal(ms: number): number {
    return ms + this.offset;
  }

  get offsetMs(): number {
    return this.offset;
  }

  /** The offset as an observable value. 0 while not known. */
  get offsets(): Readable<number> {
    return this.offsetValue;
  }

  private get offset(): number {
    return this.offsetValue.get();
  }

  /** Learns the offset from a time that the server sent. */
  learn(serverNow: Micros): void {
    this.offsetValue.set(serverNow / 1000 - this.clock.now());
  }

  /** Sets the offset that another tab or an earlier visit learned. */
  setOffset(ms: number): void {
    this.offsetValue.set(ms);
  }
}
