/**
 * One WebSocket of chat.v1, from the handshake to its end. It knows the order of the protocol (hello, welcome, events,
 * caught_up, live) and its timeouts, but not the meaning of frames.
 */
import { decodeFrame, encodeFrame } from "../protocol/codec";
import { Malformed } from "../protocol/fields";
import type { ClientFrame, ServerFrame, Welcome } from "../protocol/frames";
import { SUBPROTOCOL } from "../protocol/frames";
import type { Cancel, Platform, Socket } from "../platform/platform";
import { CloseCode } from "./close";

/**
 * The states of a link: `opening` (handshake) → `greeting` (hello sent) → `catching-up` (welcomed) → `live` → `ended`.
 */
export type LinkState = "opening" | "greeting" | "catching-up" | "live" | "ended";

/** The end of a link that its owner did not cause. */
export interface LinkEnd {
  readonly code: number;
  /** Whether the handshake was done. */
  readonly opened: boolean;
  /** Code of the last `error` frame about the socket as a whole. Empty if there was none just before the end. */
  readonly errorCode: string;
  readonly retryAfterMs: number | null;
  /** When the test started that the link failed, in ms since the epoch. Null if it ended for another reason. */
  readonly silentSince: number | null;
}

export interface LinkHandlers {
  /** All frames except pong and those of later versions, in order. Welcome comes first. */
  onFrame(link: Link, frame: ServerFrame): void;
  /** A frame could not be read and was skipped. Events may be missing from here on. */
  onUnreadable(link: Link): void;
  /** Called once, unless the owner called {@link Link.close}. */
  onEnd(link: Link, end: LinkEnd): void;
}

export interface Hello {
  readonly token: string;
  readonly device: string;
  readonly cursor: string;
  readonly looking?: boolean;
  readonly background?: boolean;
}

/** From the construction to the welcome. */
const GREETING_MS = 15_000;
/** From a ping to any frame of the server. */
const PONG_MS = 5_000;
/** The same if the browser reports that there is no network. It is usually right, so the user need not wait longer. */
const PONG_WITHOUT_NETWORK_MS = 1_000;
/**
 * Silence after which an open link is tested. The server's protocol-level pings are not visible here, so silence is
 * normal.
 */
const QUIET_MS = 60_000;
/** The minimum time between acks. */
const ACK_EVERY_MS = 50;
/** An error frame that is older than this was not the reason for the end. */
const REASON_MS = 10_000;
/** After this many malformed frames the link is closed. */
const MAX_MALFORMED = 20;

interface SocketError {
  readonly code: string;
  readonly retryAfterMs: number | null;
  readonly at: number;
}

const NO_ERROR: SocketError = { code: "", retryAfterMs: null, at: Number.NEGATIVE_INFINITY };

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
  private lastError = NO_ERROR;

  /** Opens the socket. `hello` is called once the socket is open, so that its cursor is the newest. */
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

  /** Sends a frame. The frame is lost if the link has ended. */
  send(frame: ClientFrame): void {
    if (this.current !== "ended") this.socket.send(encodeFrame(frame));
  }

  /**
   * Acknowledges everything up to `cursor`, which this link must have brought and which must be stored. Sends at most
   * every 50 ms. Later calls replace earlier ones.
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

  /** Tests the link. It ends unless the server sends something within 5 s, or 1 s if there is no `network`. */
  doubt(network = true): void {
    if (this.pong || (this.current !== "live" && this.current !== "catching-up")) return;
    const { clock } = this.platform;
    this.doubtedAt = clock.now();
    this.pong = clock.after(network ? PONG_MS : PONG_WITHOUT_NETWORK_MS, () =>
      this.end(CloseCode.abnormal, this.doubtedAt),
    );
    this.send({ type: "ping" });
  }

  /** Acknowledges what is stored and ends the link. No handler is called any more. */
  close(): void {
    if (this.current === "ended") return;
    this.flushAck();
    this.stop();
    this.socket.close(CloseCode.normal, "");
  }

  /** Ends the link because its server does not follow the protocol. The owner is notified. */
  fail(): void {
    this.end(CloseCode.policy);
  }

  private receive(text: string): void {
    if (this.current === "ended") return;
    this.onHeard();
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
        if (frame.id === null)
          this.lastError = {
            code: frame.code,
            retryAfterMs: frame.retry_after_ms,
            at: this.platform.clock.now(),
          };
        break;
      case "caught_up":
        if (this.current === "catching-up") this.current = "live";
        break;
    }
    // Before the welcome, only an error is valid.
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

  private onHeard(): void {
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
    const opened = this.current !== "opening";
    // A socket may stay open after an error, such as a watch list that is too long. A later end has another reason.
    const recent = Math.abs(this.platform.clock.now() - this.lastError.at) < REASON_MS;
    const { code: errorCode, retryAfterMs } = recent ? this.lastError : NO_ERROR;
    this.stop();
    this.socket.close(CloseCode.normal, "");
    this.handlers.onEnd(this, {
      code,
      opened,
      errorCode,
      retryAfterMs,
      silentSince,
    });
  }

  private stop(): void {
    this.current = "ended";
    for (const cancel of [this.greeting, this.pong, this.quiet, this.ackTimer]) cancel?.();
    this.ackTimer = null;
  }
}
