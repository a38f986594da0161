import { router } from "../router.svelte";

/**
 * The service worker, which keeps the shell for the time without a network. A
 * new version waits until every tab is closed or somebody says "Reload":
 * nothing changes under the hands.
 */
class Updates {
  /** A newer version waits. */
  ready: boolean = $state(false);
  /** The word about it was put away, for this page. */
  put: boolean = $state(false);
  private waiting: ServiceWorker | null = null;
  private asked = false;

  /** Registers the worker; does nothing where there is none (development, private windows of some browsers). */
  async watch(): Promise<void> {
    if (!("serviceWorker" in navigator) || import.meta.env.DEV) return;
    navigator.serviceWorker.addEventListener("controllerchange", () => {
      if (this.asked) location.reload();
    });
    // A notification that the worker showed was clicked.
    navigator.serviceWorker.addEventListener("message", (event: MessageEvent<unknown>) => {
      const data = event.data;
      if (typeof data === "object" && data !== null && "open" in data && typeof data.open === "string")
        router.go(data.open);
    });
    try {
      const registration = await navigator.serviceWorker.register("/service-worker.js", { updateViaCache: "none" });
      const look = (): void => {
        // Without a controller this is the first visit: there is nothing older to replace.
        if (registration.waiting && navigator.serviceWorker.controller) {
          this.waiting = registration.waiting;
          this.ready = true;
        }
      };
      look();
      registration.addEventListener("updatefound", () => {
        registration.installing?.addEventListener("statechange", look);
      });
      // A tab that stays open for days looks when somebody returns to it, at most hourly.
      let last = Date.now();
      document.addEventListener("visibilitychange", () => {
        if (document.visibilityState !== "visible" || Date.now() - last < 3_600_000) return;
        last = Date.now();
        registration.update().catch(() => undefined); // offline: another time
      });
    } catch (error) {
      // The client works without it, only not offline.
      console.warn("service worker:", error);
    }
  }

  /** Starts the waiting version: the page reloads under it. */
  take(): void {
    this.asked = true;
    if (this.waiting) this.waiting.postMessage("take over");
    else location.reload();
  }
}

export const updates = new Updates();
