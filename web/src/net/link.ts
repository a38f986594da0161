/**
 * One WebSocket of chat.v1, from the handshake to its end. It knows the
 * protocol's order (hello, welcome, events, caught_up, live) and its times,
 * and nothing of what frames mean.
 */
import { decodeFrame, encodeFrame } from "../protocol/codec";
import { Malformed } from "../protocol/fields";
import type { ClientFrame, ServerFrame, Welcome } from "../protocol/frames";
import { SUBPROTOCOL } from "../protocol/frames";
import type { Cancel, Platform, Socket } from "../platform/platform";
import { CloseCode } from "./close";

/** Where a link is: `opening` (handshake) → `greeting` (hello sent) → `catching-up` (welcomed) → `live` → `ended`. */
export type LinkState = "opening" | "greeting" | "catching-up" | "live" | "ended";

/** How a link ended without its owner's doing. */
export interface LinkEnd {
  readonly code: number;
  /** Code of the last `error` frame about the socket as a whole; "" for none. */
  readonly errorCode: string;
  readonly retryAfterMs: number | null;
  /** When the test began that it did not pass, in ms since the epoch: from then on nothing was heard. Null where it ended otherwise. */
  readonly silentSince: number | null;
}

export interface LinkHandlers {
  /** Every frame but pong and those of later versions, in order; welcome first. */
  onFrame(link: Link, frame: ServerFrame): void;
  /** A frame could not be read and was passed over: something may be missing from here on. */
  onUnreadable(link: Link): void;
  /** Called once, unless the owner called {@link Link.close}. */
  onEnd(link: Link, end: LinkEnd): void;
}

export interface Hello {
  readonly token: string;
  readonly device: string;
  readonly cursor: string;
}

/** From the call to a welcome. */
const GREETING_MS = 15_000;
/** From a ping to anything at all from the server. */
const PONG_MS = 5_000;
/** The same where the browser itself says that there is no network: it is mostly right, so what is told of the gap need not wait. */
const PONG_WITHOUT_NETWORK_MS = 1_000;
/** Silence after which an open link is tested. Protocol-level pings of the server are not seen here, so a quiet link is a normal one. */
const QUIET_MS = 60_000;
/** At most one ack in this time. */
const ACK_EVERY_MS = 50;
/** Malformed frames after which the server is not one that this client can talk to. */
const MAX_MALFORMED = 20;

export class Link {
  private readonly platform: Platform;
  private readonly handlers: LinkHandlers;
  private readonly socket: Socket;
  private current: LinkState = "opening";

  private greeting: Cancel | null = null;
  private pong: Cancel | null = null;
  private doubtedAt = 0;
  private quiet: Cancel | null = null;

  private ackCursor = "";
  private ackTimer: Cancel | null = null;

  private malformed = 0;
  private lastError = { code: "", retryAfterMs: null as number | null };

  /** Opens the socket; `hello` is asked when it stands, so that its cursor is the newest. */
  constructor(platform: Platform, url: string, hello: () => Hello, handlers: LinkHandlers) {
    this.platform = platform;
    this.handlers = handlers;
    this.greeting = platform.clock.after(GREETING_MS, () => this.end(CloseCode.abnormal));
    this.socket = platform.sockets.open(url, SUBPROTOCOL, {
      onOpen: () => {
        this.current = "greeting";
        this.send({ type: "hello", ...hello() });
      },
      onText: (text) => this.receive(text),
      onClose: (code) => this.end(code),
    });
  }

  get state(): LinkState {
    return this.current;
  }

  /** Sends a frame; lost where the link has ended. */
  send(frame: ClientFrame): void {
    if (this.current !== "ended") this.socket.send(encodeFrame(frame));
  }

  /**
   * Acknowledges everything up to `cursor`, which this link must have brought
   * and which must be stored. At most every 50 ms; later calls replace earlier ones.
   */
  ack(cursor: string): void {
    if (this.current === "ended") return;
    this.ackCursor = cursor;
    if (this.ackTimer) return;
    this.flushAck();
    this.ackTimer = this.platform.clock.after(ACK_EVERY_MS, () => {
      this.ackTimer = null;
      if (this.ackCursor !== "") this.ack(this.ackCursor);
    });
  }

  /** Tests the link: it ends unless the server says something within 5 s, or 1 s where there is no `network`. */
  doubt(network = true): void {
    if (this.pong || (this.current !== "live" && this.current !== "catching-up")) return;
    const { clock } = this.platform;
    this.doubtedAt = clock.now();
    this.pong = clock.after(network ? PONG_MS : PONG_WITHOUT_NETWORK_MS, () =>
      this.end(CloseCode.abnormal, this.doubtedAt),
    );
    this.send({ type: "ping" });
  }

  /** Ends the link, after acknowledging what is stored. No handler is called any more. */
  close(): void {
    if (this.current === "ended") return;
    this.flushAck();
    this.stop();
    this.socket.close(CloseCode.normal, "");
  }

  /** Ends the link as one whose server cannot be talked to; the owner hears of it. */
  fail(): void {
    this.end(CloseCode.policy);
  }

  private receive(text: string): void {
    if (this.current === "ended") return;
    this.heard();
    let frame: ServerFrame;
    try {
      frame = decodeFrame(text);
    } catch (err) {
      if (!(err instanceof Malformed)) throw err;
      this.platform.report("a frame of the server could not be read", err.message);
      if (++this.malformed >= MAX_MALFORMED) this.end(CloseCode.policy);
      else if (this.current !== "greeting") this.handlers.onUnreadable(this);
      return;
    }
    switch (frame.type) {
      case "pong":
      case "unknown":
        return;
      case "welcome":
        this.welcomed(frame);
        return;
      case "error":
        if (frame.id === null) this.lastError = { code: frame.code, retryAfterMs: frame.retry_after_ms };
        break;
      case "caught_up":
        if (this.current === "catching-up") this.current = "live";
        break;
    }
    // Before the welcome only an error makes sense.
    if (this.current === "greeting" && frame.type !== "error") return;
    this.handlers.onFrame(this, frame);
  }

  private welcomed(frame: Welcome): void {
    if (this.current === "greeting") {
      this.current = "catching-up";
      this.greeting?.();
      this.greeting = null;
    }
    this.handlers.onFrame(this, frame);
  }

  private heard(): void {
    this.pong?.();
    this.pong = null;
    this.quiet?.();
    this.quiet = this.platform.clock.after(QUIET_MS, () => this.doubt());
  }

  private flushAck(): void {
    if (this.ackCursor === "") return;
    this.send({ type: "ack", cursor: this.ackCursor });
    this.ackCursor = "";
  }

  private end(code: number, silentSince: number | null = null): void {
    if (this.current === "ended") return;
    this.stop();
    this.socket.close(CloseCode.normal, "");
    this.handlers.onEnd(this, {
      code,
      errorCode: this.lastError.code,
      retryAfterMs: this.lastError.retryAfterMs,
      silentSince,
    });
  }

  private stop(): void {
    this.current = "ended";
    for (const cancel of [this.greeting, this.pong, this.quiet, this.ackTimer]) cancel?.();
    this.ackTimer = null;
  }
}
