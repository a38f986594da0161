// Tests of notices, which belong to the pane that they are about.
import type { Locator } from "@playwright/test";
import { messageText } from "../../src/text/messages";
import { en, expect, test } from "./test";

async function edges(of: Locator): Promise<{ left: number; top: number; right: number; bottom: number }> {
  const box = await of.boundingBox();
  if (!box) throw new Error("the element is not visible");
  return { left: box.x, top: box.y, right: box.x + box.width, bottom: box.y + box.height };
}

test("a notice is in its pane, covers nothing, and disappears with its page", async ({ at, context, page, view }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: view.url });
  await at("/c/mira.kern");
  const list = page.getByRole("complementary", { name: en.nav.side });
  const notice = page.getByRole("status").filter({ hasText: messageText.removed });
  await page.getByRole("button", { name: en.conversation.remove }).first().click();
  const bar = await edges(notice);
  expect(bar.left).toBeGreaterThanOrEqual((await edges(list)).right);
  expect(bar.top).toBeGreaterThanOrEqual((await edges(page.getByRole("log"))).bottom);
  expect(bar.bottom).toBeLessThanOrEqual((await edges(page.getByRole("textbox"))).top);
  await page.getByRole("link", { name: en.nav.yours("Ada Brandt") }).click();
  await expect(notice).toBeHidden();

  await page.getByLabel(en.settings.name, { exact: true }).fill("Ada B.");
  await page.getByRole("button", { name: en.common.save }).click();
  const saved = page.getByRole("status").filter({ hasText: en.settings.profileSaved });
  await expect(saved).toBeVisible();
  expect((await edges(saved)).left).toBeGreaterThanOrEqual((await edges(list)).right);
  await page.getByRole("button", { name: en.settings.signOut, exact: true }).click();
  await expect(page).toHaveURL(/\/signin$/u);
  await expect(page.getByText(en.settings.profileSaved)).toBeHidden();
});

test("a notice about the list is in the list, below its rows", async ({ at, context, page, view }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: view.url });
  await at("/people");
  await page.getByRole("button", { name: en.people.invite }).click();
  await page.getByRole("button", { name: en.people.inviteCopy }).click();
  const bar = await edges(page.getByRole("status").filter({ hasText: en.common.copied }));
  const side = await edges(page.getByRole("complementary", { name: en.nav.side }));
  expect(bar.right).toBeLessThanOrEqual(side.right);
  const rows = page.getByRole("list", { name: en.people.label });
  expect(bar.top).toBeGreaterThanOrEqual((await edges(rows.locator("xpath=.."))).bottom);
});
