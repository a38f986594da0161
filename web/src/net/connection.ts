/**
 * Keeps one live link to the server. It connects, waits with jitter, replaces a link on goaway before the link ends,
 * renews the token, and reports its state. Its owner interprets the frames.
 */
import type { ServerFrame, Welcome } from "../protocol/frames";
import type { Cancel, Platform } from "../platform/platform";
import { Backoff } from "./backoff";
import { CloseCode, remedyFor } from "./close";
import { type Hello, Link, type LinkEnd } from "./link";

/** The state of a connection. */
export type ConnectionState =
  | { readonly state: "stopped" }
  /**
   * A link is being made. `since`: when the last link fell silent, in ms since the epoch, which was noticed only later.
   */
  | { readonly state: "connecting"; readonly since?: number }
  /** A link is live. */
  | { readonly state: "live" }
  /**
   * The next attempt starts at `until`, in ms since the epoch. `replaced`: the server closed the link because the user
   * opened newer ones, so this device stands aside.
   */
  | { readonly state: "waiting"; readonly until: number; readonly since?: number; readonly replaced?: true };

/** A token for hello and for renewal. */
export interface Token {
  readonly value: string;
  /** When it expires, in ms since the epoch by this device's clock. */
  readonly endsAt: number;
}

/** Why a sign-in has ended. After "signed-out", nothing may stay on this device. */
export type EndReason = "ended" | "signed-out" | "disabled" | "deleted";

/** The sign-in is not valid any more. */
export class SignInEnded extends Error {
  override readonly name = "SignInEnded";
  readonly reason: EndReason;

  constructor(reason: EndReason) {
    super(`the sign-in has ended: ${reason}`);
    this.reason = reason;
  }
}

export interface ConnectionOptions {
  /**
   * Returns the address of the WebSocket. `failed`: the last handshake failed, and a page does not learn why. Rejects
   * if the address is not known and there is no network.
   */
  url(failed: boolean): Promise<string>;
  /** See Identity.token. Rejects with SignInEnded, or with another error if it failed this time. */
  token(refused: string | null): Promise<Token>;
  /** Returns the other fields of hello. Called right before hello is sent. */
  hello(): Omit<Hello, "token">;
}

export interface ConnectionHandlers {
  /** Called on each change. */
  onState(state: ConnectionState): void;
  /** All frames of all links, in order per link, except goaway and errors about the socket as a whole. */
  onFrame(link: Link, frame: ServerFrame): void;
  onUnreadable(link: Link): void;
  /** `link` has caught up and is the one to send on from now on. */
  onLive(link: Link): void;
  /** `link` has ended. If it was the one to send on, there is none until the next onLive. */
  onEnded(link: Link): void;
  /** The account may not connect any more. The connection has stopped. */
  onSignInEnded(reason: EndReason): void;
}

const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 30_000;
/** A link that was live for this long was stable: the next failure starts at the first wait again. */
const STEADY_MS = 10_000;
/** A token is renewed this long before it expires, plus up to as much again as jitter. */
const RENEW_BEFORE_MS = 4 * 60_000;
const RENEW_RETRY_MS = 30_000;
/** After `socket_replaced`, the next attempt starts this long after the end of the link, plus up to as much again. */
const STAND_ASIDE_MS = 5 * 60_000;

export class Connection {
  private readonly platform: Platform;
  private readonly options: ConnectionOptions;
  private readonly handlers: ConnectionHandlers;
  private readonly backoff: Backoff;

  private running = false;
  private reported: ConnectionState = { state: "stopped" };
  /** The link to send on. */
  private live: Link | null = null;
  /** The link that is being made. Exists beside `live` only after a goaway. */
  private next: Link | null = null;
  /** Incremented per attempt, so that results of an abandoned attempt are ignored. */
  private attempt = 0;
  private attempting = false;
  /** See ConnectionState. Null while a link is live, and if the last one was closed properly. */
  private silentSince: number | null = null;
  /** The token of the last hello or renewal. */
  private token: string | null = null;
  /** The token of the last hello if the server has refused it. */
  private refused: string | null = null;
  private freshFailures = 0;
  /** Whether the token of the link that is being made was fetched because the server had refused another one. */
  private hasFresh = false;

  private wait: { readonly until: number; readonly replaced: boolean; readonly cancel: Cancel } | null = null;
  /** Whether the last link ended before its handshake was done. */
  private handshakeFailed = false;
  private steady: Cancel | null = null;
  private renewal: Cancel | null = null;
  private listeners: Cancel[] = [];

  constructor(platform: Platform, options: ConnectionOptions, handlers: ConnectionHandlers) {
    this.platform = platform;
    this.options = options;
    this.handlers = handlers;
    this.backoff = new Backoff(platform.random, FIRST_WAIT_MS, MAX_WAIT_MS);
  }

  /** Starts to connect: at once, or at `standAsideUntil` if this device was replaced by newer ones (in ms). */
  start(standAsideUntil = 0): void {
    if (this.running) return;
    this.running = true;
    const { page } = this.platform;
    this.listeners = [
      page.onOnline((online) => {
        if (online && !this.wait?.replaced) this.tryNow();
        this.doubt(online);
      }),
      page.onVisible((visible) => {
        if (!visible) return;
        this.doubt();
        // A hidden tab's timers run late. A user who looks at the tab should not wait for them.
        if (this.wait) this.tryNow();
      }),
      page.onResume(() => this.doubt()),
    ];
    const wait = standAsideUntil - this.platform.clock.now();
    if (wait > 0) this.waitThenConnect(wait, true);
    else void this.connect();
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
    this.reported = { state: "stopped" };
    this.handlers.onState(this.reported);
  }

