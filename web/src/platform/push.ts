/** {@link Push} of a real browser, in a page or in the service worker. */
import type { Push, PushSubscribed, ShownNotice } from "./platform";

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
    async show({ tag, title, body, data }, { picture, silent }) {
      const icon = picture ? await dataAddress(picture).catch(() => "") : "";
      const options = { tag, body, data, silent, renotify: !silent, ...(icon === "" ? {} : { icon }) };
      await (await registration())?.showNotification(title, options);
    },
    async shown() {
      return ((await (await registration())?.getNotifications()) ?? []).map(readNotice);
    },
  };
  return push;
}

function readNotice(shown: Notification): ShownNotice {
  const { account, conversation, keys } = (shown.data ?? {}) as Readonly<Record<string, unknown>>;
  return {
    tag: shown.tag,
    title: shown.title,
    body: shown.body,
    data: {
      account: typeof account === "string" ? account : "",
      conversation: typeof conversation === "string" ? conversation : "",
      keys: Array.isArray(keys) ? keys.filter((key) => typeof key === "string") : [],
    },
    close: () => shown.close(),
  };
}

/** Returns an address that contains a picture. A notification cannot show the blobs of a worker. */
function dataAddress(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error ?? new Error("the picture cannot be read"));
    reader.readAsDataURL(blob);
  });
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
