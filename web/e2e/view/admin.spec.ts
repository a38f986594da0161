import { adminText } from "../../src/text/admin";
import { en, expect, test } from "./test";

test("an admin can use the menu and the dialogs with the keyboard alone", async ({ at }) => {
  const page = await at("/admin", { admin: 1 });
  const row = page.getByRole("row", { name: /@jonas jonas1@/ });
  await row.getByRole("button", { name: adminText.actionsFor("Jonas Ahlgren") }).focus();
  await page.keyboard.press("Enter");
  const menu = page.getByRole("menu", { name: adminText.actionsFor("Jonas Ahlgren") });
  await expect(menu.getByRole("menuitem").first()).toBeFocused();
  await expect(menu.getByRole("menuitem", { name: new RegExp(`^${adminText.actions.disable}`) })).toContainText(
    adminText.actions.disableWhat,
  );
  await page.keyboard.press("Escape");
  await expect(menu).toBeHidden();
  await expect(row.getByRole("button")).toBeFocused();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("d"); // to "Disable"
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: adminText.actions.disableTitle("Jonas Ahlgren") });
  await expect(dialog).toContainText(adminText.actions.disableLong);
  await page.keyboard.type("Sends advertising");
  await page.keyboard.press("Enter");
  await expect(dialog).toBeHidden();
  await expect(page.getByText(adminText.actions.done.disable("Jonas Ahlgren"))).toBeVisible();
  await expect(row).toContainText(adminText.people.disabled);
});

test("the dialog shows why the server rejected its request", async ({ at }) => {
  const page = await at("/admin", { admin: 1 });
  await page
    .getByRole("button", { name: adminText.actionsFor("Mira Kern") })
    .first()
    .click();
  await page.getByRole("menuitem", { name: new RegExp(`^${adminText.actions.unmakeAdmin}`) }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: adminText.actions.unmakeAdmin }).click();
  await expect(dialog.getByRole("alert")).toHaveText("This is the last admin. Make another person admin first.");
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: adminText.people.add }).click();
  await page.getByRole("dialog").getByRole("button", { name: adminText.actions.addDo, exact: true }).click();
  await expect(page.getByText("This username is taken.")).toBeVisible();
});

test("deleting requires the username, and reading messages requires a reason", async ({ at }) => {
  const page = await at("/admin", { admin: 1 });
  await page
    .getByRole("button", { name: adminText.actionsFor("Jonas Ahlgren") })
    .first()
    .click();
  await page.getByRole("menuitem", { name: new RegExp(`^${adminText.actions.remove}\\b`) }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: adminText.actions.remove, exact: true }).click();
  await expect(dialog).toContainText(adminText.actions.removeMismatch("jonas"));
  await dialog.getByLabel(adminText.actions.removeConfirm("jonas")).fill("jonas");
  await dialog.getByRole("button", { name: adminText.actions.remove, exact: true }).click();
  await expect(page.getByText(adminText.actions.done.remove("Jonas Ahlgren"))).toBeVisible();

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

test("markup in names and reasons is shown as text", async ({ at }) => {
  const page = await at("/admin", { admin: 1 });
  await expect(page.getByRole("row", { name: /<b>bold<\/b> & co/ }).first()).toBeVisible();
  expect(await page.locator("table b").count()).toBe(0);
  await page.getByRole("link", { name: adminText.tabs.audit }).click();
  await expect(page.getByRole("row").filter({ hasText: "<i>why</i>" }).first()).toBeVisible();
  expect(await page.locator("table i").count()).toBe(0);
});

test("users who are not admins do not see the panel", async ({ at }) => {
  const page = await at("/admin");
  await expect(page.getByText(adminText.only)).toBeVisible();
  await expect(page.getByRole("navigation", { name: adminText.nav })).toHaveCount(0);
  await expect(page.getByRole("searchbox")).toHaveCount(0);
  await expect(page.getByRole("link", { name: adminText.tabs.audit })).toHaveCount(0);
});

test("a list that could not be loaded offers to try again", async ({ at }) => {
  const page = await at("/admin", { admin: 1, fails: "/users" });
  await expect(page.getByText(en.problems.unavailable)).toBeVisible();
  await page.evaluate(() =>
    (globalThis as unknown as { fake: { params: URLSearchParams } }).fake.params.delete("fails"),
  );
  await page.getByRole("button", { name: en.common.retry }).click();
  await expect(page.getByRole("table", { name: adminText.people.label })).toBeVisible();
});

test("an admin can sign a user out, and read the log and messages, with the keyboard alone", async ({ at }) => {
  const page = await at("/admin", { admin: 1, conversations: 0 });
  const { keyboard } = page;
  const { actions } = adminText;
  const name = "Jonas Ahlgren";
  /** Presses Tab until the element has the focus. */
  const tabTo = async (role: "searchbox" | "button" | "link" | "textbox", label: string | RegExp): Promise<void> => {
    const goal = page.getByRole(role, { name: label }).first();
    for (let steps = 0; steps < 40; steps++) {
      if (await goal.evaluate((element) => element === document.activeElement).catch(() => false)) return;
      await keyboard.press("Tab");
    }
    throw new Error(`The focus did not reach ${String(label)}.`);
  };
  const list = page.getByRole("table", { name: adminText.people.label });
  await tabTo("searchbox", adminText.people.search);
  await keyboard.type("jonas1@");
  await expect(list.getByRole("rowheader")).toHaveCount(1);
  await tabTo("button", adminText.actionsFor(name));
  await keyboard.press("Enter");
  await expect(page.getByRole("menuitem", { name: new RegExp(`^${actions.rename}`) })).toBeFocused();
  await keyboard.type("s"); // to "Send a password reset"
  await keyboard.type("s"); // to "Sign out everywhere"
  await keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: actions.signOutTitle(name) });
  await expect(dialog).toBeVisible();
  await tabTo("textbox", adminText.reasonOptional);
  await keyboard.type("Lost phone");
  await keyboard.press("Enter");
  await expect(dialog).toBeHidden();
  await expect(page.getByRole("button", { name: adminText.actionsFor(name) })).toBeFocused(); // the focus returns
  await expect(page.getByText(actions.done.signOut(name))).toBeVisible();

  await page.goto(`${new URL(page.url()).origin}/admin`); // from the top
  await tabTo("link", adminText.tabs.audit);
  await keyboard.press("Enter");
  await expect(page.getByRole("table", { name: adminText.audit.label }).getByRole("row").nth(1)).toBeVisible();
  await page.goto(`${new URL(page.url()).origin}/admin`);
  await tabTo("link", adminText.tabs.messages);
  await keyboard.press("Enter");
  await tabTo("searchbox", adminText.messages.who);
  await keyboard.type("jonas1@");
  await expect(page.getByRole("list", { name: adminText.messages.pick }).getByRole("button")).toHaveCount(1);
  await tabTo("button", new RegExp(name));
  await keyboard.press("Enter");
  await tabTo("textbox", adminText.reason);
  await keyboard.type("Complaint");
  await keyboard.press("Enter");
  await expect(page.getByText(adminText.messages.noConversations)).toBeVisible();
});

test("empty lists of the panel say so", async ({ at }) => {
  const page = await at("/admin/dead-letters", { admin: 1, "dead-letters": 0 });
  await expect(page.getByText(adminText.deadLetters.empty)).toBeVisible();
  await expect(page.getByRole("button", { name: adminText.deadLetters.replayAll })).toBeHidden();
  await page.getByRole("link", { name: adminText.tabs.messages }).click();
  await page.getByRole("searchbox").fill("nobody at all");
  await expect(page.getByText(adminText.messages.noOne)).toBeVisible();
});
