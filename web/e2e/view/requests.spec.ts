import type { Page } from "@playwright/test";
import { choiceText } from "../../src/text/choices";
import { laterText } from "../../src/text/later";
import { messageText } from "../../src/text/messages";
import { reportText } from "../../src/text/report";
import { expectNoSidewaysScroll, findings, paint } from "../support/accessible";
import { en, expect, test } from "./test";

const words = laterText.conversation;
/** The names of the people who write first in these tests, in the order of the list. */
const [SOFIA, BEN] = ["Sofía Hernández", "Ben O’Connor"];

const rows = (page: Page) => page.getByRole("list", { name: en.chats.label }).getByRole("listitem");
const row = (page: Page, name: string) => rows(page).filter({ hasText: name });
const filter = (page: Page, label: string) =>
  page.getByRole("group", { name: en.chats.filter }).getByRole("button", { name: label, exact: true });
const requests = (page: Page, n: number) => filter(page, `${en.chats.filters.requests} ${n}`);
const bar = (page: Page) => page.getByRole("group", { name: words.request });
const choice = (page: Page, label: string) => bar(page).getByRole("button", { name: label, exact: true });
const item = (page: Page, label: string) => page.getByRole("menu").getByRole("menuitem", { name: label });
const field = (page: Page) => page.getByRole("main").getByRole("textbox");

async function accessible(page: Page): Promise<void> {
  for (const theme of ["light", "dark"] as const) {
    await paint(page, theme);
    expect(await findings(page)).toEqual([]);
  }
}

test("requests are in a list of their own, whose number is beside the chats", async ({ at }) => {
  const page = await at("/", { requests: "8,9" });
  await expect(row(page, "Mira Kern")).toHaveCount(1);
  await expect(row(page, SOFIA)).toHaveCount(0);
  await requests(page, 2).focus();
  await page.keyboard.press("Enter");
  await expect(requests(page, 2)).toHaveAttribute("aria-pressed", "true");
  await expect(rows(page)).toHaveCount(2);
  await accessible(page);
  await row(page, SOFIA).getByRole("link").focus();
  await page.keyboard.press("Enter");
  await expect(bar(page)).toContainText(SOFIA);
  await expect(page.getByRole("log")).toContainText("we met at the market");
});

test("an accepted request is a chat", async ({ at }) => {
  const page = await at("/c/sofia", { requests: "8", quiet: 1 });
  await expect(bar(page)).toBeVisible();
  await expect(field(page)).toHaveCount(0);
  await accessible(page);
  // After the last message and its button.
  await page.getByRole("log").getByRole("article").last().focus();
  await page.keyboard.press("Tab");
  await expect(page.getByRole("log").getByRole("button", { name: en.common.more })).toBeFocused();
  await page.keyboard.press("Tab");
  await expect(choice(page, words.accept)).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(field(page)).toBeFocused();
  await expect(bar(page)).toHaveCount(0);
  await expect(row(page, SOFIA)).toHaveCount(1);
  await expect(requests(page, 1)).toHaveCount(0);
  await page.keyboard.type("Yes, please");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("log")).toContainText("Yes, please");
});

test("a deleted request can be restored, and a newer message brings it back alone", async ({ at }) => {
  const page = await at("/c/sofia", { requests: "8,9" });
  await requests(page, 2).click();
  await choice(page, words.remove).focus();
  await page.keyboard.press("Enter");
  await expect(row(page, SOFIA)).toHaveCount(0);
  await expect(bar(page)).toHaveCount(0);
  await expect(page).toHaveURL(/\/$/u);
  await accessible(page);
  await page.getByRole("button", { name: en.common.undo }).press("Enter");
  await expect(row(page, SOFIA)).toHaveCount(1);

  await row(page, SOFIA).getByRole("link").click();
  await choice(page, words.remove).press("Enter");
  await expect(row(page, SOFIA)).toHaveCount(0);
  await page.evaluate(() => {
    const { fake } = globalThis as unknown as { fake: { say(uid: string, body: string): void } };
    fake.say("uid8aBcDeF", "Are you there?");
  });
  await row(page, SOFIA).getByRole("link").click();
  await expect(page.getByRole("log").getByRole("article")).toHaveCount(1);
  await expect(page.getByRole("log")).toContainText("Are you there?");
  await expect(bar(page)).toBeVisible();
});

