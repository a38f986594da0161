import { choiceText } from "../../src/text/choices";
import { messageText } from "../../src/text/messages";
import { atRest, en, expect, test } from "./test";

test("a deleted account has no composer and cannot be answered; its history stays", async ({ at }) => {
  const page = await at("/c/jonas", { gone: 1 });
  await expect(page.getByText(en.conversation.gone)).toBeVisible();
  await expect(page.getByRole("textbox", { name: /^Write/ })).toHaveCount(0);
  const last = page.getByRole("article").last();
  await expect(last).toBeVisible();
  await atRest(page); // a row that moves away from the pointer is not under it
  await last.hover();
  await expect(last.getByRole("button", { name: en.common.more })).toBeVisible();
  await expect(last.getByRole("button", { name: en.conversation.reply })).toHaveCount(0);
  await last.getByRole("button", { name: en.common.more }).click();
  await expect(page.getByRole("menuitem")).toHaveText([messageText.copy, messageText.forward, choiceText.star]);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: en.conversation.showDetails, exact: true }).click();
  const about = page.getByRole("complementary", { name: en.conversation.details("Jonas Ahlgren") });
  await expect(about).toContainText(en.chats.gone);
  await about.getByRole("button", { name: en.common.more }).click();
  await expect(page.getByRole("menuitem", { name: choiceText.archive })).toBeVisible();
  await expect(page.getByRole("menuitem", { name: choiceText.block("Jonas Ahlgren") })).toHaveCount(0);
});
