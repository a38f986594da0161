/** Presence and typing hints of other users, as this tab shows them. */
import type { Cancel, Clock } from "../../platform/platform";
import type { Presence } from "../interface/chat";
import type { ServerLimits } from "../limits";
import { type Readable, Value } from "../observable";

const UNKNOWN: Presence = { online: null, lastSeen: null };
function forget(value: Value<Presence>): void {
  value.update((p) => (p.online === null && p.lastSeen === null ? p : UNKNOWN));
}

/** A presence that was not reported for this long, because nobody looked at it, is not shown again. */
const STALE_MS = 30_000;
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
  private hidden: ReadonlySet<string> = new Set();
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
      let leftAt = 0;
      const made: Value<Presence> = new Value(UNKNOWN, (watched) => {
        this.watched.delete(uid);
        if (!watched) leftAt = this.clock.monotonic();
        else {
          this.watched.add(uid);
          if (this.clock.monotonic() - leftAt > STALE_MS) forget(made);
        }
        this.watch([...this.watched].reverse().slice(0, this.limits.watch));
      });
      value = made;
      this.values.set(uid, value);
    }
    return value;
  }

  /** The users whose presence is shown. */
  get shown(): readonly string[] {
    return [...this.watched];
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
    // Nothing is known about this user any more, so they are not seen typing either.
    if (presence.online === null) this.stopTyping(uid);
    const value = this.values.get(uid);
    if (!value || this.hidden.has(uid)) return;
    const old = value.get();
    // Without a time, the user was never seen, or does not show it to this one any more: an earlier time is not kept.
    const lastSeen = presence.online === false ? presence.lastSeen : null;
    if (old.online !== presence.online || old.lastSeen !== lastSeen) value.set({ online: presence.online, lastSeen });
  }

  /**
   * Marks every presence as unknown, because the link is gone. The server may not report a user on the next one, so
   * an old time of theirs would be wrong then.
   */
  markUnknown(): void {
    for (const value of this.values.values()) forget(value);
  }

  /** Shows nothing of these users from now on: neither their presence nor that they type. */
  hide(uids: readonly string[]): void {
    this.hidden = new Set(uids);
    for (const uid of uids) {
      this.stopTyping(uid);
      const value = this.values.get(uid);
      if (value) forget(value);
    }
  }

  noteTyping(uid: string): void {
    if (this.hidden.has(uid)) return;
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
