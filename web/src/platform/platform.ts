/**
 * What the client needs from its surroundings, as ports. Only this folder
 * touches timers, fetch, WebSocket, IndexedDB, Web Locks, BroadcastChannel,
 * crypto and Notifications; everything above gets a {@link Platform}, and
 * tests give it one whose clock they move (see testing/).
 */
import type { StorageRoot } from "./database";

/** Ends what it was returned for. May be called more than once, and after the end. */
export type Cancel = () => void;

export interface Clock {
  /** Milliseconds since the epoch, by this device's clock: it may be wrong, and may jump. */
  now(): number;
  /** Runs `run` once, no sooner than `ms` from now (much later in a hidden tab). */
  after(ms: number, run: () => void): Cancel;
}

export interface Random {
  /** A number in [0, 1), evenly spread. */
  unit(): number;
  /** Bytes that nobody can guess. */
  bytes(count: number): Uint8Array;
}

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  /** The answer, body included, must be there within this many milliseconds. */
  readonly timeoutMs: number;
}

export interface HttpAnswer {
  readonly status: number;
  /** Value of a header, in any case; null where it is missing. */
  header(name: string): string | null;
  readonly body: string;
}

/** Nothing came back: no network, refused, CORS, or too late. */
export class NetworkError extends Error {
  override readonly name = "NetworkError";
}

export interface Http {
  /** Rejects with NetworkError only. An answer of any status is an answer. */
  request(request: HttpRequest): Promise<HttpAnswer>;
}

export interface SocketHandlers {
  /** The handshake is over. */
  onOpen(): void;
  /** A text message. Not called after `onClose`. */
  onText(text: string): void;
  /** The socket has ended: called once, also where it never opened (code 1006). Not called for an end by {@link Socket.close}. */
  onClose(code: number, reason: string): void;
}

export interface Socket {
  /** Queues a text message. Does nothing unless the socket is open. */
  send(text: string): void;
  /** Ends the socket; no handler is called afterwards. */
  close(code: number, reason: string): void;
}

export interface Sockets {
  /** Opens a socket. Never throws: a bad address closes with 1006. */
  open(url: string, protocol: string, handlers: SocketHandlers): Socket;
}

export interface Channel {
  /** Sends a structured-cloneable value to all other tabs of this origin that have the channel open. */
  post(message: unknown): void;
  close(): void;
}

export interface LockHandlers {
  /** The lock is held from now on, until released or lost. */
  onHeld(): void;
  /** Another tab stole it. Not called after a release. */
  onLost(): void;
}

/** What tabs of one browser have in common. */
export interface Tabs {
  /** False where the browser has no Web Locks: then each tab stands alone, which is wasteful and not wrong. */
  readonly supported: boolean;
  channel(name: string, onMessage: (message: unknown) => void): Channel;
  /** Waits for the lock; with `steal` takes it from whoever holds it. The result releases it, or stops waiting. */
  lock(name: string, steal: boolean, handlers: LockHandlers): Cancel;
}

/** The page and its window. */
export interface Page {
  visible(): boolean;
  /** Calls `run` when the page becomes visible or hidden. */
  onVisible(run: (visible: boolean) => void): Cancel;
  /** False only where the browser knows that there is no network. */
  online(): boolean;
  onOnline(run: (online: boolean) => void): Cancel;
  /** The page is restored after having been frozen: anything may have been missed. */
  onResume(run: () => void): Cancel;
  /** The address that relative addresses stand on, e.g. `https://chat.example/`. */
  readonly origin: string;
}

/** Small values that survive, shared by tabs, read at once. Every method does nothing, or gives null, where the browser denies it. */
export interface Notes {
  get(key: string): string | null;
  set(key: string, value: string): void;
  remove(key: string): void;
}

export type NotifyPermission = "unsupported" | "unasked" | "granted" | "denied";

export interface Notifier {
  permission(): NotifyPermission;
  ask(): Promise<NotifyPermission>;
  show(options: { title: string; body: string; tag: string; onOpen: () => void }): void;
  badge(count: number): void;
}

export interface Platform {
  readonly clock: Clock;
  readonly random: Random;
  readonly http: Http;
  readonly sockets: Sockets;
  readonly storage: StorageRoot;
  readonly tabs: Tabs;
  readonly page: Page;
  readonly notes: Notes;
  readonly notifier: Notifier;
  /** Tells a developer what should not have happened; never users's texts. */
  report(what: string, cause?: unknown): void;
}
