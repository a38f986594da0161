import type { Locator, Page } from "@playwright/test";
import { factorText as words } from "../../src/text/secondFactor";
import { findings } from "../support/accessible";
import { en, expect, test } from "./test";

const CODE = "123456";

/** Types the password in the dialog that is open, which then asks for a code. Returns the field for it. */
async function provePassword(page: Page): Promise<Locator> {
  await page.keyboard.type("right");
  await page.keyboard.press("Enter");
  const code = page.getByLabel(words.code, { exact: true });
  await expect(code).toBeFocused();
  return code;
}

/** Types a code that is wrong. */
async function refuseCode(page: Page, code: Locator): Promise<void> {
  await page.keyboard.type("000000");
  await page.keyboard.press("Enter");
  await expect(code).toHaveAccessibleDescription(words.problems.code_wrong);
}

test("an authenticator app is set up by keyboard, with a QR code and a key, and gives recovery codes", async ({
  at,
}) => {
  const page = await at("/settings", { latency: 0 });
  const section = page.getByRole("region", { name: words.title });
  await section.getByRole("button", { name: words.setUp }).press("Enter");
  const dialog = page.getByRole("dialog", { name: words.setUpTitle });
  await expect(dialog.getByLabel(en.auth.password, { exact: true })).toBeFocused();
  await page.keyboard.type("right");
  await page.keyboard.press("Enter");
  const code = dialog.getByLabel(words.code, { exact: true });
  await expect(code).toBeFocused();
  await expect(dialog.getByRole("img", { name: words.qr })).toBeVisible();
  await expect(dialog.getByText("JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP")).toBeVisible();
  expect(await findings(page)).toEqual([]);
  for (const [typed, fault] of [
    ["12", words.codeForm],
    ["654321", words.problems.code_wrong],
  ] as const) {
    await code.fill(typed);
    await page.keyboard.press("Enter");
    await expect(code).toHaveAccessibleDescription(fault);
    await expect(code).toBeFocused();
  }
  await code.fill("123 456");
  await page.keyboard.press("Enter");
  const codes = page.getByRole("dialog", { name: words.yours });
  await expect(codes.getByRole("listitem")).toHaveCount(10);
  expect(await findings(page)).toEqual([]);
  await expect(codes.getByRole("button", { name: words.copy })).toBeFocused();
  const download = page.waitForEvent("download");
  await codes.getByRole("button", { name: words.download }).press("Enter");
  expect((await download).suggestedFilename()).toBe("phoenix-chat-recovery-codes.txt");
  await codes.getByRole("button", { name: words.saved }).press("Enter");
  await expect(section.getByText(words.codesLeft(10))).toBeVisible();
  await expect(section.getByRole("heading")).toBeFocused();
});

test("a set-up that takes too long says what to do, and one without a confirmed address is not offered", async ({
  at,
}) => {
  const page = await at("/settings", { latency: 0, factor: "late" });
  const section = page.getByRole("region", { name: words.title });
  await section.getByRole("button", { name: words.setUp }).click();
  const dialog = page.getByRole("dialog", { name: words.setUpTitle });
  await page.keyboard.type("right");
  await page.keyboard.press("Enter");
  await dialog.getByLabel(words.code, { exact: true }).fill(CODE);
  await page.keyboard.press("Enter");
  await expect(dialog.getByText(words.problems.code_late)).toBeVisible();
  await page.keyboard.press("Escape");
  await page.evaluate(() => {
    const { fake } = globalThis as unknown as { fake: { me: { update(change: (me: object) => object): void } } };
    fake.me.update((me) => ({ ...me, unverified: true }));
  });
  await expect(section.getByText(words.unverified)).toBeVisible();
  await expect(section.getByRole("button")).toHaveCount(0);
});

