// Left-to-right and right-to-left text beside each other.
import type { Locator } from "@playwright/test";
import { en, expect, test } from "./test";

/** Returns the horizontal middle of a character of a text, in px. */
const middleOf = (element: Locator, character: string): Promise<number> =>
  element.evaluate((root, wanted) => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const at = node.textContent?.indexOf(wanted) ?? -1;
      if (at < 0) continue;
      const range = document.createRange();
      range.setStart(node, at);
      range.setEnd(node, at + 1);
      const box = range.getBoundingClientRect();
      return box.x + box.width / 2;
    }
    throw new Error(`There is no ${wanted}.`);
  }, character);

test("each line of a message takes its direction from its own first strong character", async ({ at }) => {
  const page = await at("/c/lena");
  const region = page.getByRole("region", { name: en.conversation.label("Lena") });
  const field = region.getByRole("textbox");
  await field.fill("Latin 1!\nمرحبا ٢!\n3. last?");
  await field.press("Enter");
  const body = region.getByRole("article").filter({ hasText: "Latin 1!" }).locator(".body");
  await expect(body).toBeVisible();
  // The sign at the end of a line is to the right of Latin text, and to the left of Arabic text.
  expect(await middleOf(body, "1")).toBeLessThan(await middleOf(body, "!"));
  expect(await middleOf(body, "م")).toBeGreaterThan(await middleOf(body, "٢"));
  expect(await middleOf(body, "3")).toBeLessThan(await middleOf(body, "?"));
  // Lines start at the side where their direction starts.
  const box = await body.boundingBox();
  if (!box) throw new Error("the message is not visible");
  const [left, right] = [box.x, box.x + box.width];
  expect((await middleOf(body, "L")) - left).toBeLessThan(20);
  expect(right - (await middleOf(body, "م"))).toBeLessThan(20);
});

test("in a right-to-left page, usernames keep their sign in front, and counts their plus behind", async ({ at }) => {
  const page = await at("/people", { unread: 140 });
  await page.evaluate(() => (document.documentElement.dir = "rtl"));
  const username = page.getByRole("list", { name: en.people.label }).getByText("@jonas").first();
  await expect(username).toBeVisible();
  expect(await middleOf(username, "@")).toBeLessThan(await middleOf(username, "j"));
  const badge = page.getByRole("navigation", { name: en.nav.label }).locator(".figures");
  await expect(badge).toHaveText("99+");
  expect(await middleOf(badge, "9")).toBeLessThan(await middleOf(badge, "+"));
});
