/** The ports that are the same in a page and in a service worker: timers, randomness, fetch and WebSocket. */
import {
  type Clock,
  type Http,
  type HttpAnswer,
  NetworkError,
  type Random,
  type Socket,
  type Sockets,
} from "./platform";

// A longer delay would overflow the browser's 32 bits and fire at once.
const MAX_DELAY_MS = 2 ** 31 - 1;

export const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(Math.max(0, ms), MAX_DELAY_MS));
    return () => clearTimeout(timer);
  },
};

export const random: Random = {
  unit: () => Math.random(),
  bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
};

export const http: Http = {
  async request({ method, url, headers, body, blob, binary, timeoutMs, referrer }): Promise<HttpAnswer> {
    try {
      const response = await fetch(url, {
        method,
        headers,
        body: blob ?? body,
        credentials: "omit",
        cache: "no-store",
        redirect: "error",
        signal: AbortSignal.timeout(timeoutMs),
        referrerPolicy: referrer ? "strict-origin-when-cross-origin" : "no-referrer",
      });
      const { status, headers: received } = response;
      const header = (name: string): string | null => received.get(name);
      if (binary && response.ok) return { status, header, body: "", blob: await response.blob() };
      return { status, header, body: await response.text() };
    } catch (err) {
      throw new NetworkError(err instanceof Error ? err.message : String(err), { cause: err });
    }
  },
};

export const sockets: Sockets = {
  open(url, protocol, handlers): Socket {
    let ended = false;
    const end = (code: number, reason: string): void => {
      if (ended) return;
      ended = true;
      handlers.onClose(code, reason);
    };
    let socket: WebSocket;
    try {
      socket = new WebSocket(url, protocol);
    } catch {
      // A bad address or a policy. Reported as a close, but never inside open().
      queueMicrotask(() => end(1006, "could not be opened"));
      return { send: () => undefined, close: () => void (ended = true) };
    }
    socket.onopen = () => {
      if (!ended) handlers.onOpen();
    };
    socket.onmessage = (event: MessageEvent<unknown>) => {
      // The protocol has only text messages.
      if (!ended && typeof event.data === "string") handlers.onText(event.data);
    };
    socket.onclose = (event) => end(event.code, event.reason);
    return {
      send(text) {
        if (!ended && socket.readyState === WebSocket.OPEN) socket.send(text);
      },
      close(code, reason) {
        ended = true;
        socket.close(code, reason);
      },
    };
  },
};
