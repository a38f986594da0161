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
  await expect(dialog.getByRole("alert")).toHaveText(adminText.problems.last_admin);
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: adminText.people.add }).click();
  const add = page.getByRole("dialog");
  const password = add.getByLabel(en.auth.password, { exact: true });
  await add.getByLabel(en.auth.name, { exact: true }).fill("Mara Kern");
  for (const [typed, words] of [
    ["", en.auth.errors.passwordMissing],
    ["mara kern", en.auth.rules.notName],
    ["sunshine1", en.auth.rules.notCommon],
  ] as const) {
    await password.fill(typed);
    await password.press("Enter");
    await expect(add.getByText(words).and(add.locator(".fault, .error"))).toBeVisible();
    await expect(password).toBeFocused();
  }
  await password.fill("a quiet harbor 7");
  await add.getByRole("button", { name: adminText.actions.addDo, exact: true }).click();
  await expect(page.getByText(en.auth.problems.username_reserved)).toBeVisible();
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
  await expect(dialog).toContainText(adminText.reasonMissing);
  await dialog.getByLabel(adminText.reason, { exact: true }).fill("Asked for it");
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

test("the panel asks for the password in place, and then does what was asked", async ({ at }) => {
  const page = await at("/admin", { admin: 1, again: "changes" });
  const opener = page.getByRole("button", { name: adminText.actionsFor("Jonas Ahlgren") }).first();
  await opener.click();
  await page.getByRole("menuitem", { name: new RegExp(`^${adminText.actions.disable}`) }).click();
  const action = page.getByRole("dialog", { name: adminText.actions.disableTitle("Jonas Ahlgren") });
  await page.keyboard.type("Sends advertising");
  await page.keyboard.press("Enter");
  const again = page.getByRole("dialog", { name: adminText.again.title });
  const password = again.getByLabel(en.auth.password, { exact: true });
  await expect(password).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(password).toHaveAccessibleDescription(en.auth.errors.passwordMissing);
  await page.keyboard.type("wrong");
  await page.keyboard.press("Enter");
  await expect(password).toHaveAccessibleDescription(en.auth.errors.passwordNotYours);
  await expect(password).toBeFocused();
  await page.keyboard.type("right");
  await page.keyboard.press("Enter");
  await expect(again).toHaveCount(0);
  await expect(action).toHaveCount(0);
  await expect(page.getByText(adminText.actions.done.disable("Jonas Ahlgren"))).toBeVisible();
  await expect(opener).toBeFocused();
  // The next one needs no password.
  await opener.click();
  await page.getByRole("menuitem", { name: new RegExp(`^${adminText.actions.enable}`) }).click();
  await page.keyboard.press("Enter");
  await expect(page.getByText(adminText.actions.done.enable("Jonas Ahlgren"))).toBeVisible();
});

test("canceling the password leaves the panel as it was, with the reason and the focus in their places", async ({
  at,
}) => {
  const page = await at("/admin", { admin: 1, again: "changes" });
  await page
    .getByRole("button", { name: adminText.actionsFor("Jonas Ahlgren") })
    .first()
    .click();
  await page.getByRole("menuitem", { name: new RegExp(`^${adminText.actions.disable}`) }).click();
  const action = page.getByRole("dialog", { name: adminText.actions.disableTitle("Jonas Ahlgren") });
  const reason = action.getByLabel(adminText.reasonOptional);
  await reason.fill("Sends advertising");
  await reason.press("Enter");
  await expect(page.getByRole("dialog", { name: adminText.again.title })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog", { name: adminText.again.title })).toHaveCount(0);
  await expect(action.getByRole("alert")).toHaveText(en.auth.problems.sign_in_again);
  await expect(reason).toBeFocused();
  await expect(reason).toHaveValue("Sends advertising");
  await page.keyboard.press("Escape");
  await expect(page.getByRole("row", { name: /@jonas/ }).first()).toBeVisible();
});

test("figures that refresh themselves never ask for the password, and wait for the admin", async ({ at }) => {
  const page = await at("/admin/figures", { admin: 1, again: 1 });
  await page.clock.install();
  const dialog = page.getByRole("dialog", { name: adminText.again.title });
  await expect(dialog).toBeVisible();
  await dialog.getByRole("button", { name: en.common.cancel }).click();
  await expect(page.getByRole("alert")).toContainText(en.auth.problems.sign_in_again);
  const requested = (): Promise<unknown> =>
    page.evaluate(() => (globalThis as { figuresRequested?: number }).figuresRequested);
  const before = await requested();
  await page.clock.runFor(60_000);
  expect(await requested()).toBe(before);
  await expect(dialog).toHaveCount(0);
  await page.getByRole("button", { name: en.common.retry }).click();
  await dialog.getByLabel(en.auth.password, { exact: true }).fill("right");
  await page.keyboard.press("Enter");
  await page.clock.runFor(1_000);
  await expect(page.getByRole("img", { name: adminText.figures.perDay })).toBeVisible();
});

test("only a person with a verified address can become an admin, and the panel says why", async ({ at }) => {
  const page = await at("/admin", { admin: 1 });
  await expect(page.getByRole("row", { name: /@jonas jonas1@/ })).toContainText(adminText.people.verified);
  const row = page.getByRole("row", { name: /@amina\.diallo amina/ });
  await expect(row).toContainText(adminText.people.unverified);
  await row.getByRole("button", { name: adminText.actionsFor("Amina Diallo") }).click();
  const item = page.getByRole("menuitem", { name: new RegExp(`^${adminText.actions.makeAdmin}`) });
  await expect(item).toHaveAttribute("aria-disabled", "true");
  await expect(item).toContainText(adminText.actions.makeAdminUnverified);
  await item.press("Enter");
  await expect(page.getByRole("dialog")).toHaveCount(0);
});
