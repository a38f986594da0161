/**
 * The tabs of one account in one browser: one of them, the leader, runs the
 * engine and so the only socket; all work on one store, and tell each other what
 * changed in it.
 *
 * Who holds the Web Lock leads. A leader's tab may be frozen by the browser
 * without losing the lock, so a visible tab that gets no answer within 1 s takes the lock
 * away ("steal"). For a moment two engines may run then, which repeats work and loses
 * nothing (see ../engine/engine). Where the browser has no locks, or no storage that tabs share, each tab leads itself.
 */
import type { ConnectionState } from "../../net/connection";
import type { Cancel, Channel } from "../../platform/platform";
import { Engine } from "../engine/engine";
import type { EngineParts } from "../engine/ports";
import type { Presence } from "../interface/chat";
import { type Readable, Value } from "../observable";
import type { Change } from "../store/change";
import { EVERYTHING } from "../store/change";
import type { MessageRow } from "../store/rows";
import { readTabMessage, type TabMessage } from "./messages";

/** A leader that says nothing for so long is taken for frozen. */
const SILENCE_MS = 1_000;
/** How often a visible tab asks whether there is a leader. */
const ASK_EVERY_MS = 5_000;
const LATE_MS = 5_000;
/** How often a tab repeats whom it watches; what the leader has not heard of for longer is forgotten. */
const HERE_EVERY_MS = 60_000;
const FORGET_MS = 3 * HERE_EVERY_MS;

export interface TeamHandlers {
  onPresence(uid: string, presence: Presence): void;
  onTyping(uid: string): void;
  /** In the leader's tab only. `hidden`: no tab of this account is visible. */
  onReceived(messages: readonly MessageRow[], hidden: boolean): void;
  onSignInEnded(reason: "ended" | "disabled" | "deleted"): void;
}

interface Member {
  readonly watch: readonly string[];
  readonly visible: boolean;
  readonly heardAt: number;
}

export class Team {
  private readonly parts: EngineParts;
  private readonly handlers: TeamHandlers;
  private readonly tab: string;
  private readonly state = new Value<ConnectionState>({ state: "connecting" });
  private readonly leads = new Value(false);

  private channel: Channel | null = null;
  private lock: Cancel | null = null;
  private engine: Engine | null = null;
  private members = new Map<string, Member>();
  private watching: readonly string[] = [];
  /** Changes that this tab told, and the last that each other tab did. */
  private said = 0;
  private readonly heard = new Map<string, number>();
  /** Runs out when the leader does not answer. */
  private silence: Cancel | null = null;
  private asking: Cancel | null = null;
  private saying: Cancel | null = null;
  private stealing = false;
  private stopped = false;
  private cancels: Cancel[] = [];

  constructor(parts: EngineParts, handlers: TeamHandlers) {
    this.parts = parts;
    this.handlers = handlers;
    this.tab = Array.from(parts.platform.random.bytes(8), (b) => b.toString(16).padStart(2, "0")).join("");
  }

  /** How the one connection stands. */
  get connection(): Readable<ConnectionState> {
    return this.state;
  }

  /** Whether this tab leads. */
  get leading(): Readable<boolean> {
    return this.leads;
  }

  start(): void {
    const { platform, store, uid } = this.parts;
    if (!platform.tabs.supported || !store.shared) {
      this.lead();
      return;
    }
    const name = `phoenix:${uid}`;
    this.channel = platform.tabs.channel(name, (message) => this.hear(message));
    this.cancels = [
      store.onChange((change) => this.changed(change)),
      platform.page.onVisible((visible) => {
        this.say();
        if (visible) this.ask();
      }),
      // Whatever was said while this tab was frozen is lost to it.
      platform.page.onResume(() => {
        store.tell(EVERYTHING);
        this.ask();
      }),
    ];
    this.waitForLock();
    this.say();
    this.ask();
  }

