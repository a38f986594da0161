import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { BrowserContext, Page } from "@playwright/test";
import { createAccount, storedSignIn } from "../e2e/support/accounts";
import { chats, composer, en, expectSignedIn, message } from "../e2e/support/steps";
import { system } from "../e2e/support/system";
import { expect, newUser, test, type User } from "../e2e/support/test";
import type { KnownUser } from "../src/model/testing/known";
import { bundled } from "./bundle";
import { MB, ms, record } from "./figures";
import { slowCpu, throttle } from "./throttle";

const writers = 1_000;
const each = 10;
const goals = { usable: 2_000, complete: 30_000 };
const root = join(import.meta.dirname, "../..");

interface Writer extends User {
  readonly uid: string;
}

let known: readonly Writer[] = [];

test.beforeAll(async () => {
  test.setTimeout(600_000);
  const all: Writer[] = [];
  const more = async (): Promise<void> => {
    for (let n = all.length; all.length < writers; n++) {
      const user = newUser(`Writer${n}`);
      const at = all.push({ ...user, uid: "" }) - 1;
      all[at] = { ...user, uid: await createAccount(user) };
    }
  };
  await Promise.all(Array.from({ length: 8 }, more));
  known = all;
});

for (const cpu of [1, 4])
  test(`a device that was away for 29 days${cpu === 1 ? "" : `, ${slowCpu}`}`, async ({ browser, baseURL }) => {
    test.setTimeout(600_000);
    const ann = newUser("Ann");
    const me = await createAccount(ann);
    // Not a context of the fixtures: their sockets pass through the test, so the network would not slow them down.
    const context = await browser.newContext({
      ...(baseURL === undefined ? {} : { baseURL }),
      storageState: await storedSignIn(ann),
    });
    await prepare(context, me);
    const page = await context.newPage();
    // The messages of the conversation that is opened are read.
    await page.addInitScript(watch, (writers - 1) * each);
    const session = await throttle(page, { network: true });
    await session.send("Emulation.setCPUThrottlingRate", { rate: cpu });
    let [bytes, requests] = [0, 0];
    session.on("Network.webSocketFrameReceived", ({ response }) => (bytes += response.payloadData.length));
    page.on("request", (request) => (requests += new URL(request.url()).pathname.startsWith("/api/") ? 1 : 0));
    await page.goto("/");
    const hello = await moment(page, "helloAt");

    // Usable: the user opens a conversation, reads it and writes an answer.
    const first = known[0];
    if (!first) throw new Error("There are no writers.");
    await chats(page).getByRole("link", { name: first.name }).click();
    const box = composer(page, first);
    await box.fill("I was away");
    await box.press("Enter");
    await expect(message(page, first, "I was away")).toBeVisible();
    const usable = Date.now() - hello;
    const complete = (await moment(page, "completeAt")) - hello;

    const what = `29 days away, ${writers * each} messages in ${writers} conversations, slow 4G${cpu === 1 ? "" : `, ${slowCpu}`}`;
    const compared = (took: number, goal: number): string =>
      `${ms(took)} (goal ${ms(goal)}: ${took <= goal ? "reached" : "missed"})`;
    record(`${what}: a conversation is opened and answered, after hello`, compared(usable, goals.usable));
    record(`${what}: all are shown, after hello`, compared(complete, goals.complete));
    record(`${what}: received on the socket; requests`, `${MB(bytes)}; ${requests}`);
    await context.close();
  });

/** Signs the device in, fills its store with the conversations, and has the messages wait for it. */
async function prepare(context: BrowserContext, me: string): Promise<void> {
  const page = await context.newPage();
  await page.goto("/");
  await expectSignedIn(page);
  await expect(page.getByText(en.chats.empty)).toBeVisible();
  await page.evaluate(() => navigator.serviceWorker.ready);
  await expect.poll(() => page.evaluate(async () => (await caches.keys()).length)).toBeGreaterThan(0);
  await page.goto("/config.json");
  await page.evaluate(await bundled());
  const users = known.map(({ uid, username, name }): KnownUser => ({ uid, username, displayName: name }));
  await page.evaluate(
    (args) =>
      (
        window as unknown as { seeding: { seedKnown: (me: string, users: readonly KnownUser[]) => Promise<void> } }
      ).seeding.seedKnown(args.me, args.users),
    { me, users },
  );
  await page.close();
  const flags = ["run", "./web/measure/away", "-redis", system().redis, "-to", me, "-each", String(each)];
  const seeding = promisify(execFile)("go", flags, { cwd: root });
  seeding.child.stdin?.end(known.map(({ uid }) => `${uid}\n`).join(""));
  await seeding;
}

/**
 * Runs in the page: notes when hello is sent, and when the badge of the application counts `all` unread messages. (The
 * list contains only the rows on the screen.) Both in ms, as Date.now.
 */
function watch(all: number): void {
  const note = (name: string): void => {
    if (!(name in window)) Object.assign(window, { [name]: Date.now() });
  };
  const socket = WebSocket.prototype;
  Object.defineProperty(socket, "send", {
    value: new Proxy(Object.getOwnPropertyDescriptor(socket, "send")?.value as () => void, {
      apply: (send, self, args) => {
        note("helloAt");
        Reflect.apply(send, self, args);
      },
    }),
  });
  Object.defineProperty(navigator, "setAppBadge", {
    value: (count: number): Promise<void> => {
      if (count >= all) note("completeAt");
      return Promise.resolve();
    },
  });
}

async function moment(page: Page, name: string): Promise<number> {
  const handle = await page.waitForFunction((key) => (window as unknown as Record<string, number>)[key], name, {
    timeout: 240_000,
  });
  return (await handle.jsonValue()) ?? NaN;
}
