import type { Page } from "@playwright/test";
import { chats, en } from "../e2e/support/steps";
import { newUser, expect, test } from "../e2e/support/test";
import { createAccount } from "../e2e/support/accounts";
import { Voice } from "../e2e/support/voice";
import { ms, quantile, record } from "./figures";
import { profile, throttle } from "./throttle";

const runs = 5;

interface Paints {
  readonly first: number;
  readonly content: number;
  readonly usable: number;
}

/**
 * Records, in every document from now on, when `selector` first matches a visible element, in ms since the
 * navigation.
 */
async function watchFor(page: Page, selector: string): Promise<void> {
  await page.addInitScript((wanted) => {
    const check = (): void => {
      const found = document.querySelector<HTMLElement>(wanted);
      if (found !== null && found.offsetHeight > 0) Object.assign(window, { usableAt: performance.now() });
      else requestAnimationFrame(check);
    };
    requestAnimationFrame(check);
  }, selector);
}

async function load(page: Page, path: string): Promise<Paints> {
  await page.goto(path);
  await page.waitForFunction(() => "usableAt" in window && performance.getEntriesByType("paint").length === 2);
  return page.evaluate(() => {
    const paint = (name: string): number => performance.getEntriesByName(name)[0]?.startTime ?? NaN;
    return {
      first: paint("first-paint"),
      content: paint("first-contentful-paint"),
      usable: (window as unknown as { usableAt: number }).usableAt,
    };
  });
}

function report(what: string, usable: string, all: readonly Paints[]): void {
  const middle = (pick: (p: Paints) => number): string => ms(quantile(all.map(pick), 0.5));
  record(
    `${what}: first paint`,
    middle((p) => p.first),
  );
  record(
    `${what}: first contentful paint`,
    middle((p) => p.content),
  );
  record(
    `${what}: ${usable}`,
    middle((p) => p.usable),
  );
}

test("the sign-in page on a first visit", async ({ visitor }) => {
  record("profile of loading", `${profile}; the middle of ${runs} loads`);
  const all: Paints[] = [];
  for (let run = 0; run < runs; run++) {
    const { page, context } = await visitor("Somebody");
    await watchFor(page, 'input[type="email"]:enabled');
    await throttle(page, { network: true });
    all.push(await load(page, "/signin"));
    await page.getByLabel(en.auth.email, { exact: true }).fill("ann@example.org");
    await context.close();
  }
  report("sign-in page, first visit", "form takes input", all);
});

test("the chats of a user who is signed in", async ({ user, browser }) => {
  const ann = await user("Ann");
  const speakers = await browser.newContext();
  for (let n = 0; n < 20; n++) {
    const other = newUser(`Friend${n}`);
    await createAccount(other);
    const voice = await Voice.open(speakers, other);
    await voice.say({ to: await uidOf(ann.page), body: `Hello from ${other.name}` });
    await voice.close();
  }
  await speakers.close();
  await expect(chats(ann.page).getByRole("listitem").first()).toHaveAttribute("aria-setsize", "20");
  const session = await throttle(ann.page, { network: true });
  const { origin } = new URL(ann.page.url());
  await watchFor(ann.page, `[aria-label="${en.chats.label}"] a`);

  const cold: Paints[] = [];
  const warm: Paints[] = [];
  for (let run = 0; run < runs; run++) {
    // Signed in, with the messages on this device, but without the cached files of the client.
    await ann.page.goto("about:blank");
    await session.send("Network.clearBrowserCache");
    await session.send("Storage.clearDataForOrigin", { origin, storageTypes: "service_workers,cache_storage" });
    cold.push(await load(ann.page, "/"));
    await ann.page.evaluate(() => navigator.serviceWorker.ready);
    await expect.poll(() => ann.page.evaluate(async () => (await caches.keys()).length)).toBeGreaterThan(0);
    warm.push(await load(ann.page, "/"));
  }
  report("signed in, nothing cached", "chats shown", cold);
  report("signed in, cached", "chats shown", warm);
});

/** Returns the uid of the signed-in user, from the name of the database of the client. */
async function uidOf(page: Page): Promise<string> {
  return page.evaluate(async () => {
    const kept = (await indexedDB.databases())
      .map(({ name }) => name ?? "")
      .find((name) => name.startsWith("phoenix:"));
    if (kept === undefined) throw new Error("Nobody is signed in.");
    return kept.slice("phoenix:".length);
  });
}
