import { adminText, auditEntry, findRow, openTab, operator, perform } from "./support/admin";
import { en, expectSignedIn, fillSignIn, open, send } from "./support/steps";
import { backend, expect, newUser, test } from "./support/test";
import { createAccount } from "./support/accounts";
import { enterCode } from "./support/totp";

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

test("an admin confirms an old sign-in in place; it then ends, and the connection goes on with the new one", async ({
  signedIn,
}) => {
  const boss = await operator(signedIn);
  const { page, sockets } = boss;
  await expect.poll(() => sockets.received.some((f) => f.type === "caught_up")).toBe(true);
  // The server requires this 15 minutes after a sign-in, which no test can wait for.
  let old = true;
  await page.route(/\/api\/admin\//, async (route) => {
    if (!old) return route.continue();
    const problem = { type: "about:blank", title: "Forbidden", status: 403, code: "sign_in_again", detail: "Again." };
    return route.fulfill({ status: 403, contentType: "application/problem+json", body: JSON.stringify(problem) });
  });
  const ended = page.waitForResponse(/\/me\/sign-out$/);
  await page.getByRole("searchbox", { name: adminText.people.search }).fill(boss.username);
  const dialog = page.getByRole("dialog", { name: adminText.again.title });
  const password = dialog.getByLabel(en.auth.password, { exact: true });
  await password.fill("not my password");
  await password.press("Enter");
  await expect(password).toHaveAccessibleDescription(en.auth.errors.passwordNotYours);
  old = false;
  await password.fill(boss.password);
  await password.press("Enter");
  await enterCode(dialog, boss.app);
  await expect(dialog).toBeHidden();
  expect((await ended).status()).toBe(204);
  // The socket belonged to the new sign-in by then, so the server does not close it.
  expect(sockets.sent.filter((f) => f.type === "token").length).toBe(1);
  await findRow(page, boss);
  expect(sockets.opened).toBe(1);
});
