/** Pushes in a browser of a test. */
import { createECDH, randomBytes, randomUUID } from "node:crypto";
import type { BrowserContext, Page, Worker } from "@playwright/test";
import { system } from "./system";
import { expect, type Visitor } from "./test";

interface Subscription {
  readonly endpoint: string;
  readonly p256dh: string;
  readonly auth: string;
}

/** Lets the pages of a browser subscribe at the stand-in for push services. */
async function madeUp(context: BrowserContext): Promise<Subscription> {
  const pair = createECDH("prime256v1");
  const subscription = {
    endpoint: `${system().push}/push/${randomUUID()}`,
    p256dh: pair.generateKeys("base64url"),
    auth: randomBytes(16).toString("base64url"),
  };
  await context.addInitScript(({ endpoint, p256dh, auth }: Subscription) => {
    const bytes = (text: string): ArrayBuffer => {
      const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
      return Uint8Array.from(binary, (c) => c.charCodeAt(0)).buffer;
    };
    const subscribed = (key: string): unknown => ({
      endpoint,
      options: { applicationServerKey: bytes(key) },
      getKey: (name: string) => bytes(name === "auth" ? auth : p256dh),
      unsubscribe: async () => localStorage.removeItem("test.key"),
    });
    Object.assign(PushManager.prototype, {
      async getSubscription() {
        const key = localStorage.getItem("test.key");
        return key === null ? null : subscribed(key);
      },
      async subscribe(options: { applicationServerKey: string }) {
        localStorage.setItem("test.key", options.applicationServerKey);
        return subscribed(options.applicationServerKey);
      },
    });
  }, subscription);
  return subscription;
}

/** Delivers a push to the service worker of this origin, as its push service does. */
export async function pusher(page: Page, origin: string): Promise<(content: object) => Promise<void>> {
  const session = await page.context().newCDPSession(page);
  const found = new Promise<string>((resolve) =>
    session.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => {
      const ours = registrations.find(({ scopeURL }) => scopeURL === `${origin}/`);
      if (ours) resolve(ours.registrationId);
    }),
  );
  await session.send("ServiceWorker.enable");
  const registrationId = await found;
  return async (content) => {
    await session.send("ServiceWorker.deliverPushMessage", { origin, registrationId, data: JSON.stringify(content) });
  };
}

/** Returns the notifications that a worker shows. */
export function shown(worker: Worker): Promise<readonly string[]> {
  return worker.evaluate(async () => {
    const { registration } = self as unknown as { registration: ServiceWorkerRegistration };
    return (await registration.getNotifications()).map(({ title, body }) => `${title}: ${body}`);
  });
}

/** Returns the stored message with this text. */
export async function stored(
  page: Page,
  body: string,
): Promise<{ id: string; from: string; to: string; conversation: string }> {
  return page.evaluate(async (wanted) => {
    const name = (await indexedDB.databases()).find((database) => database.name?.startsWith("phoenix:"))?.name ?? "";
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open(name);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    const rows = await new Promise<{ body: string; id: string; from: string; to: string; conversation: string }[]>(
      (resolve) => {
        const request = database.transaction("messages").objectStore("messages").getAll();
        request.onsuccess = () => resolve(request.result);
      },
    );
    database.close();
    const row = rows.find((one) => one.body === wanted);
    if (!row) throw new Error("the message is not stored");
    return { id: row.id, from: row.from, to: row.to, conversation: row.conversation };
  }, body);
}

/** The body of the call that registers a browser. */
interface Registered {
  readonly endpoint: string;
  readonly device: string;
  readonly preview: boolean;
}

/** Lets a browser subscribe, opens a page of a user in it with `enter`, and waits until it is registered for pushes. */
export async function registerForPush({ context, page }: Visitor, enter: () => Promise<unknown>): Promise<Registered> {
  const { endpoint } = await madeUp(context);
  await context.grantPermissions(["notifications"]);
  const answered = page.waitForResponse(
    (answer) => answer.url().endsWith("/api/me/push") && answer.request().method() === "PUT",
  );
  await enter();
  // The first movement that the page notices loads the code that registers.
  await expect
    .poll(async () => {
      await page.mouse.move(200, 200);
      await page.mouse.move(210, 210);
      return page.evaluate(() => localStorage.getItem("phoenix.push"));
    })
    .not.toBeNull();
  const answer = await answered;
  expect(answer.status()).toBe(204);
  const registered = answer.request().postDataJSON() as Registered;
  expect(registered.endpoint).toBe(endpoint);
  return registered;
}

/** Returns the service worker of a page, with the page's subscription. */
export async function subscribeWorker({ context, page }: Visitor, endpoint: string): Promise<Worker> {
  await page.evaluate(async () => void (await navigator.serviceWorker.ready));
  const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent("serviceworker"));
  await worker.evaluate((address) => {
    Object.assign(PushManager.prototype, {
      getSubscription: async () => ({ endpoint: address, getKey: () => null }),
    });
  }, endpoint);
  return worker;
}