  /** Ends this tab's part. Another tab leads on, if there is one. */
  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    for (const cancel of [this.silence, this.asking, this.saying, ...this.cancels]) cancel?.();
    this.engine?.stop();
    this.engine = null;
    this.lock?.();
    this.post({ kind: "gone", tab: this.tab });
    this.channel?.close();
    this.channel = null;
  }

  tryNow(): void {
    if (this.engine) this.engine.tryNow();
    else this.post({ kind: "try" });
  }

  /** Whose presence this tab shows, the most wanted first. */
  watch(uids: readonly string[]): void {
    this.watching = uids;
    if (this.engine) this.watchAll();
    else this.say();
  }

  typing(to: string): void {
    if (this.engine) this.engine.typing(to);
    else this.post({ kind: "type", to });
  }

  private post(message: TabMessage): void {
    this.channel?.post(message);
  }

  // --- who leads ---

  private waitForLock(): void {
    this.request(false);
  }

  private request(steal: boolean): void {
    this.lock?.();
    this.lock = this.parts.platform.tabs.lock(`phoenix:${this.parts.uid}`, steal, {
      onHeld: () => {
        this.stealing = false;
        this.lead();
      },
      onLost: () => {
        this.stealing = false;
        this.lock = null;
        if (this.stopped) return;
        this.follow();
        this.waitForLock();
        this.ask();
      },
    });
  }

  private lead(): void {
    if (this.stopped || this.engine) return;
    this.silence?.();
    this.silence = null;
    this.members = new Map();
    const engine = new Engine(this.parts, {
      onState: (state) => {
        if (this.engine !== engine) return;
        this.state.set(state);
        this.post({ kind: "state", state });
      },
      onPresence: (uid, presence) => {
        this.handlers.onPresence(uid, presence);
        this.post({ kind: "presence", uid, presence });
      },
      onTyping: (uid) => {
        this.handlers.onTyping(uid);
        this.post({ kind: "typing", uid });
      },
      onReceived: (messages) => this.handlers.onReceived(messages, !this.anyVisible()),
      onSignInEnded: (reason) => this.handlers.onSignInEnded(reason),
    });
    this.engine = engine;
    this.leads.set(true);
    this.post({ kind: "roll" });
    this.post({ kind: "state", state: this.state.get() });
    this.watchAll();
    void this.begin(engine);
  }

  /** Starts the engine; a store that cannot be read is tried again. */
  private async begin(engine: Engine): Promise<void> {
    try {
      await engine.start();
    } catch (err) {
      this.parts.platform.report("the account could not be read", err);
      this.cancels.push(
        this.parts.platform.clock.after(2_000, () => {
          if (this.engine === engine) void this.begin(engine);
        }),
      );
    }
  }

  private follow(): void {
    this.engine?.stop();
    this.engine = null;
    this.leads.set(false);
    this.say();
  }

  /** Asks for the leader; without an answer this tab takes over, if somebody looks at it. */
  private ask(): void {
    this.asking?.();
    const due = this.parts.platform.clock.now() + ASK_EVERY_MS;
    this.asking = this.parts.platform.clock.after(ASK_EVERY_MS, () => {
      // A timer that runs so late was stopped with all else here, and not every browser says so.
      if (this.parts.platform.page.visible() && this.parts.platform.clock.now() - due > LATE_MS)
        this.parts.store.tell(EVERYTHING);
      this.ask();
    });
    if (this.stopped || this.engine || this.stealing || this.silence || !this.parts.platform.page.visible()) return;
    this.post({ kind: "ask" });
    this.silence = this.parts.platform.clock.after(SILENCE_MS, () => {
      this.silence = null;
      if (this.stopped || this.engine || !this.parts.platform.page.visible()) return;
      this.stealing = true;
      this.request(true);
    });
  }

  // --- what tabs tell each other ---

  private hear(value: unknown): void {
    const message = readTabMessage(value);
    if (!message || this.stopped) return;
    switch (message.kind) {
      case "ask":
        if (this.engine) this.post({ kind: "state", state: this.state.get() });
        return;
      case "state":
        this.silence?.();
        this.silence = null;
        if (!this.engine) this.state.set(message.state);
        return;
      case "roll":
        if (!this.engine) this.say();
        return;
      case "here":
        if (!this.engine) return;
        this.members.set(message.tab, {
          watch: message.watch,
          visible: message.visible,
          heardAt: this.parts.platform.clock.now(),
        });
        this.watchAll();
        return;
      case "gone":
        if (this.members.delete(message.tab)) this.watchAll();
        return;
      case "change":
        this.hearChange(message.tab, message.n, message.change);
        return;
      case "presence":
        this.handlers.onPresence(message.uid, message.presence);
        return;
      case "typing":
        this.handlers.onTyping(message.uid);
        return;
      case "type":
        this.engine?.typing(message.to);
        return;
      case "try":
        this.engine?.tryNow();
        return;
    }
  }

  /** Tells the leader whom this tab watches. */
  private say(): void {
    this.saying?.();
    this.saying = null;
    if (this.stopped || this.engine || !this.channel) return;
    this.post({ kind: "here", tab: this.tab, watch: [...this.watching], visible: this.parts.platform.page.visible() });
    this.saying = this.parts.platform.clock.after(HERE_EVERY_MS, () => this.say());
  }

  private changed(change: Change): void {
    if (change.remote) return;
    if (!change.all) this.post({ kind: "change", tab: this.tab, n: ++this.said, change });
    // Something is to be sent: now it matters that there is a leader.
    if (change.work) this.ask();
  }

  private hearChange(tab: string, n: number, change: Change): void {
    const last = this.heard.get(tab);
    this.heard.set(tab, n);
    const missed = last !== undefined && n !== last + 1;
    const heard = missed ? EVERYTHING : change;
    this.parts.store.tell({ ...heard, work: heard.work && this.engine !== null, remote: true });
  }

  private current(): Member[] {
    const now = this.parts.platform.clock.now();
    return [...this.members.values()].filter((m) => now - m.heardAt < FORGET_MS);
  }

  private watchAll(): void {
    this.engine?.watch([...this.watching, ...this.current().flatMap((m) => m.watch)]);
  }

  private anyVisible(): boolean {
    return this.parts.platform.page.visible() || this.current().some((m) => m.visible);
  }
}
