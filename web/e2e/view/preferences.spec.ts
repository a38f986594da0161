// What users prefer or need: forced colors, more contrast, strong zoom, small screens, and screen readers.
import type { Locator, Page } from "@playwright/test";
import { expectNoSidewaysScroll } from "../support/accessible";
import { en, expect, painted, test } from "./test";

const chats = (page: Page): Locator => page.getByRole("list", { name: en.chats.label });
const bubble = (page: Page, body: string): Locator =>
  page.getByRole("article").filter({ hasText: body }).locator(".bubble");

/** Returns the computed value of a property, of an element or of its part before or after the content. */
const css = (element: Locator, property: string, part?: "::before" | "::after"): Promise<string> =>
  element.evaluate((e, [name, pseudo]) => getComputedStyle(e, pseudo).getPropertyValue(name), [
    property,
    part,
  ] as const);

test("in forced colors, borders show bubbles, buttons, the open chat, presence and counts", async ({ at }) => {
  const page = await at("/c/mira.kern", { latency: 0 });
  await page.emulateMedia({ forcedColors: "active", reducedMotion: "reduce" });
  const canvas = await css(page.locator("body"), "background-color");
  const border = (element: Locator): Promise<string> => css(element, "border-inline-end-width");

  const mine = bubble(page, "Shall I bring the bread?");
  const theirs = page.locator("article:not(.own)").last().locator(".bubble");
  await expect(mine).toBeVisible();
  expect(await border(theirs)).toBe("1px");
  expect(await border(mine), "own bubbles differ from others").toBe("5px");
  expect(await css(bubble(page, "This one was refused."), "border-top-style")).toBe("dashed");

  const current = chats(page).locator("[aria-current]");
  expect(await css(current, "border-top-color")).not.toBe(await css(chats(page).getByRole("link").nth(1), "color"));
  expect(await border(current)).toBe("2px");
  expect(await css(page.getByRole("link", { name: en.nav.chats }), "text-decoration-line")).toBe("underline");

  const dot = current.locator(".online");
  expect(await css(dot, "background-color", "::after")).not.toBe(canvas);
  const count = chats(page).locator(".figures").first();
  expect(await css(count, "background-color")).not.toBe(canvas);
  expect(await css(count, "color")).not.toBe(await css(count, "background-color"));

  await page.getByRole("textbox", { name: en.conversation.writeTo("Mira Kern") }).focus();
  const line = page.locator("form.line");
  expect(await css(line, "border-top-color")).toBe(await css(current, "border-top-color"));

  await page.getByRole("link", { name: en.nav.yours("Ada Brandt") }).click();
  const signOut = page.getByRole("button", { name: en.settings.signOut, exact: true });
  await expect(signOut).toBeVisible();
  expect(await border(signOut)).toBe("1px");
  expect(await border(page.locator(".themes label").filter({ hasText: en.settings.themeSystem }))).toBe("3px");

  // Without forced colors, more contrast gives bubbles an edge, and strengthens lines and secondary text.
  await page.goBack();
  const look = async (): Promise<string[]> => [
    await border(mine),
    await css(page.locator("body"), "--ink-2"),
    await css(page.locator("body"), "--line"),
    await css(current, "box-shadow"),
  ];
  await page.emulateMedia({ forcedColors: "none", contrast: "no-preference" });
  await expect(mine).toBeVisible();
  const normal = await look();
  await page.emulateMedia({ contrast: "more" });
  for (const [i, value] of (await look()).entries()) expect(value).not.toBe(normal[i]);
});

/** Expects that the messages have at least so much height, and that the newest one is entirely visible in it. */
async function expectReadable(page: Page, height: number): Promise<void> {
  const log = page.getByRole("log");
  await expect
    .poll(async () => {
      const around = await log.boundingBox();
      const newest = await bubble(page, "And the lamps").boundingBox();
      if (!around || !newest) return "not shown";
      if (newest.y < around.y || newest.y + newest.height > around.y + around.height) return "cut off";
      return around.height >= height ? "readable" : `${around.height} px`;
    })
    .toBe("readable");
  await expectNoSidewaysScroll(page);
}

test("at 400 % zoom, a conversation can be read", async ({ at, page }) => {
  await page.setViewportSize({ width: 320, height: 256 });
  await at("/c/mira.kern", { latency: 0 });
  await expectReadable(page, 156);
});

test.describe("on a phone", () => {
  test.use({ hasTouch: true, isMobile: true });

  test("in landscape with its keyboard, a conversation can be read", async ({ at, page }) => {
    await page.setViewportSize({ width: 740, height: 360 });
    await at("/c/mira.kern", { latency: 0 });
    await expectReadable(page, 200);
    const field = page.getByRole("textbox", { name: en.conversation.writeTo("Mira Kern") });
    await field.tap();
    await page.setViewportSize({ width: 740, height: 140 }); // above the keyboard
    await painted(page);
    await expectReadable(page, 80);
    await field.blur();
    await expect(page.getByRole("button", { name: en.conversation.showDetails, exact: true })).toBeInViewport();
  });
});

test("screen readers hear presence and counts, and names contain the visible text", async ({ at, page }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await at("/c/mira.kern", { latency: 0 });
  const region = page.getByRole("region", { name: en.conversation.label("Mira Kern") });
  const about = region.getByRole("button", { name: en.conversation.details("Mira Kern") });
  await expect(about).toHaveAccessibleName(/^About Mira Kern @mira\.kern Online$/);
  await expect(region.getByRole("button", { name: en.nav.back })).toHaveAccessibleName(/^Back ?, \d+ unread messages$/);
  await region.getByRole("button", { name: en.nav.back }).click();
  await expect(chats(page).getByRole("link", { name: /^Mira Kern ?, online/ })).toBeVisible();
  await expect(page.getByRole("link", { name: en.nav.yours("Ada Brandt") })).toBeVisible();
});
