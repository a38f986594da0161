// Limits the JavaScript of a first visit: the bytes on the wire of every script that the browser fetches until the
// screen can be used. build/firstload.mjs checks the build against the same limit; this test shows that it counts the
// files that a browser loads.
import type { BrowserContext, Page } from "@playwright/test";
import { chatWith, composer, en, expectSignedIn, expectState, message, open, send, state } from "./support/steps";
import { expect, test } from "./support/test";

// Bytes, gzipped.
const LIMIT = 90_000;
/** With an open conversation, which is not part of the first load. */
const CONVERSATION_LIMIT = 104_000;

interface Loaded {
  readonly total: number;
  readonly files: readonly string[];
}

/** Records the scripts that the page loads from now on, without those that a service worker fetches for later. */
function recordScripts(page: Page): () => Promise<Loaded> {
  const sizes: Promise<[string, number]>[] = [];
  page.on("requestfinished", (request) => {
    // The settings of chats are loaded on a first visit after the list has appeared, and their code with them.
    if (request.resourceType() !== "script" || new URL(request.url()).pathname.startsWith("/assets/settings-")) return;
    sizes.push(request.sizes().then(({ responseBodySize }) => [new URL(request.url()).pathname, responseBodySize]));
  });
  return async () => {
    const all = await Promise.all(sizes);
    return {
      total: all.reduce((n, [, size]) => n + size, 0),
      files: all.map(([file, size]) => `${size} ${file}`),
    };
  };
}

async function report(name: string, loaded: Loaded): Promise<void> {
  test.info().annotations.push({ type: name, description: `${loaded.total} bytes: ${loaded.files.join(", ")}` });
  console.log(`${name}: ${loaded.total} bytes of JavaScript (${loaded.files.join(", ")})`);
  expect(loaded.files.length).toBeGreaterThan(1);
}

test("the first load stays within 90 kB of JavaScript: until the form can be used, and until it is connected", async ({
  user,
  visitor,
  browser,
  baseURL,
}) => {
  const nobody = await visitor("Nobody", { serviceWorkers: "block" });
  const before = recordScripts(nobody.page);
  await nobody.page.goto("/");
  const password = nobody.page.getByLabel(en.auth.password, { exact: true });
  await password.focus();
  await expect(password).toBeEditable();
  await expect(nobody.page.getByRole("button", { name: en.auth.signUp, exact: true })).toBeEnabled();
  const first = await before();
  await report("signed out", first);
  expect(first.total).toBeLessThanOrEqual(LIMIT);
  await password.fill("typed"); // the rest may load from now on
  await expect.poll(async () => (await before()).files.join()).toContain("/Shell-");

  const [ada, ben] = await Promise.all([user("Ada"), user("Ben")]);
  await open(ada.page, ben);
  await send(ada.page, ben, "Counted");

  // The same sign-in in browsers with an empty cache.
  const fresh = async (): Promise<[BrowserContext, Page]> => {
    const context = await browser.newContext({
      ...(baseURL === undefined ? {} : { baseURL }),
      storageState: await ada.context.storageState(),
      serviceWorkers: "block",
    });
    return [context, await context.newPage()];
  };
  const [list, page] = await fresh();
  const loaded = recordScripts(page);
  const connected = page
    .waitForEvent("websocket", (socket) => socket.url().endsWith("/ws"))
    .then((socket) => socket.waitForEvent("framereceived", ({ payload }) => payload.toString().includes('"welcome"')));
  await page.goto("/");
  await expectSignedIn(page);
  await connected;
  await expect(chatWith(page, ben)).toBeVisible();
  const second = await loaded();
  await report("signed in", second);
  expect(second.total).toBeLessThanOrEqual(LIMIT);
  await list.close();

  const [chat, inChat] = await fresh();
  const loadedInChat = recordScripts(inChat);
  await inChat.goto(`/c/${ben.username}`);
  await expect(composer(inChat, ben)).toBeVisible();
  await expect(chatWith(inChat, ben)).toBeVisible();
  await expect(message(inChat, ben, "Counted")).toBeVisible();
  await send(inChat, ben, "Connected");
  await expectState(inChat, ben, "Connected", state.arrived);
  const third = await loadedInChat();
  await report("in a conversation", third);
  expect(third.total).toBeLessThanOrEqual(CONVERSATION_LIMIT);
  await chat.close();
});
