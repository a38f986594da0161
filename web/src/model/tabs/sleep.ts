/**
 * Gives the socket back while nobody looks at this browser (DESIGN §12, "Asleep"). The code is loaded once pushes are
 * registered, and acts only if a push is known to reach this device.
 *
 * The device sleeps, and not a tab: the leader decides, every tab leaves the election ({@link LateTabs.stop}), and
 * nobody holds the lock. So the service worker finds the lock free, and a tab that becomes visible leads at once. Tabs
 * that have not loaded this code do not answer the leader, which then stays awake.
 */
import type { Cancel, Channel } from "../../platform/platform";
import type { LateParts } from "../interface/late";
import type { Readable } from "../observable";
import { EVERYTHING, type Change } from "../store/change";
import type { ReadTx } from "../store/tx";
import type { TabMessage } from "./messages";

/** The device sleeps when no tab was visible for this long. */
export const SLEEP_AFTER_MS = 2 * 60_000;
/** How often a device that sleeps connects, and how much later a tab may do it, so that two tabs rarely both do. */
export const VISIT_EVERY_MS = 15 * 60_000;
const VISIT_JITTER_MS = 30_000;
/** The longest visit. The server closes a background socket after 60 s. */
const VISIT_MS = 50_000;
/** A visit ends after nothing was left to do twice, this long apart. Acks may be on their way. */
const LINGER_MS = 500;
/** How often a hidden leader checks whether the device may sleep. */
const CHECK_EVERY_MS = 15_000;
/** How long the leader waits for the answers of the other tabs. */
const ANSWER_MS = 1_000;
/** A tab that was not heard from for this long is frozen or gone. Tabs report every 60 s. */
const FORGET_MS = 3 * 60_000;
/** Refusals that only a message of the other user ends, which comes as a push. The outbox waits for it asleep. */
const UNTIL_ANSWER: ReadonlySet<string> = new Set(["answer_awaited", "too_many_new_people"]);

/** Messages between the tabs, on the channel of the leader, which ignores them. */
type SleepMessage =
  /** From the leader: every other tab answers with `hidden` or `wake`. */
  | { readonly kind: "may-sleep" }
  /** How long the tab has been hidden, in ms. */
  | { readonly kind: "hidden"; readonly tab: string; readonly ms: number }
  | { readonly kind: "sleep" }
  | { readonly kind: "wake" }
  /** The tab makes the connection that was due. */
  | { readonly kind: "visiting" };

/** The pushes that wake this device. */
export interface Waker {
  /** Whether a push has reached this browser through its present subscription. */
  readonly proved: Readable<boolean>;
  /** Checks that the subscription still exists. `received`: messages have come without a push. Never rejects. */
  verify(received: boolean): Promise<void>;
}

type Parts = Pick<LateParts, "platform" | "store" | "tabs" | "presences" | "onStop">;

/** The work that the store holds for the engine. */
interface Work {
  /** There is something to do now. */
  readonly now: boolean;
  /** In how many ms there will be. */
  readonly inMs: number;
}

async function workIn(tx: ReadTx, now: number): Promise<Work> {
  const due = Math.min(
    (await tx.gap()).due ?? Number.POSITIVE_INFINITY,
    ...(await tx.backfills()).map((backfill) => backfill.due ?? Number.POSITIVE_INFINITY),
  );
  const inMs = due - now;
  if (inMs <= 0 || (await tx.unsentReads()).length > 0 || (await tx.unsentSettings()).length > 0)
    return { now: true, inMs };
  for (const row of await tx.outbox()) {
    const held = (await tx.conversation(row.conversation))?.held ?? "";
    if (row.status === "waiting" && !UNTIL_ANSWER.has(held)) return { now: true, inMs };
  }
  return { now: false, inMs };
}

export class Sleep {
  private readonly parts: Parts;
  private readonly waker: Waker;
  private channel: Channel | null = null;
  private phase: "awake" | "asleep" | "visiting" | "stopped" = "awake";
  /** Of the next check, or of the next visit. */
  private timer: Cancel | null = null;
  /** Times of the monotonic clock. Null: this tab is visible. */
  private hiddenSince: number | null;
  /** When this tab began to listen, another one was visible, or the leader was asked to connect. */
  private busyAt: number;
  /** When the next visit is due. */
  private dueAt = 0;
  /** When other tabs reported to the leader, and their last answers to `may-sleep`. */
  private readonly others = new Map<string, number>();
  private readonly answers = new Map<string, number>();
  /** Incremented per change that this tab announces. */
  private changes = 0;
  /** Whether the visit has stored messages. */
  private received = false;
  private ends: Cancel[] = [];

