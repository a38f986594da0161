import type { Page } from "@playwright/test";
import { findings } from "../support/accessible";
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
  await expect.poll(() => registered(page)).toHaveLength(2);
  await text.uncheck();
  await expect.poll(() => registered(page)).toHaveLength(3);
  await section.getByRole("button", { name: words.notifyTest }).click();
  await expect(section.getByText(words.notifyTestSent)).toBeVisible();
  await section.getByRole("button", { name: words.notifyTurnOff }).click();
  await expect(state).toHaveText(words.notifyOff);
  await expect.poll(() => registered(page)).toHaveLength(5);
  const keys = { p256dh: "AAAA", auth: "AAAA" };
  const quiet = { from: 0, to: 0, zone: "", until: 0 };
  const put = (preview: boolean): string =>
    `PUT ${JSON.stringify({ device: "d1", endpoint: "https://push.example.org/1", keys, preview, quiet })}`;
  const tested = 'POST {"device":"d1"}';
  expect(await registered(page)).toEqual([put(true), tested, put(false), tested, 'DELETE {"device":"d1"}']);
});

test("quiet hours, a while without notifications, and the sound are chosen for this browser", async ({ at, page }) => {
  await withPushes(page);
  await page.addInitScript(() => {
    const played: number[] = [];
    Object.assign(window, { played });
    const start: (this: OscillatorNode, when?: number) => void = Reflect.get(OscillatorNode.prototype, "start");
    OscillatorNode.prototype.start = function recorded(this: OscillatorNode, when?: number) {
      played.push(when ?? 0);
      start.call(this, when);
    };
  });
  await at("/settings", { latency: 0, permission: "granted", quiet: 1 });
  const section = page.getByRole("region", { name: words.notifications });
  const daily = section.getByRole("checkbox", { name: words.daily });
  const from = section.getByLabel(words.dailyFrom, { exact: true });
  await expect(daily).not.toBeChecked();
  await daily.press("Space");
  await expect(from).toHaveValue("22:00");
  await from.fill("21:30");
  await section.getByRole("button", { name: words.stillHour }).press("Enter");
  await expect(section.getByRole("button", { name: words.stillEnd, exact: true })).toBeVisible();
  await section.getByLabel(words.sound).selectOption("knock");
  await expect.poll(() => page.evaluate(() => Reflect.get(window, "played") as unknown)).toHaveLength(2);
  await expect(section.getByText(words.soundHint)).toBeVisible();
  expect(await findings(page)).toEqual([]);

  const quiet = async (): Promise<unknown> =>
    (
      JSON.parse((await registered(page)).findLast((call) => call.startsWith("PUT"))?.replace("PUT ", "") ?? "{}") as {
        quiet?: unknown;
      }
    ).quiet;
  const zone = await page.evaluate(() => new Intl.DateTimeFormat().resolvedOptions().timeZone);
  await expect.poll(quiet).toEqual({ from: 21 * 60 + 30, to: 7 * 60, zone, until: expect.any(Number) as unknown });
  await at("/settings", { latency: 0, permission: "granted", quiet: 1 });
  await expect(from).toHaveValue("21:30");
  await expect(section.getByLabel(words.sound)).toHaveValue("knock");
  await section.getByRole("button", { name: words.stillEnd, exact: true }).click();
  await expect(section.getByRole("button", { name: words.stillHour })).toBeVisible();
  await daily.uncheck();
  await expect(from).toHaveCount(0);
  await expect.poll(quiet).toEqual({ from: 0, to: 0, zone: "", until: 0 });
});

test("a push service that refuses is a state, and can be tried again", async ({ at, page }) => {
  await withPushes(page);
  await page.addInitScript(() => Object.assign(window, { refusing: true }));
  await at("/settings", { latency: 0, permission: "granted", quiet: 1 });
  const section = page.getByRole("region", { name: words.notifications });
  await expect(section.getByRole("status")).toHaveText(`${words.notifyOpenOnly} ${words.notifyPushFailed}`);
  await expect(section.getByRole("checkbox", { name: words.notifyText })).toHaveCount(0);
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
