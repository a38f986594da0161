/** {@link Push} of a real browser, in a page or in the service worker. */
import type { Push, PushSubscribed } from "./platform";

/** Returns null if the browser has no Web Push. `registration` returns the registration of the service worker, if any. */
export function browserPush(registration = currentRegistration): Push | null {
  if (typeof PushManager === "undefined" || typeof Notification === "undefined") return null;
  const current = async (): Promise<PushSubscription | null> =>
    (await (await registration())?.pushManager.getSubscription()) ?? null;
  const push: Push = {
    async subscription() {
      const subscription = await current();
      return subscription && read(subscription);
    },
    async subscribe(key) {
      const worker = await registration();
      if (!worker) throw new Error("there is no service worker");
      // A browser refuses another key while there is a subscription.
      await push.unsubscribe();
      return read(await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }));
    },
    async unsubscribe() {
      try {
        await (await current())?.unsubscribe();
      } catch {
        // The server removes it when its push service has forgotten it.
      }
    },
  };
  return push;
}

async function currentRegistration(): Promise<ServiceWorkerRegistration | undefined> {
  return await navigator.serviceWorker?.getRegistration();
}

function read(subscription: PushSubscription): PushSubscribed {
  const { endpoint, options } = subscription;
  const part = (name: PushEncryptionKeyName): string => base64url(subscription.getKey(name));
  return {
    endpoint,
    keys: { p256dh: part("p256dh"), auth: part("auth") },
    key: base64url(options?.applicationServerKey ?? null),
  };
}

function base64url(bytes: ArrayBuffer | null): string {
  if (!bytes) return "";
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
