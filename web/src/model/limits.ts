import { type Limits, LIMITS } from "../protocol/frames";
import { derived, type Readable, Value } from "./observable";

/**
 * The server's limits: from its last `welcome`, kept on this device. Before the first one, the limits of this version.
 */
export class ServerLimits {
  private readonly value = new Value<Limits>(LIMITS);
  /** Code points in a message. */
  readonly body: Readable<number> = derived(this.value, (limits) => limits.body);

  get all(): Readable<Limits> {
    return this.value;
  }

  /** Users whose presence is reported at once. */
  get watch(): number {
    return this.value.get().watch;
  }

  /** Applies limits that the server sent: here, in another tab or on an earlier visit (some may be missing then). */
  learn(limits: Partial<Limits>): void {
    const next = { ...LIMITS, ...limits };
    const old = this.value.get();
    if ((Object.keys(next) as (keyof Limits)[]).some((key) => next[key] !== old[key])) this.value.set(next);
  }
}
