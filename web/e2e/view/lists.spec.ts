import type { Locator, Page } from "@playwright/test";
import { en, expect, painted, test } from "./test";

/** With this many elements, a page stays quick on a phone. The list of a screen has about 20 rows. */
const MAX_ELEMENTS = 700;

const elements = (page: Page): Promise<number> => page.evaluate(() => document.querySelectorAll("*").length);
const peopleList = (page: Page): Locator => page.getByRole("list", { name: en.people.label });
const chatList = (page: Page): Locator => page.getByRole("list", { name: en.chats.label });
/** Finds a row by its aria-posinset, the position that screen readers announce; the first row is 1. */
const row = (list: Locator, position: number): Locator => list.locator(`[aria-posinset="${position}"]`);
/** The position of the row with the focus; 0: none. */
const focused = (page: Page): Promise<number> =>
  page.evaluate(() => Number(document.activeElement?.closest("[aria-posinset]")?.getAttribute("aria-posinset") ?? 0));
/** Whether an element is on the screen with its whole height, in the list that scrolls it. */
const inView = (link: Locator): Promise<boolean> =>
  link.evaluate((element) => {
    let scroller: Element | null = element;
    while (scroller && getComputedStyle(scroller).overflowY !== "auto") scroller = scroller.parentElement;
    const inner = element.getBoundingClientRect();
    const outer = scroller?.getBoundingClientRect();
    return outer !== undefined && inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1;
  });
const scrollTo = (list: Locator, top: number): Promise<void> =>
  list.evaluate((element, y) => {
    const scroller = element.parentElement;
    if (scroller) scroller.scrollTop = y;
  }, top);
const scrollTop = (list: Locator): Promise<number> => list.evaluate((element) => element.parentElement?.scrollTop ?? 0);

const everybody = { people: 10_000, page: 10_000, latency: 0, chats: 3 };

test("10,000 people need as many elements as fit on the screen", async ({ at }) => {
  const page = await at("/people", everybody);
  const list = peopleList(page);
  await expect(row(list, 1)).toBeVisible();
  expect(await elements(page)).toBeLessThan(MAX_ELEMENTS);
  await expect(row(list, 1)).toHaveAttribute("aria-setsize", "10000");
  for (const top of [5_000, 300_000, 10_000_000]) {
    await scrollTo(list, top);
    await painted(page);
    await expect.poll(() => list.getByRole("link").count()).toBeGreaterThan(5);
    expect(await elements(page)).toBeLessThan(MAX_ELEMENTS);
  }
  await expect(row(list, 10_000)).toBeInViewport();
  expect(await list.getByRole("listitem").count()).toBeLessThan(60);
});

test("the arrow keys walk through 10,000 people, Home and End go to the ends", async ({ at }) => {
  const page = await at("/people", everybody);
  const list = peopleList(page);
  const search = page.getByRole("searchbox");
  await expect(row(list, 1)).toBeVisible();
  await search.focus();
  await page.keyboard.press("ArrowDown");
  await expect.poll(() => focused(page)).toBe(1);
  for (let i = 0; i < 60; i++) await page.keyboard.press("ArrowDown"); // as fast as a held key
  await expect.poll(() => focused(page)).toBe(61);
  await expect.poll(() => inView(row(list, 61))).toBe(true);
  for (let i = 0; i < 40; i++) await page.keyboard.press("ArrowUp");
  await expect.poll(() => focused(page)).toBe(21);
  await expect.poll(() => inView(row(list, 21))).toBe(true);
  await page.keyboard.press("End");
  await expect.poll(() => focused(page)).toBe(10_000);
  await expect.poll(() => inView(row(list, 10_000))).toBe(true);
  await page.keyboard.press("ArrowDown"); // stays at the last one
  await page.keyboard.press("ArrowUp");
  await expect.poll(() => focused(page)).toBe(9_999);
  expect(await elements(page)).toBeLessThan(MAX_ELEMENTS);
  await page.keyboard.press("Home");
  await expect.poll(() => focused(page)).toBe(1);
  await page.keyboard.press("ArrowUp");
  await expect(search).toBeFocused();
});

test("a row keeps the focus while the list scrolls away from it, and opens with Enter", async ({ at }) => {
  const page = await at("/people", everybody);
  const list = peopleList(page);
  await expect(row(list, 1)).toBeVisible();
  await page.getByRole("searchbox").focus();
  for (let i = 0; i < 3; i++) await page.keyboard.press("ArrowDown");
  await expect.poll(() => focused(page)).toBe(3);
  await scrollTo(list, 400_000);
  await painted(page);
  await expect(row(list, 3)).toHaveCount(1);
  await expect.poll(() => focused(page)).toBe(3);
  await page.keyboard.press("ArrowDown"); // comes back to where the focus is
  await expect.poll(() => focused(page)).toBe(4);
  await expect.poll(() => inView(row(list, 4))).toBe(true);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/c\/tomasz$/);
});

