import { adminText } from "../../src/text/admin";
import { expect, test } from "./test";

test("an operator works by keyboard alone", async ({ at }) => {
  const page = await at("/admin", { admin: 1 });
  const row = page.getByRole("row", { name: /@jonas jonas1@/ });
  await row.getByRole("button", { name: adminText.actions("Jonas Ahlgren") }).focus();
  await page.keyboard.press("Enter");
  const menu = page.getByRole("menu", { name: adminText.actions("Jonas Ahlgren") });
  await expect(menu.getByRole("menuitem").first()).toBeFocused();
  await expect(menu.getByRole("menuitem", { name: new RegExp(`^${adminText.acts.disable}`) })).toContainText(
    adminText.acts.disableWhat,
  );
  await page.keyboard.press("Escape");
  await expect(menu).toBeHidden();
  await expect(row.getByRole("button")).toBeFocused();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("d"); // to "Disable"
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: adminText.acts.disableTitle("Jonas Ahlgren") });
  await expect(dialog).toContainText(adminText.acts.disableLong);
  await page.keyboard.type("Sends advertising");
  await page.keyboard.press("Enter");
  await expect(dialog).toBeHidden();
  await expect(page.getByText(adminText.acts.done.disable("Jonas Ahlgren"))).toBeVisible();
  await expect(row).toContainText(adminText.people.disabled);
});

test("what the server refuses is said where it was asked", async ({ at }) => {
  const page = await at("/admin", { admin: 1 });
  await page
    .getByRole("button", { name: adminText.actions("Mira Kern") })
    .first()
    .click();
  await page.getByRole("menuitem", { name: new RegExp(`^${adminText.acts.unmakeAdmin}`) }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: adminText.acts.unmakeAdmin }).click();
  await expect(dialog.getByRole("alert")).toHaveText("This is the last admin. Make another person admin first.");
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: adminText.people.add }).click();
  await page.getByRole("dialog").getByRole("button", { name: adminText.acts.addDo, exact: true }).click();
  await expect(page.getByText("This username is taken.")).toBeVisible();
});

test("deleting needs the name, reading messages a reason", async ({ at }) => {
  const page = await at("/admin", { admin: 1 });
  await page
    .getByRole("button", { name: adminText.actions("Jonas Ahlgren") })
    .first()
    .click();
  await page.getByRole("menuitem", { name: new RegExp(`^${adminText.acts.remove}\\b`) }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: adminText.acts.remove, exact: true }).click();
  await expect(dialog).toContainText(adminText.acts.removeMismatch("jonas"));
  await dialog.getByLabel(adminText.acts.removeConfirm("jonas")).fill("jonas");
  await dialog.getByRole("button", { name: adminText.acts.remove, exact: true }).click();
  await expect(page.getByText(adminText.acts.done.remove("Jonas Ahlgren"))).toBeVisible();

  await page.getByRole("link", { name: adminText.tabs.messages }).click();
  await page.getByRole("searchbox").fill("mira");
  await page.getByRole("list", { name: adminText.messages.pick }).getByRole("button").first().click();
  await page.getByRole("button", { name: adminText.messages.open }).click();
  await expect(page.getByText(adminText.reasonMissing)).toBeVisible();
  await page.getByLabel(adminText.reason, { exact: true }).fill("Complaint of 12 November");
  await page.keyboard.press("Enter");
  await page.getByRole("listitem").getByRole("button").first().click();
  await expect(page.getByRole("table").getByRole("row").nth(1)).toBeVisible();
});

test("a name with markup is a name", async ({ at }) => {
  const page = await at("/admin", { admin: 1 });
  await expect(page.getByRole("row", { name: /<b>bold<\/b> & co/ }).first()).toBeVisible();
  expect(await page.locator("table b").count()).toBe(0);
});

test("the panel is not there for others", async ({ at }) => {
  const page = await at("/admin");
  await expect(page.getByText(adminText.only)).toBeVisible();
  await expect(page.getByRole("navigation", { name: adminText.nav })).toHaveCount(0);
});
