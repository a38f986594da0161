/**
 * The handlers of pushes in the service worker: the model on the platform of a worker. Bundled on its own
 * (build/service-worker.ts), because the worker loads it only when a push arrives.
 */
import { PasswordIdentity } from "../net/passwordIdentity";
import { deliver, type DeliveryParts, renew } from "../model/push/delivery";
import { browserBlobs } from "../platform/blobs";
import { browserPush } from "../platform/push";
import { databases, languages, lockIfFree, workerPlatform } from "../platform/worker";
import { loadLanguage } from "../text/language";
import { pushText } from "../text/push";
import { shownName } from "../text/shownName";

export interface PushHandlers {
  /** Handles a push with this content. `focused`: whether the user works with a page. Never rejects. */
  deliver(
    registration: ServiceWorkerRegistration,
    content: string | null,
    focused: () => Promise<boolean>,
  ): Promise<void>;
  /** Handles a change of the subscription. Never rejects. */
  renew(registration: ServiceWorkerRegistration): Promise<void>;
}

async function partsOf(
  registration: ServiceWorkerRegistration,
  focused: () => Promise<boolean>,
): Promise<DeliveryParts | null> {
  const push = browserPush(async () => registration);
  if (!push) return null;
  await loadLanguage(languages());
  return {
    platform: workerPlatform,
    push,
    texts: { ...pushText(), named: shownName },
    identity: (platform, config) => new PasswordIdentity(platform, async () => (await config.get()).identity),
    blobs: browserBlobs,
    focused,
    databases,
    lockIfFree,
  };
}

const handlers: PushHandlers = {
  async deliver(registration, content, focused) {
    const parts = await partsOf(registration, focused);
    if (parts) await deliver(parts, content);
  },
  async renew(registration) {
    const parts = await partsOf(registration, async () => false);
    if (parts) await renew(parts);
  },
};

Object.assign(globalThis, { phoenixPush: handlers });
