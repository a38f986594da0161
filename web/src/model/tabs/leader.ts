/**
 * Leader election among the tabs of one user in one browser. All tabs work on one store and notify each other of
 * changes. One tab, the leader, runs the engine and so owns the only socket; the others follow.
 *
 * The tab that holds the Web Lock is the leader. A browser may freeze the leader's tab without releasing the lock, so a
 * visible tab that gets no answer within 1 s steals it. Two engines may then run for a moment, which repeats work and
 * loses nothing (see ../engine/engine). In a browser without locks, or without storage that tabs share, each tab is its
 * own leader. A tab that finds the disk full stands alone until there is space, because other tabs do not see what it
 * has in memory.
 */
import type { ConnectionState } from "../../net/connection";
import type { Cancel, Channel } from "../../platform/platform";
import { Engine } from "../engine/engine";
import type { EngineParts } from "../engine/ports";
import { type Readable, Value } from "../observable";
import type { Change } from "../store/change";
import { EVERYTHING } from "../store/change";
import { readTabMessage, type TabMessage } from "./messages";
import { type Follower, type TabLeaderHandlers, tabsName } from "./roles";

/** A leader that does not answer for this long counts as frozen. */
const SILENCE_MS = 1_000;
/** How often a visible tab checks that there is a leader. */
const CHECK_EVERY_MS = 5_000;
/** A timer that fires later than this shows that the tab was frozen. */
const LATE_MS = 5_000;
/** How often a follower repeats its report. The leader drops a follower that it has not heard from for FORGET_MS. */
const REPORT_EVERY_MS = 60_000;
const FORGET_MS = 3 * REPORT_EVERY_MS;
/**
 * How long a tab that lost the lock waits before it queues for it again. WebKit refuses every request of a page that is
 * being unloaded, at once. Timers of such a page never fire, so waiting ends the attempts.
 */
const REQUEUE_MS = 500;
/** How long to wait before starting the engine again when the store could not be read. */
const RESTART_MS = 2_000;

/** This tab's access to the leader, which is this tab itself or another one. */
export class TabLeader {
  private readonly parts: EngineParts;
  private readonly handlers: TabLeaderHandlers;
  readonly tab: string;
  readonly name: string;
  readonly read = readTabMessage;
  private readonly state = new Value<ConnectionState>({ state: "connecting" });
  private readonly leadingValue = new Value(false);

  private channel: Channel | null = null;
  private lock: Cancel | null = null;
  /** Set while this tab is the leader. */
  private engine: Engine | null = null;
  private followers = new Map<string, Follower>();
  private watching: readonly string[] = [];
  /** The number of changes that this tab has broadcast, and the number of the last one heard from each other tab. */
  private changesSent = 0;
  private readonly changesHeard = new Map<string, number>();
  /** Fires when the leader has not answered. */
  private silenceTimer: Cancel | null = null;
  private checkTimer: Cancel | null = null;
  private reportTimer: Cancel | null = null;
  private requeueTimer: Cancel | null = null;
  private stealing = false;
  private stopped = true;
  private background = false;
  /** Whether this tab takes part in the election. Null before the start. */
  private shared: boolean | null = null;
  private unsubscribe: Cancel | null = null;
  private cancels: Cancel[] = [];

  constructor(parts: EngineParts, handlers: TabLeaderHandlers) {
    this.parts = parts;
    this.handlers = handlers;
    this.name = tabsName(parts.uid);
    this.tab = Array.from(parts.platform.random.bytes(8), (b) => b.toString(16).padStart(2, "0")).join("");
  }

  /** The state of the leader's connection. */
  get connection(): Readable<ConnectionState> {
    return this.state;
  }

  /** Whether this tab is the leader. */
  get leading(): Readable<boolean> {
    return this.leadingValue;
  }

  /**
   * Joins the election. After {@link stop} it may be called again. `background`: this tab connects, if it becomes the
   * leader, with a background socket (DESIGN §4).
   */
  start(background = false): void {
    if (!this.stopped) return;
    this.stopped = false;
    this.background = background;
    const { platform, store } = this.parts;
    const look = (): void => this.updateLooking();
    const ends = [store.storage.subscribe(() => this.arrange()), platform.page.onFocused(look)];
    ends.push(platform.page.onVisible(look));
    this.unsubscribe = () => ends.forEach((end) => end());
  }

  /** Joins the election if this tab shares its storage with other tabs, or leaves it. */
  private arrange(): void {
    const { platform, store } = this.parts;
    if (this.stopped || this.shared === store.shared) return;
    const before = this.shared;
    this.shared = store.shared;
    if (!store.shared) {
      this.leaveElection();
      this.becomeLeader();
      return;
    }
    // The disk has space again. The cursor there decides what comes next, so another engine begins with it.
    this.endEngine();
    if (platform.tabs.supported) this.joinElection();
    else this.becomeLeader();
    if (before !== null) this.postChange(EVERYTHING);
  }