  constructor(parts: Parts, waker: Waker) {
    this.parts = parts;
    this.waker = waker;
    const { platform, store, tabs } = parts;
    this.busyAt = platform.clock.monotonic();
    this.hiddenSince = platform.page.visible() ? null : this.busyAt;
    // Tabs that work alone do not share what the service worker stores.
    if (!platform.tabs.supported) return;
    this.channel = platform.tabs.channel(tabs.name, (message) => this.receive(message));
    this.ends = [
      platform.page.onVisible((visible) => (visible ? this.onSeen() : this.onHidden())),
      platform.page.onOnline((online) => online && this.plan(0)),
      store.onChange((change) => this.onChange(change)),
      waker.proved.subscribe((proved) => proved || this.wake()),
    ];
    parts.onStop(() => this.stop());
    if (this.hiddenSince !== null) this.checkIn(SLEEP_AFTER_MS);
  }

  private stop(): void {
    this.phase = "stopped";
    this.timer?.();
    for (const end of this.ends) end();
    this.channel?.close();
  }

  private get now(): number {
    return this.parts.platform.clock.monotonic();
  }

  private post(message: SleepMessage | TabMessage): void {
    this.channel?.post(message);
  }

  private onSeen(): void {
    const { phase } = this;
    this.hiddenSince = null;
    this.rise();
    this.post({ kind: "wake" });
    // A tab that was frozen meanwhile has missed changes.
    if (phase !== "awake") this.parts.store.notify({ ...EVERYTHING, work: [], remote: true });
  }

  private onHidden(): void {
    this.hiddenSince = this.now;
    this.checkIn(SLEEP_AFTER_MS);
  }

  private receive(value: unknown): void {
    const message = value as Partial<SleepMessage> | null;
    switch (message?.kind) {
      case "may-sleep":
        if (this.hiddenSince === null) this.post({ kind: "wake" });
        else this.post({ kind: "hidden", tab: this.parts.tabs.tab, ms: this.now - this.hiddenSince });
        return;
      case "hidden":
        if (typeof message.tab === "string" && typeof message.ms === "number")
          this.answers.set(message.tab, message.ms);
        return;
      case "sleep":
        if (this.hiddenSince === null) this.post({ kind: "wake" });
        else this.fallAsleep();
        return;
      case "wake":
        this.busyAt = this.now;
        this.rise();
        return;
      case "visiting":
        this.plan(VISIT_EVERY_MS, true);
        return;
      default: {
        const known = this.parts.tabs.read(value) as TabMessage | null;
        if (known) this.overhear(known);
      }
    }
  }

  /** Handles a message that other tabs, or the service worker, have sent to the leader. */
  private overhear(message: TabMessage): void {
    if (message.kind === "follower") {
      // The leader of this tab has another channel, so its own reports come here, too.
      if (message.tab !== this.parts.tabs.tab) this.others.set(message.tab, this.now);
    } else if (message.kind === "tab-closed") this.others.delete(message.tab);
    // The service worker has left a push to the leader, whose link may be dead.
    else if (message.kind === "try-now") this.busyAt = this.now;
    else if (message.kind === "change" && this.phase === "asleep") {
      const { change } = message;
      this.parts.store.notify({ ...change, work: [], remote: true });
      if (change.work.length > 0) void this.planWork();
    }
  }

  private onChange(change: Change): void {
    if (change.remote) return;
    if (this.phase === "visiting") this.received ||= Object.keys(change.messages).length > 0;
    if (this.phase !== "asleep") return;
    this.post({ kind: "change", tab: `${this.parts.tabs.tab}-asleep`, n: ++this.changes, change });
    if (change.work.length > 0) void this.wakeForWork();
  }

  private async work(): Promise<Work> {
    const { store, platform } = this.parts;
    return await store.read((tx) => workIn(tx, platform.clock.now()));
  }

  /** The user has done something in a hidden tab. */
  private async wakeForWork(): Promise<void> {
    try {
      if ((await this.work()).now) this.wake();
    } catch (err) {
      this.parts.platform.report("the work could not be read", err);
      this.wake();
    }
  }

