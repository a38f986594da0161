/** The {@link Platform} of a service worker. It has no page, and keeps nothing in memory for the next event. */
import { type Shape, StorageLost } from "./database";
import { openIndexed, removeIndexed } from "./indexed";
import type { Cancel, Notes, Notifier, Page, Platform } from "./platform";
import { clock, http, random, sockets } from "./runtime";
import { browserTabs } from "./tabs";

/** How long IndexedDB may take to open. */
const STORAGE_PATIENCE_MS = 5_000;

export function workerPlatform(notes: Notes): Platform {
  return {
    clock,
    random,
    http,
    sockets,
    storage: {
      open: (name, shape: Shape) => openIndexed(indexedDB, name, shape, STORAGE_PATIENCE_MS),
      // What is not stored must not be acknowledged.
      openMemory: () => Promise.reject(new StorageLost("a worker keeps nothing in memory")),
      openOverlay: () => Promise.reject(new StorageLost("a worker keeps nothing in memory")),
      freeCache: async (name) => void (await caches.delete(name)),
      remove: (name) => removeIndexed(indexedDB, name, STORAGE_PATIENCE_MS),
      persist: async () => undefined,
    },
    tabs: browserTabs(),
    page,
    notes,
    notifier,
    report(what, cause) {
      console.warn(what, cause ?? "");
    },
  };
}

const never = (): Cancel => () => undefined;

const page: Page = {
  origin: `${location.origin}/`,
  visible: () => false,
  onVisible: never,
  onLeave: never,
  focused: () => false,
  onFocused: never,
  online: () => navigator.onLine,
  onOnline: never,
  onResume: never,
};

/** Shows nothing: ./push does. */
const notifier: Notifier = {
  permission: () => "granted",
  ask: () => Promise.resolve("granted"),
  show: () => undefined,
  withdraw: () => undefined,
  withdrawAll: () => undefined,
  badge(count) {
    const set = count > 0 ? navigator.setAppBadge?.(count) : navigator.clearAppBadge?.();
    set?.catch(() => undefined);
  },
};

/** Returns the user's languages, the preferred one first. */
export const languages = (): readonly string[] => navigator.languages;

/** Returns the names of the databases of this origin. */
export async function databases(): Promise<string[]> {
  return (await indexedDB.databases()).flatMap(({ name }) => name ?? []);
}

/** Returns the lock, or null if it is held elsewhere. `onLost`: it was stolen. */
export function lockIfFree(name: string, onLost: () => void): Promise<Cancel | null> {
  return new Promise((resolve) => {
    let released = false;
    navigator.locks
      .request(name, { ifAvailable: true }, (lock) => {
        if (!lock) {
          resolve(null);
          return undefined;
        }
        return new Promise<void>((release) =>
          resolve(() => {
            released = true;
            release();
          }),
        );
      })
      .catch(() => {
        if (!released) onLost();
        resolve(null);
      });
  });
}
