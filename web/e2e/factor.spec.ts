import { factorText as words } from "../src/text/secondFactor";
import { createAccount } from "./support/accounts";
import { en, expectSignedIn, fillSignIn } from "./support/steps";
import { expect, newUser, test } from "./support/test";
import { enroll, enterCode, setUpApp } from "./support/totp";

test("an authenticator app guards the account until it is turned off, or a recovery code takes its place", async ({
  visitor,
  signedIn,
}) => {
  const ann = newUser("Ann");
  await createAccount(ann);
  const phone = await signedIn(ann);
  const { page } = await signedIn(ann, { place: "/settings" });
  const section = page.getByRole("region", { name: words.title });

  const { app, codes } = await setUpApp(page, ann);
  const [recoveryCode = ""] = codes;
  await expect(section.getByText(words.codesLeft(10))).toBeVisible();
  // The other device has to sign in again, and keeps its data.
  await expect(phone.page.getByRole("heading", { name: en.auth.endedTitle })).toBeVisible();

  const thief = await visitor("Thief");
  await fillSignIn(thief.page, ann);
  await thief.page.getByLabel(words.code, { exact: true }).fill("000000");
  await thief.page.keyboard.press("Enter");
  await expect(thief.page.getByLabel(words.code, { exact: true })).toHaveAccessibleDescription(
    words.problems.code_wrong,
  );
  await fillSignIn(phone.page, ann, { here: true });
  await enterCode(phone.page, app);
  await expectSignedIn(phone.page);
  await page.reload();
  await expect(section.getByText(words.codesLeft(10))).toBeVisible(); // it does not end the one that has set up the app

  // Somebody who has lost the app signs in with a code. It ends all sign-ins.
  await thief.page.getByRole("button", { name: words.lost }).click();
  await thief.page.getByLabel(words.recoveryCode).fill(recoveryCode.toLowerCase());
  await thief.page.keyboard.press("Enter");
  await expectSignedIn(thief.page);
  await expect(page.getByRole("heading", { name: en.auth.endedTitle })).toBeVisible();
  await expect(phone.page.getByRole("heading", { name: en.auth.endedTitle })).toBeVisible();
  await fillSignIn(phone.page, ann, { here: true });
  await expectSignedIn(phone.page);
});

test("changing the password needs a code, and another one to stay signed in", async ({ signedIn, visitor }) => {
  const ann = newUser("Ann");
  await createAccount(ann);
  const { app, as } = await enroll(ann);
  const { page } = await signedIn(ann, { place: "/settings", as });
  await page.getByRole("button", { name: en.settings.passwordChange }).click();
  const dialog = page.getByRole("dialog", { name: en.settings.passwordTitle });
  const chosen = `${ann.password} and more`;
  await dialog.getByLabel(en.settings.passwordCurrent, { exact: true }).fill(ann.password);
  await dialog.getByLabel(en.auth.newPassword, { exact: true }).fill(chosen);
  await page.keyboard.press("Enter");
  await enterCode(dialog, app);
  const next = page.getByRole("dialog", { name: words.nextTitle });
  await enterCode(next, app);
  await expect(next).toHaveCount(0);
  const other = await visitor("Ann");
  await fillSignIn(other.page, { ...ann, password: chosen });
  await expect(other.page.getByRole("heading", { name: words.stepTitle })).toBeVisible();
  await page.reload();
  await expect(page.getByRole("region", { name: words.title })).toBeVisible();
});

test("turning the app off needs a code, and the password alone is enough afterwards", async ({ signedIn, visitor }) => {
  const ann = newUser("Ann");
  await createAccount(ann);
  const { app, as } = await enroll(ann);
  const { page } = await signedIn(ann, { place: "/settings", as });
  const section = page.getByRole("region", { name: words.title });
  await expect(section.getByText(words.codesNone)).toBeVisible(); // another client has made no codes
  await section.getByRole("button", { name: words.turnOff }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel(en.auth.password, { exact: true }).fill(ann.password);
  await page.keyboard.press("Enter");
  await enterCode(dialog, app);
  await expect(section.getByRole("button", { name: words.setUp })).toBeVisible();
  const other = await visitor("Ann");
  await fillSignIn(other.page, ann);
  await expectSignedIn(other.page);
});
