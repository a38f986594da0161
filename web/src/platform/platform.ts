/**
 * The client's environment, as ports. Only this folder uses timers, fetch, WebSocket, IndexedDB, Web Locks,
 * BroadcastChannel, crypto and Notifications. Everything above it gets a {@link Platform}. Tests pass one whose clock
 * they control (see testing/).
 */
import type { StorageRoot } from "./database";

/** Cancels the operation that returned it. May be called more than once, and after the operation has ended. */
export type Cancel = () => void;

export interface Clock {
  /** Milliseconds since the epoch by this device's clock, which may be wrong and may jump. */
  now(): number;
  /**
   * Milliseconds since an unknown moment. Nobody can set this clock: differences between its values are durations. It
   * may pause while the machine sleeps.
   */
  monotonic(): number;
  /** Calls `run` once, no sooner than `ms` from now (much later in a hidden tab). */
  after(ms: number, run: () => void): Cancel;
}

export interface Random {
  /** A number in [0, 1), evenly distributed. */
  unit(): number;
  /** Cryptographically random bytes. */
  bytes(count: number): Uint8Array;
}

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  /** Sent instead of `body`. */
  readonly blob?: Blob;
  /** The complete answer, including the body, must arrive within this many milliseconds. */
  readonly timeoutMs: number;
  /** The answer's body is wanted as a blob. The body of a refusal is text all the same. */
  readonly binary?: true;
  /** Sends the origin of this page as the referrer. Other requests have no referrer (index.html). */
  readonly referrer?: true;
}

export interface HttpAnswer {
  readonly status: number;
  /** The value of a header, whose name is not case-sensitive. Null if it is missing. */
  header(name: string): string | null;
  readonly body: string;
  /** The body of a `binary` answer, with the type that the answer states. */
  readonly blob?: Blob;
}

/** No answer: no network, connection refused, CORS, or timeout. */
export class NetworkError extends Error {
  override readonly name = "NetworkError";
}

export interface Http {
  /** Rejects with NetworkError only. Any status is an answer. */
  request(request: HttpRequest): Promise<HttpAnswer>;
}

export interface SocketHandlers {
  /** The handshake is done. */
  onOpen(): void;
  /** A text message. Not called after `onClose`. */
  onText(text: string): void;
  /** The socket has ended. Called once, also if it never opened (code 1006). Not called after {@link Socket.close}. */
  onClose(code: number, reason: string): void;
}

export interface Socket {
  /** Queues a text message. Does nothing unless the socket is open. */
  send(text: string): void;
  /** Ends the socket. No handler is called afterwards. */
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
  /**
   * Another tab stole the lock, or the browser refused it. Not called after a release. Do not ask for the lock again in
   * the same turn: WebKit refuses every request of a page that is being unloaded, so that turn would never end.
   */
  onLost(): void;
}

/** Communication between the tabs of one browser. */
export interface Tabs {
  /** False if the browser has no Web Locks. Then each tab works alone, which is wasteful but correct. */
  readonly supported: boolean;
  channel(name: string, onMessage: (message: unknown) => void): Channel;
  /**
   * Waits for the lock. With `steal`, takes it from the tab that holds it. The result releases it, or stops waiting.
   */
  lock(name: string, steal: boolean, handlers: LockHandlers): Cancel;
}

/** The page and its window. */
export interface Page {
  visible(): boolean;
  /** Calls `run` when the page becomes visible or hidden. */
  onVisible(run: (visible: boolean) => void): Cancel;
  /** Calls `run` when the page is being left. Only synchronous work is certain to happen. */
  onLeave(run: () => void): Cancel;
  /** Whether the user works with the page: it is visible, and its window has the focus. */
  focused(): boolean;
  onFocused(run: () => void): Cancel;
  /** False only if the browser knows that there is no network. */
  online(): boolean;
  onOnline(run: (online: boolean) => void): Cancel;
  /** Calls `run` when the page was restored after having been frozen. It may have missed anything. */
  onResume(run: () => void): Cancel;
  /** The base of relative addresses, e.g. `https://chat.example/`. */
  readonly origin: string;
}

/**
 * Small persistent values, shared by tabs and read synchronously. If the browser denies it, methods do nothing or
 * return null.
 */
export interface Notes {
  get(key: string): string | null;
  set(key: string, value: string): void;
  remove(key: string): void;
}

export type NotifyPermission = "unsupported" | "unasked" | "granted" | "denied";

export interface Notifier {
  permission(): NotifyPermission;
  ask(): Promise<NotifyPermission>;
  /**
   * Shows a notification. A later one with the same tag replaces it. `account` is the uid of its addressee. The tag begins
   * with the uid of the other user, up to a slash. `about` has the keys of the messages.
   */
  show(options: {
    account: string;
    about: { readonly conversation: string; readonly keys: readonly string[] };
    title: string;
    body: string;
    tag: string;
    /** Without a sound. */
    silent: boolean;
    onOpen: () => void;
  }): void;
  /** Removes the notification with this tag. */
  withdraw(tag: string): void;
  /** Removes all notifications, except those for `account` if it is given. */
  withdrawAll(account?: string): void;
  badge(count: number): void;
}

/** The subscription of this browser at its push service. The keys and `key` are in base64url. */
export interface PushSubscribed {
  readonly endpoint: string;
  readonly keys: { readonly p256dh: string; readonly auth: string };
  /** Our public key, with which the subscription was made. Empty if the browser does not tell. */
  readonly key: string;
}

/** A notification that the service worker shows. */
export interface Notice {
  /** As for {@link Notifier.show}. A later notification with the same tag replaces it. */
  readonly tag: string;
  readonly title: string;
  readonly body: string;
  readonly data: { readonly account: string; readonly conversation: string; readonly keys: readonly string[] };
}

export interface ShownNotice extends Notice {
  close(): void;
}

/** Web Push. Pushes are handled by the service worker. */
export interface Push {
  /** Returns the subscription, or null if there is none. */
  subscription(): Promise<PushSubscribed | null>;
  /** Subscribes with our public key, in place of another subscription. Rejects if the browser refuses or has no network. */
  subscribe(key: string): Promise<PushSubscribed>;
  /** Ends the subscription, if there is one. Its push service rejects pushes from then on. Never rejects. */
  unsubscribe(): Promise<void>;
  /** Shows a notification. `picture` is shown beside it. `silent`: without a sound. */
  show(notice: Notice, options: { readonly picture: Blob | null; readonly silent: boolean }): Promise<void>;
  /** Returns the notifications that the service worker shows. */
  shown(): Promise<readonly ShownNotice[]>;
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
  /** Reports an unexpected condition to developers. Must never contain the text of messages. */
  report(what: string, cause?: unknown): void;
}