  /** Skips the wait for the next attempt. */
  tryNow(): void {
    if (!this.running || this.live || this.attempting || this.next) return;
    this.wait?.cancel();
    this.wait = null;
    void this.connect();
  }

  /** Sends a new token now, because the user has signed in anew. */
  renewToken(): void {
    if (this.live) void this.renew(false);
  }

  /** Tests the current link, if there is one. `network` false: the browser reports that there is no network. */
  doubt(network = true): void {
    this.live?.doubt(network);
    this.next?.doubt(network);
  }

  /** Makes a new live link before the current one is closed. */
  private replace(withinMs: number): void {
    if (this.attempting || this.next || this.wait) return;
    // Servers spread their goaways. This only spreads the clients that get one at the same moment.
    this.waitThenConnect(this.platform.random.unit() * Math.min(1_000, withinMs / 2));
  }

  private waitThenConnect(ms: number, replaced = false): void {
    this.wait?.cancel();
    const cancel = this.platform.clock.after(ms, () => {
      this.wait = null;
      void this.connect();
    });
    this.wait = { until: this.platform.clock.now() + ms, replaced, cancel };
    this.reportState();
  }

  private async connect(): Promise<void> {
    const attempt = ++this.attempt;
    this.attempting = true;
    this.reportState();
    try {
      const { refused } = this;
      const token = await this.options.token(refused);
      const url = await this.options.url(this.handshakeFailed);
      if (attempt !== this.attempt) return;
      this.handshakeFailed = false;
      this.token = token.value;
      this.refused = null;
      this.hasFresh = refused !== null;
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
        // An error about the socket as a whole. Its effect is decided when the socket ends.
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
    this.reportState();
    this.handlers.onLive(link);
    if (old) {
      old.close();
      this.handlers.onEnded(old);
    }
  }

  private ended(link: Link, end: LinkEnd): void {
    const wasNext = link === this.next;
    if (wasNext) this.next = null;
    this.handshakeFailed = !end.opened;
    if (link === this.live) {
      this.live = null;
      this.silentSince = end.silentSince;
      this.steady?.();
      this.steady = null;
    }
    this.handlers.onEnded(link);
    const remedy = remedyFor(end.code, end.errorCode, end.retryAfterMs);
    if (remedy.kind === "end") {
      this.signInEnded(remedy.reason);
      return;
    }
    // A device that was signed out deletes its data. The token of an older socket may be that of a sign-in that this one
    // has replaced, so only the answer to the present token counts.
    if (wasNext && end.errorCode === "signed_out") {
      this.signInEnded("signed-out");
      return;
    }
    if (remedy.kind === "fresh-token") {
      // The server has ended this sign-in: another token of it does not help.
      if (wasNext && this.hasFresh && (end.errorCode === "token_ended" || end.code === CloseCode.tokenEnded)) {
        this.signInEnded("ended");
        return;
      }
      // The first time, reconnects at once. If that fails too, the usual waits apply. After a hello that was refused, it
      // is with another token, and if the sign-in has ended, token() rejects. The token of a socket that was live may
      // be older than the present one: after a new password, the server ends such a socket.
      if (wasNext) this.refused = this.token;
      if (this.freshFailures++ === 0) this.backoff.reset();
    }
    // Another link is live, is being made, or is scheduled.
    if (this.next || this.attempting || this.wait) {
      this.reportState();
      return;
    }
    if (remedy.kind === "stand-aside") {
      this.silentSince = null;
      this.waitThenConnect(STAND_ASIDE_MS * (1 + this.platform.random.unit()), true);
      return;
    }
    // A server that goes away as announced is not a failure, nor is the network.
    if (end.code === CloseCode.goingAway && !wasNext) this.backoff.reset();
    const notBefore = remedy.kind === "retry" ? remedy.notBeforeMs : 0;
    this.waitThenConnect(notBefore + this.backoff.next());
  }

  private reportState(): void {
    const gap = this.silentSince === null ? {} : { since: this.silentSince };
    const state: ConnectionState = this.live
      ? { state: "live" }
      : this.wait
        ? { state: "waiting", until: this.wait.until, ...gap, ...(this.wait.replaced ? { replaced: true } : {}) }
        : { state: "connecting", ...gap };
    const same =
      state.state === this.reported.state &&
      (state.state !== "waiting" || this.reported.state !== "waiting" || state.until === this.reported.until);
    if (same) return;
    this.reported = state;
    this.handlers.onState(state);
  }

  private signInEnded(reason: EndReason): void {
    this.stop();
    this.handlers.onSignInEnded(reason);
  }

  /** Sends a new token before the token of the hello expires, so that the socket stays open. */
  private renewBefore(endsAt: number): void {
    this.renewal?.();
    const { clock, random } = this.platform;
    const wait = endsAt - clock.now() - RENEW_BEFORE_MS * (1 + random.unit());
    this.renewal = clock.after(Math.max(wait, RENEW_RETRY_MS), () => void this.renew(true));
  }

  private async renew(fresh: boolean): Promise<void> {
    const attempt = this.attempt;
    try {
      const token = await this.options.token(fresh ? this.token : null);
      if (!this.running) return;
      this.token = token.value;
      this.live?.send({ type: "token", token: token.value });
      this.renewBefore(token.endsAt);
    } catch (err) {
      if (!this.running || attempt !== this.attempt) return;
      if (err instanceof SignInEnded) this.signInEnded(err.reason);
      else if (fresh) this.renewal = this.platform.clock.after(RENEW_RETRY_MS, () => void this.renew(true));
    }
  }
}
