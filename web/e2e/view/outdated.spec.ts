// Pages that stay open while another version of the client is deployed, without the files of the one before. Both
// versions are real builds.
import { readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { emojiText } from "../../src/text/emoji";
import { forwardText } from "../../src/text/forward";
import { messageText } from "../../src/text/messages";
import { en, expect, test, type View } from "./test";

// In one worker, since each one has to build the second version.
test.describe.configure({ mode: "default" });

/** Counts how often the page loads from now on. */
function loads(page: Page): () => number {
  let count = 0;
  page.on("load", () => count++);
  return () => count;
}

const script = (page: Page): Promise<string | null> => page.locator("script[type=module]").getAttribute("src");
const people = (page: Page) => page.getByRole("list", { name: en.people.label }).getByRole("link");
const openPeople = (page: Page): Promise<void> => page.getByRole("link", { name: en.nav.people, exact: true }).click();

async function at(page: Page, view: View, place: string): Promise<void> {
  await page.goto(`${view.url}${place}?fake=1&admin=1`);
  await expect(page.getByRole("navigation", { name: en.nav.label })).toBeVisible();
}

/** Moves the built code of a place out of the way, or back. */
async function move(view: View, place: string, away: boolean): Promise<void> {
  const folder = join(view.folder, "assets");
  for (const name of await readdir(folder))
    if (name.startsWith(`${place}-`) && name.endsWith(away ? ".js" : ".js.away"))
      await rename(join(folder, name), join(folder, away ? `${name}.away` : name.replace(/\.away$/u, "")));
}

test.describe("without a service worker", () => {
  test.use({ serviceWorkers: "block" });

  test("a page whose code is gone is replaced by the new version once, at the same place", async ({ page, view }) => {
    await at(page, view, "/c/lena");
    const before = await script(page);
    const count = loads(page);
    await view.deploy();
    await openPeople(page);
    await expect(people(page).first()).toBeVisible();
    await expect(page).toHaveURL(/\/c\/lena\b/u);
    expect(await script(page)).not.toBe(before);
    expect(count()).toBe(1);
  });

  test("a page whose code stays away does not load again and again, and the button helps once it is back", async ({
    page,
    view,
  }) => {
    await at(page, view, "/");
    await move(view, "People", true);
    const count = loads(page);
    await openPeople(page);
    const again = page.getByRole("button", { name: en.common.retry, exact: true });
    await expect(again).toBeVisible();
    expect(count()).toBe(1);
    await move(view, "People", false);
    await again.click();
    await expect(people(page).first()).toBeVisible();
  });

  test("actions on a message whose code could not be loaded say so, and can be repeated", async ({ page, view }) => {
    const bubble = page.getByRole("article").filter({ hasText: "Shall I bring the bread?" }).locator(".bubble");
    const menu = page.getByRole("menu", { name: en.conversation.actions });
    const failed = page.getByText(en.common.failed);
    // The browser remembers modules that failed to load, so the button loads the page again.
    const retry = async (): Promise<void> => {
      const reloaded = page.waitForEvent("load");
      await page.getByRole("status").getByRole("button", { name: en.common.retry, exact: true }).click();
      await reloaded;
    };
    await move(view, "touched", true);
    await at(page, view, "/c/mira.kern");
    await bubble.click({ button: "right" });
    await expect(failed).toBeVisible();
    await expect(menu).toHaveCount(0);
    await move(view, "touched", false);
    await retry();
    await bubble.click({ button: "right" });
    await expect(menu).toBeVisible();

    const dialogs = [
      ["Forward", messageText.forward, forwardText.title],
      ["screens", messageText.reactMore, emojiText.picker],
    ] as const;
    for (const [code, action, title] of dialogs) {
      await move(view, code, true);
      await page.reload(); // forgets the last notice
      await bubble.click({ button: "right" });
      await menu.getByRole("menuitem", { name: action }).click();
      await expect(failed).toBeVisible();
      await move(view, code, false);
      await retry();
      await bubble.click({ button: "right" });
      await menu.getByRole("menuitem", { name: action }).click();
      await expect(page.getByRole("dialog", { name: title })).toBeVisible();
    }
  });

  test("without a network, the page stays, and the button helps once there is one", async ({ page, view, context }) => {
    await at(page, view, "/");
    const count = loads(page);
    await context.setOffline(true);
    await openPeople(page);
    const again = page.getByRole("button", { name: en.common.retry, exact: true });
    await expect(again).toBeVisible();
    expect(count()).toBe(0);
    await context.setOffline(false);
    await again.click();
    await expect(people(page).first()).toBeVisible();
  });
});

test("under the service worker, too, a page whose code is gone is replaced by the new version", async ({
  page,
  view,
}) => {
  await at(page, view, "/c/lena");
  await page.evaluate(async () => {
    const { active, installing, waiting } = await navigator.serviceWorker.ready;
    return [active, installing, waiting].length;
  });
  await page.reload(); // the worker answers from now on
  expect(await page.evaluate(() => navigator.serviceWorker.controller !== null)).toBe(true);
  const before = await script(page);
  await view.deploy();
  // The worker does not keep the code of this place, which few people open.
  await page.getByRole("link", { name: en.nav.yours("Ada Brandt") }).click();
  await page.getByRole("link", { name: en.settings.admin }).click();
  await expect.poll(() => script(page)).not.toBe(before);
  await expect(page).toHaveURL(/\/admin/u);
  await expect(page.getByText(en.common.failed)).toHaveCount(0);
});

test("under the service worker, a page of the version before still finds its code in the cache", async ({
  page,
  view,
  context,
}) => {
  await at(page, view, "/c/lena");
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  await page.reload();
  const before = await script(page);
  // Another tab switches to the new version, which activates its worker for this page as well.
  await view.deploy();
  const other = await context.newPage();
  await at(other, view, "/");
  await other.getByRole("button", { name: en.common.outdatedDo }).click();
  await expect.poll(() => script(other)).not.toBe(before);
  await openPeople(page);
  await expect(people(page).first()).toBeVisible();
  expect(await script(page)).toBe(before);
});
