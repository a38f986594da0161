import { en, expect, test } from "./test";

const words = en.settings;

test("a new password must follow the rules, and the present one is needed", async ({ at }) => {
  const page = await at("/settings", { latency: 0 });
  const change = page.getByRole("button", { name: words.passwordChange });
  await change.press("Enter");
  const dialog = page.getByRole("dialog", { name: words.passwordTitle });
  const current = dialog.getByLabel(words.passwordCurrent, { exact: true });
  const chosen = dialog.getByLabel(en.auth.newPassword, { exact: true });
  await expect(current).toBeFocused();
  await page.keyboard.type("wrong");
  await chosen.fill("Ada Brandt");
  await page.keyboard.press("Enter");
  await expect(dialog.locator(".fault")).toContainText(en.auth.rules.notName);
  await expect(chosen).toBeFocused();
  await chosen.fill("Sunshine1");
  await page.keyboard.press("Enter");
  await expect(dialog.locator(".fault")).toContainText(en.auth.rules.notCommon);
  await chosen.fill("colder ashes by day");
  await page.keyboard.press("Enter");
  await expect(current).toHaveAccessibleDescription(en.auth.errors.passwordNotYours);
  await expect(current).toBeFocused();
  await page.keyboard.type("right");
  await page.keyboard.press("Enter");
  await expect(page.getByText(en.auth.resetDone)).toBeVisible();
  await expect(change).toBeFocused();
});
