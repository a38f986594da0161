import type { Page } from "@playwright/test";
import { en, expect, test } from "./test";

const words = en.settings;

/** Gives the page a service worker with a push service, which the test can make refuse. */
async function withPushes(page: Page): Promise<void> {
  await page.addInitScript(() => {
    let key: string | null = null;
    const subscription = {
      endpoint: "https://push.example.org/1",
      getKey: () => new ArrayBuffer(3),
      unsubscribe: async () => (key = null),
    };
    const pushManager = {
      getSubscription: async () => (key === null ? null : subscription),
      async subscribe(options: { applicationServerKey: string }) {
        if ("refusing" in window) throw new Error("the push service refuses");
        key = options.applicationServerKey;
        return subscription;
      },
    };
    const registration = { pushManager, getNotifications: async () => [] };
    Object.assign(ServiceWorkerContainer.prototype, { getRegistration: async () => registration });
  });
}

const registered = (page: Page): Promise<readonly string[]> =>
  page.evaluate(() => Reflect.get(window, "registered") as readonly string[]);

test("notifications are turned on and off, with and without the text of messages", async ({ at, page }) => {
  await withPushes(page);
  await at("/settings", { latency: 0 });
  const section = page.getByRole("region", { name: words.notifications });
  const state = section.getByRole("status");
  await expect(state).toHaveText(words.notifyOff);
  await section.getByRole("button", { name: words.notifyTurnOn }).click();
  await expect(state).toHaveText(words.notifyOn);
  const text = section.getByRole("checkbox", { name: words.notifyText });
  await expect(text).toBeChecked();
  await text.uncheck();
  await expect.poll(() => registered(page)).toHaveLength(2);
  await section.getByRole("button", { name: words.notifyTurnOff }).click();
  await expect(state).toHaveText(words.notifyOff);
  await expect.poll(() => registered(page)).toHaveLength(3);
  const keys = { p256dh: "AAAA", auth: "AAAA" };
  const put = (preview: boolean): string =>
    `PUT ${JSON.stringify({ device: "d1", endpoint: "https://push.example.org/1", keys, preview })}`;
  expect(await registered(page)).toEqual([put(true), put(false), 'DELETE {"device":"d1"}']);
});

test("a push service that refuses is a state, and can be tried again", async ({ at, page }) => {
  await withPushes(page);
  await page.addInitScript(() => Object.assign(window, { refusing: true }));
  await at("/settings", { latency: 0, permission: "granted", quiet: 1 });
  const section = page.getByRole("region", { name: words.notifications });
  await expect(section.getByRole("status")).toHaveText(`${words.notifyOpenOnly} ${words.notifyPushFailed}`);
  await expect(section.getByRole("checkbox")).toHaveCount(0);
  await page.evaluate(() => void Reflect.deleteProperty(window, "refusing"));
  await section.getByRole("button", { name: en.common.retry }).click();
  await expect(section.getByRole("status")).toHaveText(words.notifyOn);
  await expect(section.getByRole("button", { name: en.common.retry })).toHaveCount(0);
});

test("the settings say what a browser cannot do", async ({ at, page }) => {
  await page.addInitScript(() => void Reflect.deleteProperty(window, "PushManager"));
  await at("/settings", { latency: 0, permission: "granted" });
  const state = page.getByRole("region", { name: words.notifications }).getByRole("status");
  await expect(state).toHaveText(`${words.notifyOpenOnly} ${words.notifyNoPush}`);
  await at("/settings", { latency: 0, permission: "denied" });
  await expect(state).toHaveText(words.notifyDenied);
});
