import type { Page } from "@playwright/test";
import { chats, en } from "../e2e/support/steps";
import { account, expect, test } from "../e2e/support/test";
import { register, Voice } from "../e2e/support/voice";
import { ms, quantile, tell } from "./figures";
import { profile, throttle } from "./throttle";

const runs = 5;

interface Paints {
  readonly first: number;
  readonly content: number;
  readonly usable: number;
}

/** Notes, in every document from now on, when `selector` first matches something that is laid out; in ms since the navigation began. */
async function watchFor(page: Page, selector: string): Promise<void> {
  await page.addInitScript((wanted) => {
    const look = (): void => {
      const found = document.querySelector<HTMLElement>(wanted);
      if (found !== null && found.offsetHeight > 0) Object.assign(window, { usableAt: performance.now() });
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
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
  tell(
    `${what}: first paint`,
    middle((p) => p.first),
  );
  tell(
    `${what}: first contentful paint`,
    middle((p) => p.content),
  );
  tell(
    `${what}: ${usable}`,
    middle((p) => p.usable),
  );
}

test("the sign-in page, never seen before", async ({ visitor }) => {
  tell("profile of loading", `${profile}; the middle of ${runs} loads`);
  const all: Paints[] = [];
  for (let run = 0; run < runs; run++) {
    const { page, context } = await visitor("Somebody");
    await watchFor(page, 'input[type="email"]:enabled');
    await throttle(page, { network: true });
    all.push(await load(page, "/signin"));
    await page.getByLabel(en.entry.email, { exact: true }).fill("ann@example.org");
    await context.close();
  }
  report("sign-in page, first visit", "form takes input", all);
});

test("the chats of somebody who is signed in", async ({ person, browser }) => {
  const ann = await person("Ann");
  const speakers = await browser.newContext();
  for (let n = 0; n < 20; n++) {
    const other = account(`Friend${n}`);
    await register(other);
    const voice = await Voice.open(speakers, other);
    await voice.say({ to: await uidOf(ann.page), body: `Hello from ${other.name}` });
    await voice.close();
  }
  await speakers.close();
  await expect(chats(ann.page).getByRole("listitem")).toHaveCount(20);
  const session = await throttle(ann.page, { network: true });
  const { origin } = new URL(ann.page.url());
  await watchFor(ann.page, `[aria-label="${en.chats.label}"] a`);

  const cold: Paints[] = [];
  const warm: Paints[] = [];
  for (let run = 0; run < runs; run++) {
    // Signed in, with the messages of this device, and without a byte of the client itself.
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

/** The uid of whoever is signed in: the name of the database that the client keeps. */
async function uidOf(page: Page): Promise<string> {
  return page.evaluate(async () => {
    const kept = (await indexedDB.databases())
      .map(({ name }) => name ?? "")
      .find((name) => name.startsWith("phoenix:"));
    if (kept === undefined) throw new Error("Nobody is signed in.");
    return kept.slice("phoenix:".length);
  });
}
