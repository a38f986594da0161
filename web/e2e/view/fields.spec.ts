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