  private joinElection(): void {
    const { platform, store } = this.parts;
    this.channel = platform.tabs.channel(this.name, (message) => this.receive(message));
    this.cancels = [
      store.onChange((change) => this.broadcastChange(change)),
      platform.page.onVisible((visible) => {
        this.reportToLeader();
        if (!visible) return;
        this.checkLeader();
        // The user looks at this device again. The leader's own connection does this for the leader's tab.
        if (this.standAsideUntil() > 0) this.tryNow();
      }),
      platform.page.onFocused(() => this.reportToLeader()),
      // A frozen tab misses messages, so it reads everything again.
      platform.page.onResume(() => {
        store.notify(EVERYTHING);
        this.checkLeader();
      }),
    ];
    this.requestLock(false);
    this.reportToLeader();
    this.checkLeader();
  }

  /**
   * Ends this tab's part in the election. Another open tab becomes the leader. `asleep`: the missing connection is not
   * shown, because nobody looks.
   */
  stop(asleep = false): void {
    if (this.stopped) return;
    this.stopped = true;
    this.unsubscribe?.();
    this.endEngine();
    this.leaveElection();
    this.shared = null;
    if (asleep) this.state.set({ state: "live" });
  }

  private endEngine(): void {
    this.engine?.stop();
    this.engine = null;
    this.leadingValue.set(false);
  }

  private leaveElection(): void {
    const timers = [this.silenceTimer, this.checkTimer, this.reportTimer, this.requeueTimer];
    for (const cancel of [...timers, ...this.cancels]) cancel?.();
    this.silenceTimer = null;
    this.cancels = [];
    this.stealing = false;
    this.lock?.();
    this.lock = null;
    this.post({ kind: "tab-closed", tab: this.tab });
    this.channel?.close();
    this.channel = null;
  }

  /** Makes the leader connect at once instead of waiting for its next attempt. */
  tryNow(): void {
    if (this.engine) this.engine.tryNow();
    else {
      // If the leader is frozen, this tab becomes the leader and must connect.
      if (this.standAsideUntil() > 0) this.state.set({ state: "connecting" });
      this.post({ kind: "try-now" });
    }
  }

  /** Makes the leader send the server a new token, because the user has confirmed their identity. */
  renewToken(): void {
    if (this.engine) this.engine.renewToken();
    else this.post({ kind: "renew-token" });
  }

  /** Sets the users whose presence this tab shows, the most wanted first. */
  watch(uids: readonly string[]): void {
    this.watching = uids;
    if (this.engine) this.updateWatch();
    else this.reportToLeader();
  }

  /** Makes the leader send `to` a typing hint. */
  typing(to: string): void {
    if (this.engine) this.engine.typing(to);
    else this.post({ kind: "send-typing", to });
  }

  /** Returns until when this device stands aside for newer ones, in ms since the epoch. 0 if it does not. */
  private standAsideUntil(): number {
    const state = this.state.get();
    return state.state === "waiting" && state.replaced ? state.until : 0;
  }

  private post(message: TabMessage): void {
    this.channel?.post(message);
  }

  // --- election ---

  private requestLock(steal: boolean): void {
    this.lock?.();
    this.lock = this.parts.platform.tabs.lock(this.name, steal, {
      onHeld: () => {
        this.stealing = false;
        this.becomeLeader();
      },
      onLost: () => {
        this.stealing = false;
        this.lock = null;
        if (this.stopped) return;
        this.becomeFollower();
        this.requeue();
        this.checkLeader();
      },
    });
  }

  private requeue(): void {
    this.requeueTimer?.();
    this.requeueTimer = this.parts.platform.clock.after(REQUEUE_MS, () => {
      if (!this.lock) this.requestLock(false);
    });
  }

  private becomeLeader(): void {
    if (this.stopped || this.engine) return;
    this.silenceTimer?.();
    this.silenceTimer = null;
    this.followers = new Map();
    const { background } = this;
    const engine = new Engine(
      { ...this.parts, background },
      {
        onState: (state) => {
          if (this.engine !== engine) return;
          this.state.set(state);
          this.post({ kind: "state", state });
        },
        onPresence: (uid, presence) => {
          this.handlers.onPresence(uid, presence);
          this.post({ kind: "presence", uid, presence });
        },
        onProfile: (uid) => {
          this.handlers.onProfile(uid);
          this.post({ kind: "profile", uid });
        },
        onTyping: (uid) => {
          this.handlers.onTyping(uid);
          this.post({ kind: "typing", uid });
        },
        onReceived: (messages) => this.handlers.onReceived(messages, !this.anyFocused()),
        onSignInEnded: (reason) => this.handlers.onSignInEnded(reason),
      },
    );
    this.engine = engine;
    this.leadingValue.set(true);
    this.post({ kind: "elected" });
    this.post({ kind: "state", state: this.state.get() });
    this.updateFollowers();
    // A change of the leader is not a reason to connect: it may happen in tabs that nobody looks at.
    void this.startEngine(engine, this.standAsideUntil());
  }