test("new recovery codes and turning it off need the password and a code", async ({ at }) => {
  const page = await at("/settings", { latency: 0, factor: "on", codes: 0 });
  const section = page.getByRole("region", { name: words.title });
  await expect(section.getByText(words.codesNone)).toBeVisible();
  await section.getByRole("button", { name: words.codes }).press("Enter");
  await provePassword(page);
  await page.keyboard.type(CODE);
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: words.yours }).getByRole("button", { name: words.saved }).click();
  await expect(section.getByText(words.codesLeft(10))).toBeVisible();

  await section.getByRole("button", { name: words.turnOff }).press("Enter");
  const code = await provePassword(page);
  await expect(page.getByRole("dialog", { name: words.turnOffTitle })).toBeVisible();
  expect(await findings(page)).toEqual([]);
  await refuseCode(page, code);
  await code.fill(CODE);
  await page.keyboard.press("Enter");
  await expect(page.getByText(words.turnedOff)).toBeVisible();
  await expect(section.getByRole("button", { name: words.setUp })).toBeVisible();
});

test("after all sign-ins were revoked, another code keeps this device signed in, or the user leaves it", async ({
  at,
}) => {
  const page = await at("/settings", { latency: 0, factor: "on" });
  const elsewhere = page.getByRole("button", { name: en.settings.elsewhere });
  await elsewhere.press("Enter");
  await provePassword(page);
  await page.keyboard.type(CODE);
  await page.keyboard.press("Enter");
  const next = page.getByRole("dialog", { name: words.nextTitle });
  const code = next.getByLabel(words.code, { exact: true });
  await expect(code).toBeFocused();
  expect(await findings(page)).toEqual([]);
  await refuseCode(page, code);
  await code.fill(CODE);
  await page.keyboard.press("Enter");
  await expect(next).toHaveCount(0);
});

test("signing in asks for a code after the password, and a recovery code takes its place", async ({ at }) => {
  const page = await at("/signin", { as: "signed-out", latency: 0, factor: "on" });
  await page.getByLabel(en.auth.email).fill("ada@example.org");
  await page.getByLabel(en.auth.password, { exact: true }).fill("right");
  await page.keyboard.press("Enter");
  const code = page.getByLabel(words.code, { exact: true });
  await expect(code).toBeFocused();
  await expect(page.getByRole("heading", { name: words.stepTitle })).toBeVisible();
  expect(await findings(page)).toEqual([]);
  await refuseCode(page, code);

  await page.getByRole("button", { name: words.lost }).press("Enter");
  const recovery = page.getByLabel(words.recoveryCode);
  await expect(recovery).toBeFocused();
  expect(await findings(page)).toEqual([]);
  await page.keyboard.press("Enter");
  await expect(recovery).toHaveAccessibleDescription(words.recoveryMissing);
  await recovery.fill("GGGG");
  await page.keyboard.press("Enter");
  await expect(recovery).toHaveAccessibleDescription(words.problems.recovery_code_wrong);
  await page.getByRole("button", { name: words.backToCode }).press("Enter");
  await expect(code).toBeFocused();
  await page.getByRole("button", { name: en.auth.backToSignIn }).press("Enter");
  // The form has kept the password.
  await expect(page.getByLabel(en.auth.password, { exact: true })).toHaveValue("right");
  await page.getByLabel(en.auth.password, { exact: true }).press("Enter");
  await expect(code).toBeFocused();
  await page.keyboard.type(CODE);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("navigation", { name: en.nav.label })).toBeVisible();
});

test("a recovery code signs in without the app, and says what to do next", async ({ at }) => {
  const page = await at("/signin", { as: "signed-out", latency: 0, factor: "on" });
  await page.getByLabel(en.auth.email).fill("ada@example.org");
  await page.getByLabel(en.auth.password, { exact: true }).fill("right");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: words.lost }).click();
  await page.getByLabel(words.recoveryCode).fill("AAAA-BBBB-CCCC-DDDD-EEEE-FFFF");
  await page.keyboard.press("Enter");
  await expect(page.getByText(words.recovered)).toBeVisible();
  await expect(page.getByRole("navigation", { name: en.nav.label })).toBeVisible();
});

test("the panel sends an admin without it to the settings", async ({ at }) => {
  const page = await at("/admin", { latency: 0, admin: 1, panel: "factor" });
  await expect(page.getByText(words.admin)).toBeVisible();
  expect(await findings(page)).toEqual([]);
  await page.getByRole("link", { name: words.adminDo }).press("Enter");
  await expect(page.getByRole("heading", { name: words.title })).toBeFocused();
});
