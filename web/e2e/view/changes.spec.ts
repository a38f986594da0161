import type { Page } from "@playwright/test";
import { choiceText } from "../../src/text/choices";
import { messageText } from "../../src/text/messages";
import { reportText } from "../../src/text/report";
import { colorRules, findings, paint } from "../support/accessible";
import { atRest, en, expect, test } from "./test";

const log = (page: Page) => page.getByRole("log");
const article = (page: Page, body: string) => log(page).getByRole("article").filter({ hasText: body });
const menu = (page: Page) => page.getByRole("menu", { name: en.conversation.actions });
const spoken = (page: Page) => page.locator(".stage > .spoken[aria-live]");
const MINE = "Shall I bring the bread?";
const THEIRS = "هل وصلت؟";

async function accessible(page: Page): Promise<void> {
  await paint(page, "light");
  expect(await findings(page)).toEqual([]);
}

async function openMenu(page: Page, body: string): Promise<void> {
  await article(page, body).locator(".bubble").click({ button: "right" });
  await expect(menu(page)).toBeVisible();
}

test("a message is edited, deleted for everyone and restored, by keyboard alone", async ({ at, page: blank }) => {
  // The notice with the undo stays, however slow the machine is.
  await blank.addInitScript(() => {
    const start = window.setTimeout.bind(window);
    const patient = (run: () => void, ms?: number): number => (ms === 5_000 ? 0 : start(run, ms));
    window.setTimeout = patient as typeof window.setTimeout;
  });
  const page = await at("/c/mira.kern", { quiet: 1 });
  const composer = page.getByRole("textbox", { name: en.conversation.writeTo("Mira Kern") });
  await expect(article(page, MINE)).toBeVisible();
  await composer.press("ArrowUp");
  const dialog = page.getByRole("dialog", { name: messageText.editTitle });
  const field = dialog.getByRole("textbox");
  await expect(field).toHaveValue("And the lamps");
  await expect(field).toBeFocused();
  await field.fill("   ");
  await expect(dialog.getByRole("button", { name: en.common.save })).toBeDisabled();
  await accessible(page);
  await field.fill("And the lanterns");
  await page.keyboard.press("Enter");
  await expect(dialog).toHaveCount(0);
  await expect(article(page, "And the lanterns")).toContainText(en.conversation.edited);
  await expect(composer).toBeFocused();

  await page.keyboard.press("Shift+ArrowUp");
  await expect(article(page, "And the lanterns")).toBeFocused();
  await page.keyboard.press("Shift+F10");
  await expect(menu(page)).toBeVisible();
  await accessible(page);
  await page.keyboard.press("End");
  await expect(menu(page).getByRole("menuitem", { name: messageText.deleteForAll })).toBeFocused();
  await page.keyboard.press("Enter");
  const gone = article(page, en.conversation.deleted);
  await expect(gone).toBeVisible();
  await expect(page.getByText("And the lanterns")).toHaveCount(0);
  await paint(page, "dark");
  expect(await findings(page, colorRules)).toEqual([]);
  // A deleted message opens no menu.
  await gone.focus();
  await page.keyboard.press("Shift+F10");
  await gone.click({ button: "right" });
  await expect(menu(page)).toHaveCount(0);
  await accessible(page);
  await page.getByRole("button", { name: en.common.undo }).press("Enter");
  await expect(article(page, "And the lanterns")).toBeVisible();
});

test("reactions are counted and marked, move no other content than their bubble, and are spoken", async ({ at }) => {
  const page = await at("/c/mira.kern", { quiet: 1 });
  await expect(article(page, MINE)).toBeVisible();
  await atRest(page);
  const list = log(page);
  const before = await list.evaluate((e) => e.scrollHeight);
  await openMenu(page, MINE);
  await expect(menu(page).getByRole("menuitemcheckbox")).toHaveCount(6);
  // The signs are in one line, which the arrow keys to the sides stay in.
  for (const key of ["ArrowLeft", "ArrowRight", "ArrowRight"]) await page.keyboard.press(key);
  await page.keyboard.press("Enter");
  const chip = article(page, MINE).getByRole("button", { pressed: true });
  await expect(chip).toHaveAccessibleName(en.conversation.reacted(en.conversation.you, "❤️"));
  await expect(spoken(page)).toHaveText(en.conversation.reacted(en.conversation.you, "❤️"));
  await atRest(page);
  // Only the row has grown, and the end of the list stays in view.
  expect((await list.evaluate((e) => e.scrollHeight)) - before).toBeLessThan(48);
  expect(await list.evaluate((e) => e.scrollHeight - e.clientHeight - e.scrollTop)).toBeLessThan(2);
  await openMenu(page, MINE);
  await expect(menu(page).getByRole("menuitemcheckbox", { checked: true })).toHaveAccessibleName(
    messageText.withdraw("❤️"),
  );
  await page.keyboard.press("Escape");
  await chip.click();
  await expect(article(page, MINE).getByRole("button", { name: /reacted/u })).toHaveCount(0);
  // The other user's message can be reacted to, and not edited or deleted. The first item opens all emoji.
  await openMenu(page, THEIRS);
  await expect(menu(page).getByRole("menuitem")).toHaveText([
    "",
    en.conversation.reply,
    messageText.copy,
    messageText.forward,
    choiceText.star,
    reportText.action,
  ]);
});

test("a change waits visibly; one that is refused says why; a server without changes offers none", async ({ at }) => {
  let page = await at("/c/mira.kern", { offline: 1 });
  await openMenu(page, THEIRS);
  await page.keyboard.press("Enter");
  await expect(article(page, THEIRS).getByRole("img", { name: en.conversation.changeWaits })).toBeVisible();
  page = await at("/c/mira.kern", { reverted: 1 });
  const why = messageText.reverted.edit(messageText.problems.change_too_early);
  await expect(article(page, MINE)).toContainText(why);
  await accessible(page);
  await article(page, MINE).getByRole("button", { name: en.common.close }).click();
  await expect(page.getByText(why)).toHaveCount(0);
  page = await at("/c/mira.kern", { unchanging: 1 });
  await openMenu(page, MINE);
  await expect(menu(page).getByRole("menuitem")).toHaveText([
    en.conversation.reply,
    messageText.copy,
    messageText.forward,
    choiceText.star,
  ]);
  await expect(menu(page).getByRole("menuitemcheckbox")).toHaveCount(0);
});