  /** Another tab, or the service worker, has left work. */
  private async planWork(): Promise<void> {
    try {
      const { now, inMs } = await this.work();
      this.plan(now ? 0 : inMs);
    } catch (err) {
      this.parts.platform.report("the work could not be read", err);
    }
  }

  // --- falling asleep ---

  private checkIn(ms: number): void {
    if (this.phase !== "awake") return;
    this.timer?.();
    this.timer = this.parts.platform.clock.after(ms, () => void this.check());
  }

  private async check(): Promise<void> {
    try {
      if (await this.maySleep()) {
        this.post({ kind: "sleep" });
        this.fallAsleep();
        return;
      }
    } catch (err) {
      this.parts.platform.report("this device stays awake", err);
    }
    if (this.hiddenSince !== null) this.checkIn(CHECK_EVERY_MS);
  }

  private quiet(): boolean {
    const { tabs, store } = this.parts;
    const { now, hiddenSince } = this;
    return (
      this.phase === "awake" &&
      hiddenSince !== null &&
      Math.max(hiddenSince, this.busyAt) <= now - SLEEP_AFTER_MS &&
      this.waker.proved.get() &&
      store.shared &&
      tabs.leading.get() &&
      tabs.connection.get().state === "live"
    );
  }

  private async maySleep(): Promise<boolean> {
    if (!this.quiet()) return false;
    this.answers.clear();
    this.post({ kind: "may-sleep" });
    await this.pause(ANSWER_MS);
    for (const [tab, heardAt] of this.others)
      if (heardAt > this.now - FORGET_MS && (this.answers.get(tab) ?? 0) < SLEEP_AFTER_MS) return false;
    await this.waker.verify(false);
    return !(await this.work()).now && this.quiet();
  }

  private fallAsleep(): void {
    if (this.phase !== "awake" || !this.parts.store.shared) return;
    this.phase = "asleep";
    this.parts.tabs.stop(true);
    // They would be outdated when the user looks again.
    this.parts.presences.markUnknown();
    this.plan(VISIT_EVERY_MS, true);
    void this.planWork();
  }

  // --- waking up ---

  private wake(): void {
    if (this.phase !== "asleep" && this.phase !== "visiting") return;
    this.rise();
    this.post({ kind: "wake" });
  }

  private rise(): void {
    if (this.phase !== "asleep" && this.phase !== "visiting") return;
    if (this.phase === "visiting") this.parts.tabs.stop(true);
    this.phase = "awake";
    this.timer?.();
    this.parts.tabs.start();
    if (this.hiddenSince !== null) this.checkIn(SLEEP_AFTER_MS);
  }

  // --- visits ---

  /** Makes the next visit this long from now, unless one is due earlier. `anew`: that one was made. */
  private plan(ms: number, anew = false): void {
    if (this.phase !== "asleep") return;
    const { clock, random } = this.parts.platform;
    const due = this.now + ms + random.unit() * (ms > 0 ? VISIT_JITTER_MS : 0);
    if (!anew && due >= this.dueAt) return;
    this.dueAt = due;
    this.timer?.();
    this.timer = clock.after(due - this.now, () => void this.visit());
  }

  /** Connects for a moment, outside presence: stores and acknowledges what waits, and sends what is to be sent. */
  private async visit(): Promise<void> {
    const { tabs, platform } = this.parts;
    this.phase = "visiting";
    this.received = false;
    this.post({ kind: "visiting" });
    let connected = false;
    let before = "live";
    const unsubscribe = tabs.connection.subscribe(({ state }) => {
      connected ||= state === "live" && before !== "live";
      before = state;
    });
    tabs.start(true);
    let idle = 0;
    let busy = false;
    try {
      for (const until = this.now + VISIT_MS; this.phase === "visiting" && idle < 2 && this.now < until;) {
        await this.pause(LINGER_MS);
        busy = (await this.work()).now;
        // If the service worker, or another tab, has the lock, it does the same.
        idle = !busy && (connected || !tabs.leading.get()) ? idle + 1 : 0;
      }
    } catch (err) {
      platform.report("this device could not connect for a moment", err);
    }
    unsubscribe();
    if (this.phase !== "visiting") return;
    tabs.stop(true);
    this.phase = "asleep";
    if (busy && connected) this.wake();
    else {
      this.plan(VISIT_EVERY_MS, true);
      void this.planWork();
      await this.waker.verify(this.received);
    }
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.parts.platform.clock.after(ms, resolve));
  }
}
