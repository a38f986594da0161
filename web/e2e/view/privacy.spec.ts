import type { Page } from "@playwright/test";
import { expectNoSidewaysScroll, findings, paint } from "../support/accessible";
import { en, expect, test } from "./test";

const words = en.settings;
const section = (page: Page) => page.getByRole("region", { name: words.privacy });
const select = (page: Page, label: string) => section(page).getByRole("combobox", { name: label });
const receipts = (page: Page) => section(page).getByRole("checkbox", { name: words.readReceipts });

async function accessible(page: Page): Promise<void> {
  for (const theme of ["light", "dark"] as const) {
    await paint(page, theme);
    expect(await findings(page)).toEqual([]);
  }
}

test("what others see is chosen by keyboard, and counts the next time", async ({ at }) => {
  const page = await at("/settings", { latency: 0 });
  await select(page, words.seenBy).focus();
  await page.keyboard.press("ArrowDown");
  await expect(select(page, words.seenBy)).toHaveValue("chats");
  await page.keyboard.press("Tab");
  await expect(select(page, words.writers)).toBeFocused();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowDown");
  await expect(select(page, words.foundBy)).toHaveValue("username");
  await page.keyboard.press("Tab");
  await expect(receipts(page)).toBeFocused();
  await page.keyboard.press("Space");
  await expect(receipts(page)).not.toBeChecked();
  await expect(receipts(page)).toHaveAccessibleDescription(words.readReceiptsHint);
  await accessible(page);
  // All of them were stored: the page asks for them again.
  await page.getByRole("list", { name: en.chats.label }).getByRole("link").first().press("Enter");
  await expect(section(page)).toHaveCount(0);
  await page.getByRole("link", { name: en.nav.yours("Ada Brandt") }).press("Enter");
  await expect(select(page, words.seenBy)).toHaveValue("chats");
  await expect(select(page, words.writers)).toHaveValue("known");
  await expect(select(page, words.foundBy)).toHaveValue("username");
  await expect(receipts(page)).not.toBeChecked();
});

test("a choice that was not stored is not shown as if it counted", async ({ at }) => {
  const page = await at("/settings", { latency: 0, privacy: "fail" });
  await receipts(page).focus();
  await page.keyboard.press("Space");
  await expect(section(page).getByRole("alert")).toHaveText(en.problems.outdated);
  await expect(receipts(page)).toBeChecked();
  await accessible(page);
});

test("choices that cannot be loaded can be asked for again", async ({ at }) => {
  const page = await at("/settings", { latency: 0, privacy: "unread" });
  await expect(section(page).getByRole("alert")).toHaveText(en.problems.outdated);
  await expect(section(page).getByRole("combobox")).toHaveCount(0);
  await section(page).getByRole("button", { name: en.common.retry }).press("Enter");
  await expect(section(page).getByRole("alert")).toHaveText(en.problems.outdated);
});

test.describe("on a phone", () => {
  test.use({ hasTouch: true, isMobile: true, viewport: { width: 390, height: 844 } });

  test("the choices fit", async ({ at }) => {
    const page = await at("/settings", { latency: 0 });
    await select(page, words.foundBy).scrollIntoViewIfNeeded();
    await expectNoSidewaysScroll(page);
    const { height = 0 } = (await select(page, words.foundBy).boundingBox()) ?? {};
    expect(height).toBeGreaterThanOrEqual(44);
    await accessible(page);
  });
});