  /** Starts the engine. Tries again later when the store cannot be read. */
  private async startEngine(engine: Engine, standAsideUntil: number): Promise<void> {
    try {
      await engine.start(standAsideUntil);
    } catch (err) {
      this.parts.platform.report("the store could not be read", err);
      this.cancels.push(
        this.parts.platform.clock.after(RESTART_MS, () => {
          if (this.engine === engine) void this.startEngine(engine, standAsideUntil);
        }),
      );
    }
  }

  private becomeFollower(): void {
    this.endEngine();
    this.reportToLeader();
  }

  /** Asks for the leader. When nobody answers, this tab steals the lock, provided that it is visible. */
  private checkLeader(): void {
    this.checkTimer?.();
    const due = this.parts.platform.clock.now() + CHECK_EVERY_MS;
    // A follower may have gone without a message.
    this.updateLooking();
    this.checkTimer = this.parts.platform.clock.after(CHECK_EVERY_MS, () => {
      // A timer that fires this late shows that the tab was frozen. Not every browser sends an event for that.
      if (this.parts.platform.page.visible() && this.parts.platform.clock.now() - due > LATE_MS)
        this.parts.store.notify(EVERYTHING);
      this.checkLeader();
    });
    if (this.stopped || this.engine || this.stealing || this.silenceTimer || !this.parts.platform.page.visible())
      return;
    this.post({ kind: "who-leads" });
    this.silenceTimer = this.parts.platform.clock.after(SILENCE_MS, () => {
      this.silenceTimer = null;
      if (this.stopped || this.engine || !this.parts.platform.page.visible()) return;
      this.stealing = true;
      this.requestLock(true);
    });
  }

  // --- messages between tabs ---

  private receive(value: unknown): void {
    const message = readTabMessage(value);
    if (!message || this.stopped) return;
    switch (message.kind) {
      case "who-leads":
        if (this.engine) this.post({ kind: "state", state: this.state.get() });
        return;
      case "state":
        this.silenceTimer?.();
        this.silenceTimer = null;
        if (!this.engine) this.state.set(message.state);
        return;
      case "elected":
        if (!this.engine) this.reportToLeader();
        return;
      case "follower":
        if (!this.engine) return;
        this.followers.set(message.tab, {
          watch: message.watch,
          focused: message.visible,
          heardAt: this.parts.platform.clock.monotonic(),
        });
        this.updateFollowers();
        return;
      case "tab-closed":
        if (this.followers.delete(message.tab)) this.updateFollowers();
        return;
      case "change":
        this.applyRemoteChange(message.tab, message.n, message.change);
        return;
      case "presence":
        this.handlers.onPresence(message.uid, message.presence);
        return;
      case "profile":
        this.handlers.onProfile(message.uid);
        return;
      case "typing":
        this.handlers.onTyping(message.uid);
        return;
      case "send-typing":
        this.engine?.typing(message.to);
        return;
      case "try-now":
        this.engine?.tryNow();
        return;
      case "renew-token":
        this.engine?.renewToken();
        return;
    }
  }

  /** Sends the leader what it needs to know of this follower, and repeats it. */
  private reportToLeader(): void {
    this.reportTimer?.();
    this.reportTimer = null;
    if (this.stopped || this.engine || !this.channel) return;
    const visible = this.parts.platform.page.focused();
    this.post({ kind: "follower", tab: this.tab, watch: [...this.watching], visible });
    this.reportTimer = this.parts.platform.clock.after(REPORT_EVERY_MS, () => this.reportToLeader());
  }

  private broadcastChange(change: Change): void {
    if (change.remote) return;
    if (!change.all) this.postChange(change);
    // There is something to send, so there must be a leader now.
    if (change.work.length > 0) this.checkLeader();
  }

  private postChange(change: Change): void {
    this.post({ kind: "change", tab: this.tab, n: ++this.changesSent, change });
  }

  private applyRemoteChange(tab: string, n: number, change: Change): void {
    const last = this.changesHeard.get(tab);
    this.changesHeard.set(tab, n);
    const missed = last !== undefined && n !== last + 1;
    const heard = missed ? EVERYTHING : change;
    this.parts.store.notify({ ...heard, work: this.engine ? heard.work : [], remote: true });
  }

  private activeFollowers(): Follower[] {
    const now = this.parts.platform.clock.monotonic();
    return [...this.followers.values()].filter((f) => now - f.heardAt < FORGET_MS);
  }

  private updateFollowers(): void {
    this.updateWatch();
    this.updateLooking();
  }

  private updateLooking(): void {
    this.engine?.look(this.anyFocused());
  }

  private updateWatch(): void {
    this.engine?.watch([...this.watching, ...this.activeFollowers().flatMap((f) => f.watch)]);
  }

  private anyFocused(): boolean {
    return this.parts.platform.page.focused() || this.activeFollowers().some((f) => f.focused);
  }
}
