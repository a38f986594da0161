/**
 * Keeps one live link to the server: connects, waits with jitter, replaces
 * links on goaway before they end, keeps the token fresh, and says how things
 * stand. What frames mean is its owner's business.
 */
import type { ServerFrame, Welcome } from "../protocol/frames";
import type { Cancel, Platform } from "../platform/platform";
import { Backoff } from "./backoff";
import { CloseCode, remedyFor } from "./close";
import { type Hello, Link, type LinkEnd } from "./link";

/** Where a connection stands. */
export type ConnectionState =
  | { readonly state: "stopped" }
  /** A link is being made. `since`: the last one fell silent then, in ms since the epoch, which was noticed only later. */
  | { readonly state: "connecting"; readonly since?: number }
  /** A link is live. */
  | { readonly state: "live" }
  /** The next try starts at `until`, in ms since the epoch. */
  | { readonly state: "waiting"; readonly until: number; readonly since?: number };

/** A token for hello and renewal. */
export interface Token {
  readonly value: string;
  /** When it ends, in ms since the epoch by this device's clock. */
  readonly endsAt: number;
}

/** The sign-in does not stand any more. */
export class SignInEnded extends Error {
  override readonly name = "SignInEnded";
  readonly reason: "ended" | "disabled" | "deleted";

  constructor(reason: "ended" | "disabled" | "deleted") {
    super(`the sign-in has ended: ${reason}`);
    this.reason = reason;
  }
}

export interface ConnectionOptions {
  /** The address of the WebSocket; rejects where it is not known for lack of a network. */
  url(): Promise<string>;
  /** A token; a new one with `fresh`. Rejects with SignInEnded, or with anything else where it could not be had this time. */
  token(fresh: boolean): Promise<Token>;
  /** What hello says beside the token; asked right before it is sent. */
  hello(): Omit<Hello, "token">;
}

export interface ConnectionHandlers {
  /** Called with each change. */
  onState(state: ConnectionState): void;
  /** Every frame of every link, in order per link, goaway and errors about the socket apart. */
  onFrame(link: Link, frame: ServerFrame): void;
  onUnreadable(link: Link): void;
  /** `link` is the one to send on from now on: it has caught up. */
  onLive(link: Link): void;
  /** `link` is gone; if it was the one to send on, there is none until the next onLive. */
  onGone(link: Link): void;
  /** The account may not connect any more. The connection has stopped. */
  onSignInEnded(reason: "ended" | "disabled" | "deleted"): void;
}

const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 30_000;
/** A link that stood this long was a good one: the next failure begins at the first wait again. */
const STEADY_MS = 10_000;
/** A token is renewed this long before it ends, with up to as much again in jitter. */
const RENEW_BEFORE_MS = 4 * 60_000;
const RENEW_RETRY_MS = 30_000;

export class Connection {
  private readonly platform: Platform;
  private readonly options: ConnectionOptions;
  private readonly handlers: ConnectionHandlers;
  private readonly backoff: Backoff;

  private running = false;
  private told: ConnectionState = { state: "stopped" };
  /** The link to send on. */
  private live: Link | null = null;
  /** The link that is being made; beside `live` only after a goaway. */
  private next: Link | null = null;
  /** Counts tries, so that what a given-up try still brings can be told. */
  private attempt = 0;
  private attempting = false;
  /** See ConnectionState; null while a link is live, or where the last one ended with a word. */
  private silentSince: number | null = null;
  private wantsFresh = false;
  private freshFailures = 0;

  private wait: { readonly until: number; readonly cancel: Cancel } | null = null;
  private steady: Cancel | null = null;
  private renewal: Cancel | null = null;
  private listeners: Cancel[] = [];

  constructor(platform: Platform, options: ConnectionOptions, handlers: ConnectionHandlers) {
    this.platform = platform;
    this.options = options;
    this.handlers = handlers;
    this.backoff = new Backoff(platform.random, FIRST_WAIT_MS, MAX_WAIT_MS);
  }

  /** Begins to connect, at once. */
  start(): void {
    if (this.running) return;
    this.running = true;
    const { page } = this.platform;
    this.listeners = [
      page.onOnline((online) => {
        if (online) this.tryNow();
        this.doubt(online);
      }),
      page.onVisible((visible) => {
        if (!visible) return;
        this.doubt();
        // A hidden tab's timers run late; who looks at it should not wait for them.
        if (this.wait) this.tryNow();
      }),
      page.onResume(() => this.doubt()),
    ];
    void this.connect();
  }

  /** Closes everything. May be started again. */
  stop(): void {
    if (!this.running) return;
    this.running = false;
    this.attempt++;
    this.attempting = false;
    for (const cancel of [this.wait?.cancel, this.steady, this.renewal, ...this.listeners]) cancel?.();
    this.wait = this.steady = this.renewal = null;
    this.listeners = [];
    for (const link of [this.next, this.live]) link?.close();
    this.next = this.live = null;
    this.silentSince = null;
    this.told = { state: "stopped" };
    this.handlers.onState(this.told);
  }

  /** Skips the wait for the next try. */
  tryNow(): void {
    if (!this.running || this.live || this.attempting || this.next) return;
    this.wait?.cancel();
    this.wait = null;
    void this.connect();
  }

