import { adminText, auditEntry, findRow, openTab, operator, perform } from "./support/admin";
import { en, expectSignedIn, fillSignIn, open, send } from "./support/steps";
import { backend, expect, newUser, test } from "./support/test";
import { createAccount } from "./support/accounts";

const { actions } = adminText;

test(
  "an admin disables a user who is connected, and enables them again",
  { tag: backend },
  async ({ user, signedIn, visitor }) => {
    const [ann, bob] = [newUser("Ann"), await user("Bob")];
    await createAccount(ann);
    await open(bob.page, ann);
    await send(bob.page, ann, "before it all");
    const { page } = await operator(signedIn);
    await perform(page, bob, actions.disable, "Sends advertising");
    await expect(await findRow(page, bob)).toContainText(adminText.people.disabled);
    // The connection must close within 5 s.
    await expect(bob.page.getByText(en.auth.reasons.disabled)).toBeVisible({ timeout: 5_000 });

    const again = await visitor("Bob");
    await fillSignIn(again.page, bob);
    await expect(again.page.getByRole("alert")).toBeVisible();
    await expect(again.page.getByRole("navigation", { name: en.nav.label })).toBeHidden();

    await auditEntry(page, bob.username, adminText.audit.actions["disable"] ?? "", "Sends advertising");

    await openTab(page, "people");
    await perform(page, bob, actions.enable, "");
    await expect(await findRow(page, bob)).not.toContainText(adminText.people.disabled);
    await fillSignIn(again.page, bob);
    await expectSignedIn(again.page);
  },
);