test("the request of a blocked person is gone, until they are unblocked", async ({ at }) => {
  const page = await at("/c/sofia", { requests: "8,9" });
  await requests(page, 2).click();
  await choice(page, words.block).press("Enter");
  const blocked = page.getByRole("main").getByText(/^You blocked/u);
  await expect(blocked).toBeVisible();
  await expect(bar(page)).toHaveCount(0);
  await expect(row(page, SOFIA)).toHaveCount(0);
  await expect(requests(page, 1)).toBeVisible();
  await accessible(page);
  await page.getByRole("button", { name: words.unblock }).press("Enter");
  await expect(bar(page)).toBeVisible();
  await expect(requests(page, 2)).toBeVisible();
});

test("the menu of a request has the same choices, by keyboard alone", async ({ at }) => {
  const page = await at("/", { requests: "8,9", quiet: 1 });
  await requests(page, 2).press("Enter");
  const openMenu = async (name: string): Promise<void> => {
    await row(page, name).getByRole("link").focus();
    await page.keyboard.press("Shift+F10");
    await expect(item(page, words.accept)).toBeFocused();
  };
  await openMenu(SOFIA);
  await expect(page.getByRole("menu").getByRole("menuitem")).toHaveCount(3);
  await accessible(page);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await expect(item(page, words.block)).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(row(page, SOFIA)).toHaveCount(0);
  await page.getByRole("button", { name: en.common.undo }).press("Enter");
  await expect(row(page, SOFIA)).toHaveCount(1);
  await openMenu(BEN);
  await page.keyboard.press("Enter");
  await expect(row(page, BEN)).toHaveCount(0);
  await filter(page, en.chats.filters.all).press("Enter");
  await expect(row(page, BEN)).toHaveCount(1);
});

test("messages of a request can be reported, and not be answered", async ({ at }) => {
  const page = await at("/c/sofia", { requests: "8" });
  await expect(bar(page)).toBeVisible();
  await page.getByRole("log").getByRole("article").last().focus();
  await page.keyboard.press("Shift+F10");
  await expect(item(page, messageText.copy)).toBeFocused();
  await expect(item(page, reportText.action)).toBeVisible();
  await expect(item(page, en.conversation.reply)).toHaveCount(0);
  await expect(page.getByRole("menu").getByRole("button")).toHaveCount(0); // no reactions
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: en.conversation.showDetails }).click();
  await page
    .getByRole("complementary", { name: /^About/u })
    .getByRole("button", { name: en.common.more })
    .click();
  await expect(item(page, choiceText.block(""))).toHaveCount(1);
  await expect(item(page, choiceText.archive)).toHaveCount(0);
});

test("somebody who has no chats yet sees at once who has written", async ({ at }) => {
  const page = await at("/", { requests: "0,1", chats: 2 });
  await expect(requests(page, 2)).toHaveAttribute("aria-pressed", "true");
  await expect(rows(page)).toHaveCount(2);
  await row(page, "Mira Kern").getByRole("link").click();
  await choice(page, words.accept).click();
  await expect(filter(page, en.chats.filters.all)).toHaveAttribute("aria-pressed", "true");
  await expect(row(page, "Mira Kern")).toHaveCount(1);
  await expect(row(page, "Jonas Ahlgren")).toHaveCount(0);
});

test.describe("on a phone", () => {
  test.use({ hasTouch: true, isMobile: true, viewport: { width: 390, height: 844 } });

  test("the choices have room for a finger, and a deleted request leads back to the list", async ({ at }) => {
    const page = await at("/", { requests: "8" });
    await requests(page, 1).tap();
    await row(page, SOFIA).tap();
    await expect(bar(page)).toBeVisible();
    await expectNoSidewaysScroll(page);
    for (const label of [words.accept, words.remove, words.block]) {
      const { height = 0, width = 0 } = (await choice(page, label).boundingBox()) ?? {};
      expect(Math.min(height, width)).toBeGreaterThanOrEqual(44);
    }
    await accessible(page);
    await choice(page, words.remove).tap();
    await expect(page.getByText(words.requestRemoved("Sofía Hernández de la Fuente y Montenegro"))).toBeVisible();
    await expect(row(page, "Mira Kern")).toBeVisible();
    await page.getByRole("button", { name: en.common.undo }).tap();
    await expect(requests(page, 1)).toBeVisible();
    await accessible(page);
  });
});
