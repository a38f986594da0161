// What a first visit costs in JavaScript: every script that the browser fetches until the screen can be used, as many bytes as went over the
// wire. build/firstload.mjs holds the build to the same limit; this shows that it counts what is really loaded.
import type { BrowserContext, Page } from "@playwright/test";
import { chatWith, composer, en, expectIn, message, open, send } from "./support/steps";
import { expect, test } from "./support/test";

// Bytes, gzipped.
const LIMIT = 90_000;
const LIMIT_CONNECTED = 115_000;

interface Loaded {
  readonly total: number;
  /** Without the sign-in library, for which nothing on the screen waits. */
  readonly shown: number;
  readonly files: readonly string[];
}

/** Counts the scripts that a page loads from now on; one that a service worker fetches for later is not the page's. */
function scripts(page: Page): () => Promise<Loaded> {
  const sizes: Promise<[string, number]>[] = [];
  page.on("requestfinished", (request) => {
    if (request.resourceType() !== "script") return;
    sizes.push(request.sizes().then(({ responseBodySize }) => [new URL(request.url()).pathname, responseBodySize]));
  });
  return async () => {
    const all = await Promise.all(sizes);
    const sum = (files: typeof all): number => files.reduce((n, [, size]) => n + size, 0);
    return {
      total: sum(all),
      shown: sum(all.filter(([file]) => !file.includes("/firebase-"))),
      files: all.map(([file, size]) => `${size} ${file}`),
    };
  };
}

async function told(name: string, loaded: Loaded): Promise<void> {
  test.info().annotations.push({ type: name, description: `${loaded.total} bytes: ${loaded.files.join(", ")}` });
  console.log(`${name}: ${loaded.total} bytes of JavaScript (${loaded.files.join(", ")})`);
  expect(loaded.files.length).toBeGreaterThan(1);
}

test("the first load stays within 90 kB of JavaScript, signed out and signed in", async ({
  person,
  visitor,
  browser,
  baseURL,
}) => {
  const nobody = await visitor("Nobody", { serviceWorkers: "block" });
  const before = scripts(nobody.page);
  await nobody.page.goto("/");
  const password = nobody.page.getByLabel(en.entry.password, { exact: true });
  await password.focus();
  await expect(password).toBeEditable();
  await expect(nobody.page.getByRole("button", { name: en.entry.signIn, exact: true })).toBeEnabled();
  await expect.poll(async () => (await before()).files.join()).toContain("/firebase-"); // it comes while the form is filled in
  const first = await before();
  await told("signed out", first);
  expect(first.total).toBeLessThanOrEqual(LIMIT);
  await password.fill("typed"); // now the rest may come
  await expect.poll(async () => (await before()).files.join()).toContain("/Shell-");

  const [ada, ben] = [await person("Ada"), await person("Ben")];
  await open(ada.page, ben);
  await send(ada.page, ben, "Counted");

  // The same sign-in in a browser that has nothing else of this page yet.
  const fresh: BrowserContext = await browser.newContext({
    ...(baseURL === undefined ? {} : { baseURL }),
    storageState: await ada.context.storageState(),
    serviceWorkers: "block",
  });
  const page = await fresh.newPage();
  const loaded = scripts(page);
  await page.goto(`/c/${ben.username}`);
  await expectIn(page);
  await expect(composer(page, ben)).toBeVisible();
  await expect(chatWith(page, ben)).toBeVisible();
  await expect(message(page, ben, "Counted")).toBeVisible();
  const second = await loaded();
  await told("signed in", second);
  expect(second.shown).toBeLessThanOrEqual(LIMIT);
  expect(second.total).toBeLessThanOrEqual(LIMIT_CONNECTED);
  await fresh.close();
});
