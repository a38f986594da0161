/** The {@link Platform} of a real browser. */
import { Absence } from "./absence";
import { loadCode } from "./code";
import type { Shape, StorageRoot } from "./database";
import { StorageLost } from "./database";
import { openIndexed, removeIndexed } from "./indexed";
import { browserNotifier } from "./notify";
import type { Cancel, Notes, Page, Platform } from "./platform";
import { clock, http, random, sockets } from "./runtime";
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
