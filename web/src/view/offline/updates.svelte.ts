/**
 * The service worker, which keeps the shell available offline. A new version waits until every tab is closed or the
 * user chooses "Reload", so that nothing changes while somebody works. A page whose code the server does not have any
 * more is replaced at once.
 */
const LAST = "phoenix.replaced";
/** A page is not replaced by itself more often than this, so that a fault cannot make it load again and again. */
const REPLACE_EVERY_MS = 60_000;
/** How long a new version of the worker may take to become active. */
const TAKE_OVER_MS = 5_000;

class Updates {
  /** Whether a newer version is waiting. */
  ready: boolean = $state(false);
  /** Whether the user has closed the notice on this page. */
  put: boolean = $state(false);
  private waiting: ServiceWorker | null = null;
  private asked = false;
  private readonly opened = new Set<(path: string, account: unknown) => void>();

  /** Calls `run` when the user has clicked a notification of the worker: with a place, and with its addressee. */
  onOpened(run: (path: string, account: unknown) => void): () => void {
    this.opened.add(run);
    return () => void this.opened.delete(run);
  }

  /** Registers the worker, if there is one. Development and private windows of some browsers have none. */
  async watch(): Promise<void> {
    if (!("serviceWorker" in navigator) || import.meta.env.DEV) return;
    navigator.serviceWorker.addEventListener("controllerchange", () => {
      if (this.asked) location.reload();
    });
    // The user clicked a notification of the worker.
    navigator.serviceWorker.addEventListener("message", (event: MessageEvent<unknown>) => {
      const data = event.data;
      if (typeof data === "object" && data !== null && "open" in data && typeof data.open === "string")
        for (const run of this.opened) run(data.open, "account" in data ? data.account : null);
    });
    try {
      const registration = await navigator.serviceWorker.register("/service-worker.js", { updateViaCache: "none" });
      const checkWaiting = (): void => {
        // Without a controller this is the first visit, so there is no older version to replace.
        if (registration.waiting && navigator.serviceWorker.controller) {
          this.waiting = registration.waiting;
          this.ready = true;
        }
      };
      checkWaiting();
      registration.addEventListener("updatefound", () => {
        registration.installing?.addEventListener("statechange", checkWaiting);
      });
      // A tab that stays open for days checks when the user returns to it, at most once an hour.
      let last = Date.now();
      document.addEventListener("visibilitychange", () => {
        if (document.visibilityState !== "visible" || Date.now() - last < 3_600_000) return;
        last = Date.now();
        registration.update().catch(() => undefined); // offline; the next check may succeed
      });
    } catch (error) {
      // The client works without the worker, but not offline.
      console.warn("service worker:", error);
    }
  }

  /** Activates the waiting version and reloads the page. */
  activate(): void {
    this.asked = true;
    if (this.waiting) this.waiting.postMessage("take over");
    else location.reload();
  }

  /**
   * Replaces this page by the version that the server has, because code of this one could not be loaded. Returns false
   * if that did not help a moment ago, unless the user has `asked` for it.
   */
  async replace(asked = false): Promise<boolean> {
    const now = Date.now();
    if (!asked && Math.abs(now - last()) < REPLACE_EVERY_MS) return false;
    try {
      sessionStorage.setItem(LAST, String(now));
    } catch {
      return false; // without storage, nothing would end a loop
    }
    const waiting = await newWorker();
    if (waiting) {
      this.asked = true;
      waiting.postMessage("take over");
      setTimeout(() => location.reload(), TAKE_OVER_MS);
    } else location.reload();
    return true;
  }
}

function last(): number {
  try {
    return Number(sessionStorage.getItem(LAST));
  } catch {
    return Date.now();
  }
}

/** Returns the worker of a newer version once it has installed its files. Null if there is none. */
async function newWorker(): Promise<ServiceWorker | null> {
  try {
    const registration = await navigator.serviceWorker?.getRegistration();
    await registration?.update();
    const { installing } = registration ?? {};
    if (installing)
      await new Promise<void>((resolve) => {
        installing.addEventListener("statechange", () => resolve()); // installed, or failed
      });
    return registration?.waiting ?? null;
  } catch {
    return null; // the worker could not be loaded, or this page may not have one
  }
}

export const updates = new Updates();
