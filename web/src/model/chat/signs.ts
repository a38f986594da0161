/** Presence and typing of others, as this tab shows them. */
import type { Cancel, Clock } from "../../platform/platform";
import type { Presence } from "../interface/chat";
import type { ServerLimits } from "../limits";
import { type Readable, Value } from "../observable";

const UNKNOWN: Presence = { online: null, lastSeen: null };
/** Typing ends by itself. */
const TYPING_MS = 6_000;

export class Signs {
  private readonly clock: Clock;
  private readonly limits: ServerLimits;
  private readonly watch: (uids: readonly string[]) => void;
  private readonly presences = new Map<string, Value<Presence>>();
  private readonly typings = new Map<string, { value: Value<boolean>; end: Cancel | null }>();
  /** Whom somebody looks at, the latest last. */
  private readonly watched = new Set<string>();
  private readonly typingListeners = new Set<(uid: string) => void>();

  /** `watch` is told whose presence is wanted, the most wanted first. */
  constructor(clock: Clock, limits: ServerLimits, watch: (uids: readonly string[]) => void) {
    this.clock = clock;
    this.limits = limits;
    this.watch = watch;
  }

  stop(): void {
    for (const { end } of this.typings.values()) end?.();
  }

  presence(uid: string): Readable<Presence> {
    let value = this.presences.get(uid);
    if (!value) {
      value = new Value(UNKNOWN, (watched) => {
        this.watched.delete(uid);
        if (watched) this.watched.add(uid);
        this.watch([...this.watched].reverse().slice(0, this.limits.watch));
      });
      this.presences.set(uid, value);
    }
    return value;
  }

  typing(uid: string): Readable<boolean> {
    return this.typingOf(uid).value;
  }

  /** Calls `run` when somebody begins or ends typing. */
  onTyping(run: (uid: string) => void): Cancel {
    this.typingListeners.add(run);
    return () => this.typingListeners.delete(run);
  }

  seen(uid: string, presence: Presence): void {
    const value = this.presences.get(uid);
    if (!value) return;
    const old = value.get();
    // A hint without a time does not take back what an earlier one said.
    const lastSeen = presence.lastSeen ?? (presence.online === false ? old.lastSeen : null);
    if (old.online !== presence.online || old.lastSeen !== lastSeen) value.set({ online: presence.online, lastSeen });
  }

  /** What was known is old: the link is gone. */
  forget(): void {
    for (const value of this.presences.values())
      value.update((p) => (p.online === null ? p : { online: null, lastSeen: p.lastSeen }));
  }

  types(uid: string): void {
    const typing = this.typingOf(uid);
    typing.end?.();
    typing.end = this.clock.after(TYPING_MS, () => this.stopsTyping(uid));
    typing.value.set(true);
    for (const run of [...this.typingListeners]) run(uid);
  }

  /** A message came: that was what was typed. */
  stopsTyping(uid: string): void {
    const typing = this.typings.get(uid);
    if (!typing?.value.get()) return;
    typing.end?.();
    typing.end = null;
    typing.value.set(false);
    for (const run of [...this.typingListeners]) run(uid);
  }

  private typingOf(uid: string): { value: Value<boolean>; end: Cancel | null } {
    let typing = this.typings.get(uid);
    if (!typing) {
      typing = { value: new Value(false), end: null };
      this.typings.set(uid, typing);
    }
    return typing;
  }
}