  /** Tests the link that stands, if any; `network` false: the browser says that there is none. */
  doubt(network = true): void {
    this.live?.doubt(network);
    this.next?.doubt(network);
  }

  /** Asks for a live link in place of the one that stands, before that is closed. */
  private replace(withinMs: number): void {
    if (this.attempting || this.next || this.wait) return;
    // Servers spread their goaways; this only keeps the clients of one moment apart.
    this.waitThenConnect(this.platform.random.unit() * Math.min(1_000, withinMs / 2));
  }

  private waitThenConnect(ms: number): void {
    this.wait?.cancel();
    const cancel = this.platform.clock.after(ms, () => {
      this.wait = null;
      void this.connect();
    });
    this.wait = { until: this.platform.clock.now() + ms, cancel };
    this.tell();
  }

  private async connect(): Promise<void> {
    const attempt = ++this.attempt;
    this.attempting = true;
    this.tell();
    try {
      const token = await this.options.token(this.wantsFresh);
      const url = await this.options.url();
      if (attempt !== this.attempt) return;
      this.wantsFresh = false;
      this.next = new Link(this.platform, url, () => ({ token: token.value, ...this.options.hello() }), {
        onFrame: (link, frame) => this.receive(link, frame),
        onUnreadable: (link) => this.handlers.onUnreadable(link),
        onEnd: (link, end) => this.ended(link, end),
      });
      this.attempting = false;
      this.renewBefore(token.endsAt);
    } catch (err) {
      if (attempt !== this.attempt) return;
      this.attempting = false;
      if (err instanceof SignInEnded) this.signInEnded(err.reason);
      else this.waitThenConnect(this.backoff.next());
    }
  }

  private receive(link: Link, frame: ServerFrame): void {
    switch (frame.type) {
      case "goaway":
        if (link === this.live) this.replace(frame.within_ms);
        return;
      case "error":
        // About the socket as a whole: what it means is decided when it ends.
        if (frame.id === null) return;
        break;
      case "welcome":
        this.handlers.onFrame(link, frame satisfies Welcome);
        return;
    }
    this.handlers.onFrame(link, frame);
    if (frame.type === "caught_up" && link === this.next) this.takeOver(link);
  }

  private takeOver(link: Link): void {
    const old = this.live;
    this.next = null;
    this.live = link;
    this.silentSince = null;
    this.freshFailures = 0;
    this.steady?.();
    this.steady = this.platform.clock.after(STEADY_MS, () => this.backoff.reset());
    this.tell();
    this.handlers.onLive(link);
    if (old) {
      old.close();
      this.handlers.onGone(old);
    }
  }

  private ended(link: Link, end: LinkEnd): void {
    const wasNext = link === this.next;
    if (wasNext) this.next = null;
    if (link === this.live) {
      this.live = null;
      this.silentSince = end.silentSince;
      this.steady?.();
      this.steady = null;
    }
    this.handlers.onGone(link);
    const remedy = remedyFor(end.code, end.errorCode, end.retryAfterMs);
    if (remedy.kind === "end") {
      this.signInEnded(remedy.reason);
      return;
    }
    if (remedy.kind === "fresh-token") {
      // Once with another token at once; if that does not help either, the usual waits, and a sign-in that has truly ended shows in token().
      this.wantsFresh = true;
      if (this.freshFailures++ === 0) this.backoff.reset();
    }
    // Another link stands, is being made, or will be.
    if (this.next || this.attempting || this.wait) {
      this.tell();
      return;
    }
    // A server that goes away as it said did nothing wrong, nor did the network.
    if (end.code === CloseCode.goingAway && !wasNext) this.backoff.reset();
    const notBefore = remedy.kind === "retry" ? remedy.notBeforeMs : 0;
    this.waitThenConnect(notBefore + this.backoff.next());
  }

  private tell(): void {
    const gap = this.silentSince === null ? {} : { since: this.silentSince };
    const state: ConnectionState = this.live
      ? { state: "live" }
      : this.wait
        ? { state: "waiting", until: this.wait.until, ...gap }
        : { state: "connecting", ...gap };
    const same =
      state.state === this.told.state &&
      (state.state !== "waiting" || this.told.state !== "waiting" || state.until === this.told.until);
    if (same) return;
    this.told = state;
    this.handlers.onState(state);
  }

  private signInEnded(reason: "ended" | "disabled" | "deleted"): void {
    this.stop();
    this.handlers.onSignInEnded(reason);
  }

  /** Sends a fresh token before the one of the hello ends, so that the socket stays. */
  private renewBefore(endsAt: number): void {
    this.renewal?.();
    const { clock, random } = this.platform;
    const wait = endsAt - clock.now() - RENEW_BEFORE_MS * (1 + random.unit());
    this.renewal = clock.after(Math.max(wait, RENEW_RETRY_MS), () => void this.renew());
  }

  private async renew(): Promise<void> {
    const attempt = this.attempt;
    try {
      const token = await this.options.token(true);
      if (!this.running) return;
      this.live?.send({ type: "token", token: token.value });
      this.renewBefore(token.endsAt);
    } catch (err) {
      if (!this.running || attempt !== this.attempt) return;
      if (err instanceof SignInEnded) this.signInEnded(err.reason);
      else this.renewal = this.platform.clock.after(RENEW_RETRY_MS, () => void this.renew());
    }
  }
}
