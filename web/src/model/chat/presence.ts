/** Presence and typing hints of other users, as this tab shows them. */
import type { Cancel, Clock } from "../../platform/platform";
import type { Presence } from "../interface/chat";
import type { ServerLimits } from "../limits";
import { type Readable, Value } from "../observable";

const UNKNOWN: Presence = { online: null, lastSeen: null };
/** A typing hint ends after this time. */
const TYPING_MS = 6_000;

export class PresenceTracker {
  private readonly clock: Clock;
  private readonly limits: ServerLimits;
  private readonly watch: (uids: readonly string[]) => void;
  private readonly values = new Map<string, Value<Presence>>();
  private readonly typings = new Map<string, { value: Value<boolean>; end: Cancel | null }>();
  /** The users whose presence is shown, the latest last. */
  private readonly watched = new Set<string>();
  private readonly typingListeners = new Set<(uid: string) => void>();

  /** `watch` is called with the users whose presence is needed, the most wanted first. */
  constructor(clock: Clock, limits: ServerLimits, watch: (uids: readonly string[]) => void) {
    this.clock = clock;
    this.limits = limits;
    this.watch = watch;
  }

  stop(): void {
    for (const { end } of this.typings.values()) end?.();
  }

  presence(uid: string): Readable<Presence> {
    let value = this.values.get(uid);
    if (!value) {
      value = new Value(UNKNOWN, (watched) => {
        this.watched.delete(uid);
        if (watched) this.watched.add(uid);
        this.watch([...this.watched].reverse().slice(0, this.limits.watch));
      });
      this.values.set(uid, value);
    }
    return value;
  }

  typing(uid: string): Readable<boolean> {
    return this.typingOf(uid).value;
  }

  /** Calls `run` when a user starts or stops typing. */
  onTyping(run: (uid: string) => void): Cancel {
    this.typingListeners.add(run);
    return () => this.typingListeners.delete(run);
  }

  setPresence(uid: string, presence: Presence): void {
    const value = this.values.get(uid);
    if (!value) return;
    const old = value.get();
    // A hint without a time does not overwrite the time of an earlier one.
    const lastSeen = presence.lastSeen ?? (presence.online === false ? old.lastSeen : null);
    if (old.online !== presence.online || old.lastSeen !== lastSeen) value.set({ online: presence.online, lastSeen });
  }

  /** Marks every presence as unknown, because the link is gone. */
  markUnknown(): void {
    for (const value of this.values.values())
      value.update((p) => (p.online === null ? p : { online: null, lastSeen: p.lastSeen }));
  }

  noteTyping(uid: string): void {
    const typing = this.typingOf(uid);
    typing.end?.();
    typing.end = this.clock.after(TYPING_MS, () => this.stopTyping(uid));
    typing.value.set(true);
    for (const run of [...this.typingListeners]) run(uid);
  }

  /** Ends the typing hint of `uid`, because their message has arrived. */
  stopTyping(uid: string): void {
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