test("Tab goes from row to row beyond the rows that exist", async ({ at }) => {
  const page = await at("/people", everybody);
  const list = peopleList(page);
  await expect(row(list, 1)).toBeVisible();
  await page.getByRole("button", { name: "Invite someone" }).focus(); // the last one before the rows
  for (let i = 1; i <= 40; i++) {
    await page.keyboard.press("Tab");
    await expect.poll(() => focused(page)).toBe(i);
  }
  await expect.poll(() => inView(row(list, 40))).toBe(true);
});

test("a search shows its results from the start, wherever the list was", async ({ at }) => {
  const page = await at("/people", everybody);
  const list = peopleList(page);
  await expect(row(list, 1)).toBeVisible();
  await scrollTo(list, 200_000);
  await painted(page);
  await page.getByRole("searchbox").fill("mira");
  await expect(row(list, 1)).toHaveAttribute("aria-setsize", "715"); // one of 14 names
  await expect(row(list, 1)).toBeInViewport();
  await expect(row(list, 2)).toContainText("Mira Kern 1");
  await page.getByRole("searchbox").fill("");
  await expect(row(list, 1)).toHaveAttribute("aria-setsize", "10000");
  await expect(row(list, 2)).toContainText("Jonas Ahlgren");
});

test("a list of many pages loads as far as it is scrolled", async ({ at }) => {
  const page = await at("/people", { ...everybody, page: 50 });
  const list = peopleList(page);
  await expect(row(list, 1)).toHaveAttribute("aria-setsize", "-1"); // the number is not known yet
  for (let frame = 0; frame < 30; frame++) await painted(page); // a list that loads on its own loads a page per frame
  expect(await list.evaluate((element) => element.scrollHeight)).toBeLessThan(50 * 64 + 10);
  await scrollTo(list, 10_000_000);
  await expect.poll(() => list.evaluate((element) => element.scrollHeight)).toBeGreaterThan(99 * 64);
  await scrollTo(list, 10_000_000);
  await expect(row(list, 100)).toBeInViewport();
});

test("back from a conversation shows the list where it was, on a phone", async ({ at, page }) => {
  await page.setViewportSize({ width: 360, height: 640 });
  await at("/people", everybody);
  const list = peopleList(page);
  await expect(row(list, 1)).toBeVisible();
  await scrollTo(list, 320_000);
  await expect(row(list, 5_001)).toBeInViewport();
  const before = await scrollTop(list);
  await row(list, 5_003).getByRole("link").click();
  await expect(list).toBeHidden();
  await page.goBack();
  await expect(row(list, 5_003)).toBeInViewport();
  expect(await scrollTop(list)).toBe(before);
  await expect(row(list, 1)).toHaveCount(0);
});

test("1,000 chats need as many elements as fit on the screen, and the keys walk through them", async ({ at }) => {
  const page = await at("/", { people: 1_000, chats: 1_000 });
  const list = chatList(page);
  await expect(row(list, 1)).toBeVisible();
  expect(await elements(page)).toBeLessThan(MAX_ELEMENTS);
  await expect(row(list, 1)).toHaveAttribute("aria-setsize", "1000");
  await row(list, 1).getByRole("link").focus();
  for (let i = 0; i < 30; i++) await page.keyboard.press("ArrowDown");
  await expect.poll(() => focused(page)).toBe(31);
  await expect.poll(() => inView(row(list, 31))).toBe(true);
  await page.keyboard.press("End");
  await expect.poll(() => focused(page)).toBe(1_000);
  expect(await elements(page)).toBeLessThan(MAX_ELEMENTS);
  await page.keyboard.press("Home");
  await expect.poll(() => focused(page)).toBe(1);
  await expect.poll(() => scrollTop(list)).toBeLessThan(10);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/c\/mira\.kern$/);
});

test("a chat that moves to the start does not move the chats that the user reads", async ({ at }) => {
  const page = await at("/", { people: 200, chats: 200 });
  const list = chatList(page);
  await expect(row(list, 1)).toBeVisible();
  await scrollTo(list, 3_210);
  await expect(row(list, 53)).toBeInViewport();
  const read = list.locator('a[href="/c/zalgo3"]');
  const before = await read.boundingBox();
  // One below, one on the screen, and one above.
  for (const index of [150, 51, 20]) {
    await page.evaluate((from) => {
      const { fake } = globalThis as unknown as {
        fake: { list: { update(f: (l: { items: object[] }) => object): void } };
      };
      fake.list.update((l) => {
        const items = [...l.items];
        return { ...l, items: [...items.splice(from, 1), ...items] };
      });
    }, index);
    await painted(page);
    await painted(page);
    expect(await read.boundingBox()).toEqual(before);
  }
});
