import type { Page } from "@playwright/test";
import { choiceText } from "../../src/text/choices";
import { findings, paint } from "../support/accessible";
import { finger } from "./finger";
import { en, expect, test } from "./test";

const list = (page: Page) => page.getByRole("list", { name: en.chats.label });
const rows = (page: Page) => list(page).getByRole("listitem");
const row = (page: Page, name: string) => rows(page).filter({ hasText: name });
const menu = (page: Page) => page.getByRole("menu");
const item = (page: Page, label: string) => menu(page).getByRole("menuitem", { name: label });
const filter = (page: Page, label: string) =>
  page.getByRole("group", { name: en.chats.filter }).getByRole("button", { name: label, exact: true });

async function accessible(page: Page): Promise<void> {
  for (const theme of ["light", "dark"] as const) {
    await paint(page, theme);
    expect(await findings(page)).toEqual([]);
  }
}

test("a chat is pinned, muted, marked as unread and archived from its menu, by keyboard alone", async ({ at }) => {
  const page = await at("/");
  const link = row(page, "Tomasz Wójcik").getByRole("link");
  const openMenu = async (): Promise<void> => {
    await link.focus();
    await page.keyboard.press("Shift+F10");
    await expect(menu(page).getByRole("menuitem").first()).toBeFocused(); // keys that are pressed earlier are lost
  };
  await openMenu();
  await expect(menu(page)).toHaveAccessibleName(choiceText.actions("Tomasz Wójcik"));
  await expect(item(page, choiceText.markUnread)).toBeFocused();
  await accessible(page);
  await page.keyboard.press("Enter");
  await expect(link).toContainText(en.chats.markedUnread);

  await openMenu();
  await page.keyboard.press("p");
  await page.keyboard.press("Enter");
  await expect(rows(page).first()).toContainText("Tomasz Wójcik");
  await expect(link).toContainText(en.chats.pinned);

  await openMenu();
  await page.keyboard.press("m");
  await page.keyboard.press("m");
  await expect(item(page, choiceText.muteHours)).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(link).toContainText(en.chats.muted);
  await accessible(page);

  await openMenu();
  await expect(item(page, choiceText.unmute)).toContainText(choiceText.mutedUntil("").trim());
  await page.keyboard.press("a");
  await page.keyboard.press("Enter");
  await expect(link).toHaveCount(0);
  await page.getByRole("button", { name: en.common.undo }).click();
  await expect(link).toContainText(en.chats.pinned);
});

test("the list shows all, unread, archived or starred", async ({ at }) => {
  const page = await at("/c/mira.kern", { archived: "3,4", muted: "1", marked: "5", quiet: 1 });
  await expect(filter(page, en.chats.filters.all)).toHaveAttribute("aria-pressed", "true");
  await expect(row(page, "Tomasz Wójcik")).toHaveCount(0);
  await filter(page, en.chats.filters.archived).click();
  await expect(rows(page)).toHaveCount(2);
  await accessible(page);
  await row(page, "Tomasz Wójcik").click({ button: "right" });
  await item(page, choiceText.unarchive).click();
  await expect(rows(page)).toHaveCount(1);

  await filter(page, en.chats.filters.unread).click();
  await expect(row(page, "عمر فاروق")).toContainText(en.chats.markedUnread);
  await expect(row(page, "Mira Kern")).toHaveCount(1); // it is open
  await expect(row(page, "Tomasz Wójcik")).toHaveCount(0);
  await expect(row(page, "Jonas Ahlgren")).toContainText(en.chats.muted);

  await filter(page, en.chats.filters.starred).click();
  await expect(page.getByText(choiceText.starredNone)).toBeVisible();
  const message = page.getByRole("log").getByRole("article").filter({ hasText: "Shall I bring the bread?" });
  const star = async (label: string): Promise<void> => {
    await message.locator(".bubble").click({ button: "right" });
    await item(page, label).click();
  };
  await star(choiceText.star);
  await expect(message).toHaveAccessibleName(new RegExp(en.conversation.starred, "u"));
  const starred = page.getByRole("list", { name: choiceText.starred }).getByRole("listitem");
  await expect(starred).toHaveCount(1);
  await accessible(page);
  await starred.getByRole("link").click();
  await expect(message).toBeFocused();
  await star(choiceText.unstar);
  await expect(starred).toHaveCount(0);
  await page.getByRole("button", { name: choiceText.showAll }).click();
  await expect(row(page, "Tomasz Wójcik")).toHaveCount(1);
});

test("the details of a chat have the same actions as its row", async ({ at }) => {
  const page = await at("/c/lena", { pinned: "6" });
  await page.getByRole("button", { name: en.conversation.showDetails }).click();
  await page.getByRole("button", { name: en.common.more }).click();
  await expect(item(page, choiceText.unpin)).toBeVisible();
  await expect(item(page, choiceText.block("Lena"))).toBeVisible();
});

test("a choice that cannot be stored says so", async ({ at }) => {
  const page = await at("/c/mira.kern", { unchangeable: 1, quiet: 1 });
  await row(page, "Lena").first().click({ button: "right" });
  await item(page, choiceText.pin).click();
  await expect(page.getByText(en.problems.storage_full)).toBeVisible();
});

test.describe("with a finger", () => {
  test.use({ hasTouch: true, isMobile: true, viewport: { width: 390, height: 844 } });

  test("a long press on a chat opens its menu, which stays, and a tap opens the chat", async ({ at }) => {
    const page = await at("/", { quiet: 1 });
    const chat = row(page, "Tomasz Wójcik");
    const { x, y, width, height } = (await chat.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
    const [middle, center] = [x + width / 2, y + height / 2];
    const touch = await finger(page);
    // Three times, since the browser need not send what follows a touch in the same order each time.
    for (let i = 0; i < 3; i++) {
      await touch.down(middle, center);
      await expect(chat).toHaveAttribute("data-gesture", "held");
      await touch.up();
      await expect(item(page, choiceText.markUnread)).toBeFocused();
      await expect(page).toHaveURL(/\/\?/);
      if (i < 2) await page.keyboard.press("Escape");
      if (i < 2) await expect(menu(page)).toHaveCount(0);
    }
    await item(page, choiceText.markUnread).tap();
    await expect(chat).toContainText(en.chats.markedUnread);
    await chat.tap();
    await expect(page.getByRole("log")).toBeVisible();
  });
});
