import { forwardText } from "../../src/text/forward";
import { messageText } from "../../src/text/messages";
import { colorRules, findings, paint } from "../support/accessible";
import { en, expect, test } from "./test";

test("a message is forwarded to several people, by keyboard", async ({ at }) => {
  const page = await at("/c/mira.kern", { quiet: 1, people: 40, chats: 5, offline: 1 });
  const body = "Shall I bring the bread?";
  const original = page.getByRole("log").getByRole("article").filter({ hasText: body });
  await original.focus();
  await page.keyboard.press("Shift+F10");
  await page.getByRole("menuitem", { name: messageText.forward }).press("Enter");
  const dialog = page.getByRole("dialog", { name: forwardText.title });
  const search = dialog.getByRole("searchbox", { name: forwardText.search });
  const people = dialog.getByRole("list", { name: forwardText.people }).getByRole("checkbox");
  await expect(search).toBeFocused();
  await expect(dialog).toContainText(body);
  await expect(dialog.getByRole("button", { name: forwardText.forward(1), exact: true })).toBeDisabled();
  await expect(people).toHaveCount(5); // the chats; the directory is searched for others
  await dialog.getByRole("checkbox", { name: /@jonas$/u }).press("Space");
  await search.fill("elio");
  // Enter in the search sends nothing.
  await search.press("Enter");
  await dialog.getByRole("checkbox", { name: /@elio$/u }).press("Space");
  await search.fill("zz");
  await expect(dialog).toContainText(forwardText.none("zz"));
  await search.fill("");
  await expect(people).toHaveCount(6);
  await expect(dialog.getByRole("checkbox", { checked: true })).toHaveCount(2);
  await paint(page, "light");
  expect(await findings(page)).toEqual([]);
  await paint(page, "dark");
  expect(await findings(page, colorRules)).toEqual([]);
  await dialog.getByRole("button", { name: forwardText.forward(2) }).press("Enter");
  await expect(dialog).toHaveCount(0);
  await expect(page.getByText(forwardText.done(2, ""))).toBeVisible();
  await expect(original).toBeFocused();

  // The copy waits in the other chat like any message.
  await page.getByRole("link", { name: /Jonas Ahlgren/u }).click();
  const copy = page.getByRole("log").getByRole("article").filter({ hasText: body }).last();
  await expect(copy.getByRole("img", { name: en.conversation.waiting })).toBeVisible();
});

test("a message goes to ten people at most", async ({ at }) => {
  const page = await at("/c/mira.kern", { quiet: 1, people: 14 });
  await page
    .getByRole("log")
    .getByRole("article")
    .filter({ hasText: "Shall I bring the bread?" })
    .locator(".bubble")
    .click({ button: "right" });
  await page.getByRole("menuitem", { name: messageText.forward }).click();
  const dialog = page.getByRole("dialog", { name: forwardText.title });
  const people = dialog.getByRole("checkbox");
  for (let i = 0; i < 10; i++) await people.nth(i).check();
  await expect(dialog).toContainText(forwardText.most(10));
  await expect(people.nth(10)).toBeDisabled();
  await people.nth(0).uncheck();
  await expect(people.nth(10)).toBeEnabled();
});
