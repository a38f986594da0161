// Fields keep what the user types: no text is changed while somebody types, selects or composes it.
import type { Locator } from "@playwright/test";
import { en, expect, test } from "./test";

const caret = (field: Locator): Promise<number | null> =>
  field.evaluate((input) => (input as HTMLInputElement).selectionStart);

for (const [where, place] of [
  ["sign-up", "/signup"],
  ["settings", "/settings"],
] as const)
  test(`the username of ${where} is not rewritten while it is typed, pasted or composed`, async ({ at }) => {
    const page = await at(place, place === "/signup" ? { as: "signed-out" } : {});
    const words = place === "/signup" ? en.auth : en.settings;
    const username = page.getByLabel(words.username, { exact: true });
    await username.fill("");
    await username.pressSequentially("MaraKern");
    for (let n = 0; n < 4; n++) await username.press("ArrowLeft");
    await username.pressSequentially("X Y");
    await expect(username).toHaveValue("MaraX YKern");
    expect(await caret(username)).toBe(7);
    await expect(username).toHaveAccessibleDescription(words.usernameMeans("marax.ykern"));

    // Pasted text stays as well, and white space around it is no error.
    await username.fill("");
    await page.evaluate(() => document.execCommand("insertText", false, "  Mara Kern  "));
    await expect(username).toHaveValue("  Mara Kern  ");
    await username.blur();
    await expect(username).not.toHaveAttribute("aria-invalid", "true");
    await expect(username).toHaveAccessibleDescription(words.usernameMeans("mara.kern"));

    // An input method composes.
    await username.fill("");
    const session = await page.context().newCDPSession(page);
    await session.send("Input.imeSetComposition", { text: "Ma", selectionStart: 2, selectionEnd: 2 });
    await session.send("Input.imeSetComposition", { text: "Mar", selectionStart: 3, selectionEnd: 3 });
    await expect(username).toHaveValue("Mar");
    await session.send("Input.insertText", { text: "Mara" });
    await expect(username).toHaveValue("Mara");
  });

test("a stored profile leaves the fields as they were typed", async ({ at }) => {
  const page = await at("/settings");
  const name = page.getByLabel(en.settings.name, { exact: true });
  const username = page.getByLabel(en.settings.username, { exact: true });
  await name.fill(" Ada  Brandt Kern ");
  await username.fill("Ada Kern");
  await username.press("Enter");
  await expect(page.getByText(en.settings.profileSaved)).toBeVisible();
  await expect(name).toHaveValue(" Ada  Brandt Kern ");
  await expect(username).toHaveValue("Ada Kern");
  await expect(page.getByRole("button", { name: en.common.save, exact: true })).toHaveCount(0);
  await username.pressSequentially("2");
  await page.getByRole("button", { name: en.common.cancel, exact: true }).click();
  await expect(username).toHaveValue("ada.kern");
});

test("a new password follows the rules that are shown, at sign-up and at a reset alike", async ({ at }) => {
  const page = await at("/signup", { as: "signed-out" });
  const password = page.getByLabel(en.auth.password, { exact: true });
  const broken = (words: string) => page.getByText(words).and(page.locator(".fault"));
  await page.getByRole("button", { name: en.auth.signUp, exact: true }).click();
  await expect(password).toHaveAttribute("aria-invalid", "true");
  await expect(password).toHaveAccessibleDescription(new RegExp(en.auth.errors.passwordMissing));
  await page.getByLabel(en.auth.name, { exact: true }).fill("Mara Kern");
  await page.getByLabel(en.auth.email, { exact: true }).fill("mara@example.org");
  for (const [typed, words] of [
    ["short", en.auth.rules.length(8)],
    ["Mara Kern!", en.auth.rules.notName],
    ["SunShine1", en.auth.rules.notCommon],
  ] as const) {
    await password.fill(typed);
    await password.press("Enter");
    await expect(broken(words)).toBeVisible();
    await expect(password).toHaveAttribute("aria-invalid", "true");
    await expect(password).toBeFocused();
  }
  // On a phone whose keyboard is open, the rules are above the keyboard while the field has the focus.
  await page.setViewportSize({ width: 360, height: 400 });
  await page.getByLabel(en.auth.name, { exact: true }).focus();
  await password.focus();
  await expect(page.getByText(en.auth.rules.notCommon)).toBeInViewport({ ratio: 1 });
  await expect(page.getByText(en.auth.password, { exact: true })).toBeInViewport({ ratio: 1 });

  await at("/mail?mode=resetPassword&oobCode=x", { as: "signed-out" });
  const fresh = page.getByLabel(en.auth.newPassword, { exact: true });
  await expect(fresh).toBeFocused();
  await expect(fresh).toHaveAttribute("minlength", "8");
  await expect(fresh).toHaveAttribute("passwordrules", /minlength: 8/);
  await expect(page.locator("input[autocomplete='username']")).toHaveValue("ada@example.org");
  await fresh.fill("sunshine1");
  await fresh.press("Enter");
  await expect(broken(en.auth.rules.notCommon)).toBeVisible();
  await fresh.fill("ada@example.org");
  await fresh.press("Enter");
  await expect(broken(en.auth.rules.notName)).toBeVisible();
  await at("/mail?mode=resetPassword&oobCode=old", { as: "signed-out" });
  await expect(page.getByRole("alert")).toHaveText(en.auth.problems.code_ended);
});

test("what is typed while a form checks the password is not sent unseen", async ({ at }) => {
  const page = await at("/signup", { as: "signed-out", held: 1 });
  const release = () => page.evaluate(() => (globalThis as unknown as { fake: { release(): void } }).fake.release());
  const field = (label: string) => page.getByLabel(label, { exact: true });
  await field(en.auth.name).fill("Mara Kern");
  await field(en.auth.email).fill("mara@example.org");
  await field(en.auth.password).fill("correct horse");
  const checking = expect(page.locator("form button.primary")); // its name changes, too
  await field(en.auth.password).press("Enter");
  await checking.toHaveAttribute("aria-disabled", "true");
  await field(en.auth.password).pressSequentially(" staple");
  await release();
  await checking.not.toHaveAttribute("aria-disabled", "true");
  await expect(field(en.auth.password)).toHaveValue("correct horse staple");

  await field(en.auth.password).press("Enter");
  await checking.toHaveAttribute("aria-disabled", "true");
  await release();
  await expect(page.getByRole("link", { name: en.nav.people, exact: true })).toBeVisible();
});
