// A browser without an open page. Chromium has no push service in a test, so it is subscribed at the stand-in for push
// services, and the content of pushes comes through the DevTools protocol.
import { createECDH, randomBytes, randomUUID } from "node:crypto";
import type { BrowserContext, Page, Worker } from "@playwright/test";
import { chatWith, expectState, message, open, send, signUp, state } from "./support/steps";
import { system } from "./support/system";
import { expect, test, whole } from "./support/test";

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
async function pusher(page: Page, origin: string): Promise<(content: object) => Promise<void>> {
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
function shown(worker: Worker): Promise<readonly string[]> {
  return worker.evaluate(async () => {
    const { registration } = self as unknown as { registration: ServiceWorkerRegistration };
    return (await registration.getNotifications()).map(({ title, body }) => `${title}: ${body}`);
  });
}

/** Returns the stored message with this text. */
async function stored(
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

test(
  "a message reaches a browser whose pages are closed, and is there without a network after a click",
  { tag: whole },
  async ({ user, visitor, baseURL }) => {
    const bob = await user("Bob");
    const ann = await visitor("Ann");
    const { endpoint } = await madeUp(ann.context);
    await ann.context.grantPermissions(["notifications"]);
    const registered = ann.page.waitForResponse(
      (answer) => answer.url().endsWith("/api/me/push") && answer.request().method() === "PUT",
    );
    await signUp(ann.page, ann);
    await ann.page.mouse.move(200, 200); // loads the code that registers
    const { request, status } = await registered.then((answer) => ({
      request: answer.request().postDataJSON() as { endpoint: string; device: string; preview: boolean },
      status: answer.status(),
    }));
    expect([request.endpoint, request.preview, status]).toEqual([endpoint, true, 204]);

    await open(bob.page, ann);
    await send(bob.page, ann, "while you are here");
    await expect(chatWith(ann.page, bob)).toContainText("while you are here");
    await ann.page.evaluate(async () => void (await navigator.serviceWorker.ready));
    const worker = ann.context.serviceWorkers()[0] ?? (await ann.context.waitForEvent("serviceworker"));
    await worker.evaluate((address) => {
      Object.assign(PushManager.prototype, {
        getSubscription: async () => ({ endpoint: address, getKey: () => null }),
      });
    }, endpoint);
    const outside = await ann.context.newPage();
    const push = await pusher(outside, new URL(baseURL ?? "").origin);
    await ann.page.close();

    await send(bob.page, ann, "while you are away");
    await expectState(bob.page, ann, "while you are away", state.sent);
    await expect.poll(async () => Number(await (await fetch(endpoint)).text())).toBe(1);
    const { id, from, to, conversation } = await stored(bob.page, "while you are away");
    const text = "while you are away";
    await push({ v: 1, to, conversation, from, name: bob.name, ids: [id], count: 1, text });
    await expect.poll(() => shown(worker)).toEqual([`${bob.name}: ${text}`]);
    await expectState(bob.page, ann, text, state.delivered);

    const opened = await worker.evaluate(async () => {
      const scope = self as unknown as {
        registration: ServiceWorkerRegistration;
        clients: object;
        dispatchEvent(event: Event): boolean;
      };
      // A script may not open a window unless the user has clicked.
      const address = new Promise<string>((resolve) => {
        Object.assign(scope.clients, { matchAll: async () => [], openWindow: async (url: string) => resolve(url) });
      });
      const [notification] = await scope.registration.getNotifications();
      const Click = Reflect.get(self, "NotificationEvent") as new (type: string, init: object) => Event;
      scope.dispatchEvent(new Click("notificationclick", { notification }));
      return address;
    });
    expect(await shown(worker)).toEqual([]);

    await ann.context.setOffline(true);
    const page = await ann.context.newPage();
    await page.goto(opened);
    await expect(message(page, bob, text)).toBeVisible();
  },
);
