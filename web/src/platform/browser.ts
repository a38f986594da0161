/** The {@link Platform} of a real browser. */
import { Absence } from "./absence";
import { loadCode } from "./code";
import type { Shape, StorageRoot } from "./database";
import { StorageLost } from "./database";
import { openIndexed, removeIndexed } from "./indexed";
import { browserNotifier } from "./notify";
import {
  type Cancel,
  type Clock,
  type Http,
  type HttpAnswer,
  NetworkError,
  type Notes,
  type Page,
  type Platform,
  type Random,
  type Socket,
  type Sockets,
} from "./platform";
import { browserTabs } from "./tabs";

/** How long IndexedDB may take to open before the app goes on without it. */
const STORAGE_PATIENCE_MS = 5_000;

export function browserPlatform(): Platform {
  return {
    clock,
    random,
    http,
    sockets,
    storage: browserStorage(new Absence(window)),
    tabs: browserTabs(),
    page: browserPage(),
    notes,
    notifier: browserNotifier(notes),
    report(what, cause) {
      console.warn(what, cause ?? "");
    },
  };
}

// A longer delay would overflow the browser's 32 bits and fire at once.
const MAX_DELAY_MS = 2 ** 31 - 1;

const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(Math.max(0, ms), MAX_DELAY_MS));
    return () => clearTimeout(timer);
  },
};

const random: Random = {
  unit: () => Math.random(),
  bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
};

const http: Http = {
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

const sockets: Sockets = {
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

async function freeCache(name: string): Promise<void> {
  try {
    await globalThis.caches?.delete(name);
  } catch {
    // Storage is denied, so there is nothing to remove.
  }
}

const browserStorage = (absence: Absence): StorageRoot => ({
  async open(name, shape: Shape) {
    // If site data is blocked, some browsers throw on access.
    let factory: IDBFactory | undefined;
    try {
      factory = globalThis.indexedDB;
    } catch (err) {
      throw new StorageLost("storage is denied", { cause: err });
    }
    if (!factory) throw new StorageLost("this browser has no IndexedDB");
    return await openIndexed(factory, name, shape, STORAGE_PATIENCE_MS, absence);
  },
  async openMemory(shape) {
    const { MemoryDatabase, MemoryDisk } = await loadCode(() => import("./memory"));
    return new MemoryDatabase(new MemoryDisk(shape));
  },
  async openOverlay(below, shape) {
    const { OverlayDatabase } = await loadCode(() => import("./overlay"));
    return new OverlayDatabase(below, shape);
  },
  freeCache,
  async remove(name) {
    try {
      await removeIndexed(globalThis.indexedDB, name, STORAGE_PATIENCE_MS);
    } catch {
      // Storage is denied, so there is nothing to remove.
    }
    await freeCache(name);
  },
  async persist() {
    try {
      await navigator.storage?.persist?.();
    } catch {
      // This is optional. The browser may refuse.
    }
  },
});

const notes: Notes = {
  get(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(key, value);
    } catch {
      // Full or denied. A note is a convenience.
    }
  },
  remove(key) {
    try {
      localStorage.removeItem(key);
    } catch {
      // As above.
    }
  },
};

function browserPage(): Page {
  const listen = (target: EventTarget, events: readonly string[], run: () => void): Cancel => {
    for (const event of events) target.addEventListener(event, run);
    return () => {
      for (const event of events) target.removeEventListener(event, run);
    };
  };
  const visible = (): boolean => document.visibilityState === "visible";
  const focused = (): boolean => visible() && document.hasFocus();
  const online = (): boolean => navigator.onLine;
  return {
    origin: `${location.origin}/`,
    visible,
    onVisible: (run) => listen(document, ["visibilitychange"], () => run(visible())),
    // A browser may discard a hidden page without another event.
    onLeave(run) {
      const hidden = listen(document, ["visibilitychange"], () => {
        if (!visible()) run();
      });
      const left = listen(window, ["pagehide"], run);
      return () => {
        hidden();
        left();
      };
    },
    focused,
    onFocused: (run) => listen(window, ["focus", "blur"], run),
    online,
    onOnline: (run) => listen(window, ["online", "offline"], () => run(online())),
    onResume(run) {
      const frozen = listen(document, ["resume"], run);
      // Restored from the back-forward cache.
      const shown = (event: PageTransitionEvent): void => {
        if (event.persisted) run();
      };
      window.addEventListener("pageshow", shown);
      return () => {
        frozen();
        window.removeEventListener("pageshow", shown);
      };
    },
  };
}
