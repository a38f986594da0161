/** The connection status that the user sees. Gaps under 5 s are not shown. */
import type { ConnectionState } from "../../net/connection";
import type { Cancel, Clock } from "../../platform/platform";
import type { ConnectionStatus } from "../interface/connection";
import { type Readable, Value } from "../observable";

/** From the last sign of life until the banner appears. */
const QUIET_GAP_MS = 5_000;
/**
 * If silence was noticed late, a first attempt within this time may still replace the link before the banner appears.
 */
const FIRST_TRY_MS = 500;

export class Status {
  private readonly clock: Clock;
  private readonly value = new Value<ConnectionStatus>({ state: "connecting" });
  private state: ConnectionState = { state: "connecting" };
  /** Since when there is no live link, in ms. Null while there is one. */
  private since: number | null;
  /** When that was noticed. */
  private noticed: number;
  private timer: Cancel | null = null;
  private readonly unsubscribe: Cancel;

  constructor(clock: Clock, connection: Readable<ConnectionState>) {
    this.clock = clock;
    this.since = this.noticed = clock.now();
    this.unsubscribe = connection.subscribe((state) => {
      this.state = state;
      this.update();
    });
  }

  get status(): Readable<ConnectionStatus> {
    return this.value;
  }

  stop(): void {
    this.unsubscribe();
    this.timer?.();
  }

  private update(): void {
    this.timer?.();
    this.timer = null;
    if (this.state.state === "live") {
      this.since = null;
      if (this.value.get().state !== "online") this.value.set({ state: "online" });
      return;
    }
    if (this.state.state === "waiting" && this.state.replaced) {
      // The gap before the next attempt has a known reason, so it is shown at once and does not count as offline.
      this.since = null;
      if (this.value.get().state !== "replaced") this.value.set({ state: "replaced" });
      return;
    }
    const now = this.clock.now();
    // A clock that was set back must not make the gap endless.
    this.noticed = Math.min(this.since === null ? now : this.noticed, now);
    const silent = this.state.state === "stopped" ? undefined : this.state.since;
    this.since = Math.min(this.since ?? silent ?? now, now);
    const left = Math.max(this.since + QUIET_GAP_MS, this.noticed + FIRST_TRY_MS) - now;
    if (left > 0) {
      if (this.value.get().state !== "connecting") this.value.set({ state: "connecting" });
      this.timer = this.clock.after(left, () => this.update());
      return;
    }
    const nextTryAt = this.state.state === "waiting" ? this.state.until : null;
    const shown = this.value.get();
    if (shown.state === "offline" && shown.since === this.since && shown.nextTryAt === nextTryAt) return;
    this.value.set({ state: "offline", since: this.since, nextTryAt });
  }
}
