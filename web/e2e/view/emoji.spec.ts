import type { Page } from "@playwright/test";
import { emojiText } from "../../src/text/emoji";
import { messageText } from "../../src/text/messages";
import { colorRules, findings, paint } from "../support/accessible";
import { en, expect, test } from "./test";

const field = (page: Page) => page.getByRole("textbox", { name: en.conversation.writeTo("Mira Kern") });
const picker = (page: Page) => page.getByRole("dialog", { name: emojiText.picker });
const article = (page: Page, body: string) => page.getByRole("log").getByRole("article").filter({ hasText: body });

async function accessible(page: Page): Promise<void> {
  await paint(page, "light");
  expect(await findings(page)).toEqual([]);
  await paint(page, "dark");
  expect(await findings(page, colorRules)).toEqual([]);
}

test("the name of an emoji is completed while it is typed", async ({ at }) => {
  const page = await at("/c/mira.kern", { quiet: 1 });
  const options = page.getByRole("listbox", { name: emojiText.suggestions }).getByRole("option");
  const input = field(page);
  await input.pressSequentially("At 10:30, http://x :tad");
  await expect(options.first()).toHaveText(/🎉\s*:tada:/u);
  await expect(options.first()).toHaveAttribute("aria-selected", "true");
  await expect(input).toBeFocused();
  await expect(page.getByRole("status").filter({ hasText: emojiText.suggested(await options.count()) })).toHaveCount(1);
  await accessible(page);
  await input.press("Enter");
  await expect(input).toHaveValue("At 10:30, http://x 🎉");
  await expect(options).toHaveCount(0);
  await input.press("ControlOrMeta+z");
  await expect(input).toHaveValue("At 10:30, http://x :tad");

  // The arrow keys choose another one, which the field names to screen readers. Tab inserts it.
  await input.fill("");
  await input.pressSequentially(":hear");
  await expect(options).toHaveCount(7);
  await input.press("ArrowDown");
  await input.press("ArrowDown");
  await input.press("ArrowUp");
  const second = options.nth(1);
  await expect(second).toHaveAttribute("aria-selected", "true");
  await expect(input).toHaveAttribute("aria-activedescendant", (await second.getAttribute("id")) ?? "none");
  const sign = await second.locator(".sign").innerText();
  await input.press("Tab");
  await expect(input).toHaveValue(sign);
  await expect(input).not.toHaveAttribute("aria-activedescendant");

  // A whole name is replaced. A click inserts, Escape closes, and then Enter sends what was typed.
  await input.fill("");
  await input.pressSequentially("Yes :+1: :smil");
  await options.first().click();
  await expect(input).toHaveValue(/^Yes 👍 \p{Emoji_Presentation}$/u);
  await input.fill("");
  await input.pressSequentially("see :not");
  await expect(options.first()).toBeVisible();
  await input.press("Home"); // the caret is not behind a name any more
  await expect(options).toHaveCount(0);
  await input.press("End");
  await input.press("Backspace");
  await input.pressSequentially("t");
  await expect(options.first()).toBeVisible();
  await input.press("Escape");
  await expect(options).toHaveCount(0);
  await input.press("Enter");
  await expect(article(page, "see :not")).toBeVisible();
});

test("an emoji is picked for a message, with a tone of skin", async ({ at }) => {
  const page = await at("/c/mira.kern", { quiet: 1 });
  const input = field(page);
  await input.fill("Bread and butter");
  await input.evaluate((e: HTMLTextAreaElement) => e.setSelectionRange(5, 5));
  await page.getByRole("button", { name: en.conversation.emoji, exact: true }).click();
  const search = picker(page).getByRole("searchbox", { name: emojiText.search });
  await expect(search).toBeFocused();
  await accessible(page);
  await picker(page).getByRole("combobox", { name: emojiText.tone }).selectOption({ index: 3 });
  await picker(page)
    .getByRole("radio", { name: emojiText.group["people-body"] ?? "" })
    .check({ force: true });
  await expect(picker(page).getByRole("button", { name: "waving hand", exact: true })).toHaveText("👋🏽");
  await search.fill("thumbs");
  await search.press("ArrowDown");
  await expect(picker(page).getByRole("button", { name: "thumbs up" })).toBeFocused();
  await page.keyboard.press("ArrowRight");
  await expect(picker(page).getByRole("button", { name: "thumbs down" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(picker(page)).toHaveCount(0);
  await expect(input).toBeFocused();
  await expect(input).toHaveValue("Bread👎🏽 and butter");
});

test("a reaction is picked from all emoji, by keyboard, and the focus returns to the message", async ({ at }) => {
  const page = await at("/c/mira.kern", { quiet: 1 });
  const body = "Shall I bring the bread?";
  const more = async (): Promise<void> => {
    await page.keyboard.press("Shift+F10");
    await page.getByRole("menuitem", { name: messageText.reactMore }).press("Enter");
    await expect(picker(page).getByRole("searchbox")).toBeFocused();
  };
  await article(page, body).focus();
  await more();
  await page.keyboard.type("zzzz");
  await expect(picker(page)).toContainText(emojiText.none("zzzz"));
  await picker(page).getByRole("searchbox").fill("rocket");
  await page.keyboard.press("Enter");
  await expect(article(page, body).getByRole("button", { pressed: true })).toHaveAccessibleName(
    en.conversation.reacted(en.conversation.you, "🚀"),
  );
  await expect(article(page, body)).toBeFocused();
  await more();
  await page.keyboard.press("Escape");
  await expect(picker(page)).toHaveCount(0);
  await expect(article(page, body)).toBeFocused();
});
