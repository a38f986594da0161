import { router } from "../router.svelte";

/**
 * The service worker, which keeps the shell available offline. A new version waits until every tab is closed or the
 * user chooses "Reload", so that nothing changes while somebody works.
 */
class Updates {
  /** Whether a newer version is waiting. */
  ready: boolean = $state(false);
  /** Whether the user has closed the notice on this page. */
  put: boolean = $state(false);
  private waiting: ServiceWorker | null = null;
  private asked = false;

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
        router.go(data.open);
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
}

export const updates = new Updates();
