// The search in chats, people and messages, and the one in an open conversation.
import type { Page } from "@playwright/test";
import { searchText } from "../../src/text/search";
import { en, expect, test } from "./test";

const field = (page: Page) => page.getByRole("searchbox", { name: en.chats.search });
const results = (page: Page) => page.getByRole("list", { name: searchText.label });

/** Notes the ids of the messages that are marked from now on, each of them for a moment only. */
const watchMarks = (page: Page): Promise<void> =>
  page.evaluate(() => {
    const ids: string[] = [];
    (window as unknown as { marks: string[] }).marks = ids;
    new MutationObserver(() => {
      for (const { id } of document.querySelectorAll("article.flash")) if (!ids.includes(id)) ids.push(id);
    }).observe(document.body, { subtree: true, childList: true, attributeFilter: ["class"] });
  });
const marks = (page: Page): Promise<string[]> => page.evaluate(() => (window as unknown as { marks: string[] }).marks);

/** Returns the message that has the highlight of the current match, if it is on the screen. */
const shownMatch = (page: Page): Promise<{ id: string; text: string }> =>
  page.evaluate(() => {
    const [range] = (CSS.highlights.get("found-here") ?? []) as Iterable<Range>;
    const { top = -1, bottom = 0 } = range?.getBoundingClientRect() ?? {};
    const article = range?.startContainer.parentElement?.closest("article");
    if (!article || bottom <= top || top < 0 || bottom > innerHeight) return { id: "", text: "" };
    return { id: article.id, text: article.innerText };
  });

test("one field finds chats, people and messages, and a hit opens at its place", async ({ at }) => {
  const page = await at("/", { people: 20, messages: 400, stored: 120, latency: 50 });
  await field(page).fill("LENA");
  await expect(results(page).getByRole("link").first()).toContainText("Lena");
  await expect(results(page).getByRole("heading")).toContainText([en.nav.chats]);
  await field(page).press("Enter");
  await expect(page).toHaveURL(/\/c\/lena$/u);

  // Accents, case and white space do not matter. The newest message is first.
  await field(page).fill("olives  and the LONG täble");
  const hit = results(page).getByRole("link").first();
  await expect(hit.locator("mark")).toHaveText("olives and the long table");
  await field(page).press("ArrowDown");
  await expect(hit).toBeFocused();
  await page.keyboard.press("ArrowDown");
  await expect(results(page).locator('[aria-posinset="2"] a')).toBeFocused();
  const to = await results(page).locator('[aria-posinset="2"] a').getAttribute("href");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL((url) => url.pathname === to);
  await expect(page.locator("article:focus")).toContainText("olives and the long table");
  await page.getByRole("article").last().press("Control+k");
  await expect(field(page)).toBeFocused();

  // Older history is loaded meanwhile, which the user can stop and continue.
  await field(page).fill("no such words");
  await expect(page.getByText(searchText.none("no such words"))).toBeVisible();
  await expect(page.getByText(searchText.done).first()).toBeVisible();
  await field(page).press("Escape");
  await expect(field(page)).toHaveValue("");
  await expect(page.getByRole("list", { name: en.chats.label })).toBeVisible();
});

test("Ctrl+F searches the open conversation", async ({ at }) => {
  const page = await at("/c/jonas", { messages: 240, stored: 60, latency: 50, quiet: 1 });
  const composer = page.getByRole("textbox", { name: en.conversation.writeTo("Jonas Ahlgren") });
  const find = page.getByRole("searchbox", { name: en.conversation.find });
  await composer.focus();
  await page.keyboard.press("Control+f");
  await expect(find).toBeFocused();
  await page.keyboard.type("lämps");
  // One of the twelve sentences and another one name them. The pages that are loaded meanwhile have more of both.
  await expect(page.getByText(searchText.position("1", "40"))).toBeVisible();
  await expect(page.getByText(searchText.done).first()).toBeVisible();
  await expect.poll(() => page.evaluate(() => CSS.highlights.get("found-here")?.size)).toBe(1);
  await page.keyboard.press("Enter");
  await expect(page.getByText(searchText.position("2", "40"))).toBeVisible();
  await page.keyboard.press("ArrowDown");
  await expect(page.getByText(searchText.position("1", "40"))).toBeVisible();
  await watchMarks(page);
  for (let n = 0; n < 39; n++) await page.keyboard.press("ArrowUp");
  await expect(page.getByText(searchText.position("40", "40"))).toBeVisible();
  await expect.poll(() => shownMatch(page)).toMatchObject({ text: expect.stringContaining("lamps") });
  const { id } = await shownMatch(page);
  await expect.poll(() => marks(page)).toContain(id);
  await expect(page.locator("article.flash")).toHaveCount(0); // the mark ends

  // New messages join the results, and the current match stays the same.
  await page.evaluate(() => {
    const { fake } = globalThis as unknown as { fake: { say(uid: string, body: string): void } };
    fake.say("uid1aBcDeF", "LAMPS again");
  });
  await expect(page.getByText(searchText.position("41", "41"))).toBeVisible();

  // From the field, Ctrl+F is the browser's. From anywhere else, it goes to the field.
  const prevented = (): Promise<boolean> =>
    page.evaluate(
      () =>
        !document.activeElement?.dispatchEvent(
          new KeyboardEvent("keydown", { key: "f", ctrlKey: true, bubbles: true, cancelable: true }),
        ),
    );
  expect(await prevented()).toBe(false);
  await composer.focus();
  expect(await prevented()).toBe(true);
  await expect(find).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(find).toBeHidden();
  await expect(composer).toBeFocused();
  expect(await page.evaluate(() => CSS.highlights.has("found"))).toBe(false);
});
