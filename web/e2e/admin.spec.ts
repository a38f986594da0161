import { adminText } from "../src/text/admin";
import { en, expectIn, fillSignIn, open, send } from "./support/steps";
import { makeAdmin } from "./support/system";
import { expect, test } from "./support/test";

const act = (name: string): RegExp => new RegExp(`^${name}`);

test("an operator disables somebody who is connected, and enables them again", async ({ person, visitor }) => {
  const [ann, bob, operator] = [await person("Ann"), await person("Bob"), await person("Operator")];
  await open(bob.page, ann);
  await send(bob.page, ann, "before it all");
  await makeAdmin(operator.email);
  // The claim is in tokens from now on.
  const { page } = await visitor("Operator");
  await fillSignIn(page, operator);
  await expectIn(page);

  await page.goto("/admin");
  await page.getByRole("searchbox").fill(bob.username);
  const row = page.getByRole("row", { name: new RegExp(bob.username) });
  await row.getByRole("button", { name: adminText.actions(bob.name) }).click();
  await page.getByRole("menuitem", { name: act(adminText.acts.disable) }).click();
  const dialog = page.getByRole("dialog", { name: adminText.acts.disableTitle(bob.name) });
  await dialog.getByLabel(adminText.reasonOptional).fill("Sends advertising");
  await dialog.getByRole("button", { name: adminText.acts.disable, exact: true }).click();
  await expect(row).toContainText(adminText.people.disabled);
  // The one promise about time: the connection closes within 5 s.
  await expect(bob.page.getByText(en.entry.reasons.disabled)).toBeVisible({ timeout: 5_000 });

  const again = await visitor("Bob");
  await fillSignIn(again.page, bob);
  await expect(again.page.getByRole("alert")).toBeVisible();
  await expect(again.page.getByRole("navigation", { name: en.nav.label })).toBeHidden();

  await page.getByRole("link", { name: adminText.tabs.audit }).click();
  const entry = page.getByRole("row").filter({ hasText: bob.username }).filter({ hasText: "Disabled" });
  await expect(entry).toContainText("Sends advertising");

  await page.getByRole("link", { name: adminText.tabs.people }).click();
  await page.getByRole("searchbox").fill(bob.username);
  await row.getByRole("button", { name: adminText.actions(bob.name) }).click();
  await page.getByRole("menuitem", { name: act(adminText.acts.enable) }).click();
  await page.getByRole("dialog").getByRole("button", { name: adminText.acts.enable, exact: true }).click();
  await expect(row).not.toContainText(adminText.people.disabled);
  await fillSignIn(again.page, bob);
  await expectIn(again.page);
});

test("the panel is closed to whoever is no admin", async ({ person }) => {
  const ann = await person("Ann");
  await ann.page.goto("/admin");
  await expect(ann.page.getByRole("searchbox")).toBeHidden();
  await expect(ann.page.getByRole("link", { name: adminText.tabs.audit })).toBeHidden();
});
