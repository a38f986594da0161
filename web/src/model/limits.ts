import { MAX_BODY } from "../protocol/chat";
import { type Limits, MAX_WATCH } from "../protocol/frames";
import { type Readable, Value } from "./observable";

/**
 * The server's limits: from its last `welcome`, kept on this device. Before the first one, the limits of this version.
 */
export class ServerLimits {
  private readonly bodyValue = new Value(MAX_BODY);
  private watchValue = MAX_WATCH;

  /** Code points in a message. */
  get body(): Readable<number> {
    return this.bodyValue;
  }

  /** Users whose presence is reported at once. */
  get watch(): number {
    return this.watchValue;
  }

  /** Applies limits that the server sent: here, in another tab or on an earlier visit. */
  learn(limits: Limits): void {
    this.bodyValue.set(limits.body);
    this.watchValue = limits.watch;
  }
}
