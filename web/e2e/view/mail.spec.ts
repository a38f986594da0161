import type { Page } from "@playwright/test";
import { findings } from "../support/accessible";
import { en, expect, test } from "./test";

const words = en.mail;
const out = { as: "signed-out", latency: 0 };
const link = (mode: string, code: string): string => `/mail?mode=${mode}&oobCode=${code}`;
const heading = (page: Page, name: string) => page.getByRole("heading", { name, exact: true });
const sentMails = (page: Page) => page.evaluate(() => (globalThis as unknown as { mails: string[] }).mails);
const unverify = (page: Page) =>
  page.evaluate(() => {
    const { fake } = globalThis as unknown as { fake: { me: { update(change: (me: object) => object): void } } };
    fake.me.update((me) => ({ ...me, unverified: true }));
  });

test("a link that confirms the address says whose, and leads on, for the owner and for others", async ({ at }) => {
  const page = await at(link("verifyEmail", "verify"), { unverified: 1, latency: 0 });
  await expect(heading(page, words.verified)).toBeFocused();
  await expect(page.getByText(words.verifiedMore("ada@example.org"))).toBeVisible();
  expect(await findings(page)).toEqual([]);
  await page.getByRole("link", { name: words.chats }).press("Enter");
  await expect(page.getByRole("list", { name: en.chats.label })).toBeVisible();
  await expect(page.getByText(words.confirm("ada@example.org"))).toHaveCount(0);

  await at(link("verifyEmail", "verify-other"), { latency: 0 });
  await expect(page.getByText(words.verifiedMore("bea@example.org"))).toBeVisible();
  await expect(page.getByText(words.hereAs("ada@example.org"))).toBeVisible();

  await at(link("verifyEmail", "verify"), out);
  await page.getByRole("link", { name: words.signIn, exact: true }).press("Enter");
  await expect(page.getByLabel(en.auth.email, { exact: true })).toHaveValue("ada@example.org");
});

test("a link that changes the address says first that all devices are signed out", async ({ at }) => {
  const page = await at(link("verifyAndChangeEmail", "change"), { latency: 0 });
  await expect(heading(page, words.changeTitle)).toBeFocused();
  await expect(page.getByText(words.changeEnds)).toBeVisible();
  expect(await findings(page)).toEqual([]);
  await page.getByRole("button", { name: words.changeDo }).press("Enter");
  await expect(heading(page, words.changed)).toBeFocused();
  await expect(page.getByText(words.changedMore("new@example.org"))).toBeVisible();
});

test("a link that restores the former address offers a new password", async ({ at }) => {
  const page = await at(link("recoverEmail", "recover"), out);
  await expect(heading(page, words.recovered)).toBeFocused();
  expect(await findings(page)).toEqual([]);
  await page.getByRole("button", { name: words.recoveredDo }).press("Enter");
  await expect(page.getByRole("status").filter({ hasText: words.sent("ada@example.org") })).toBeVisible();
  expect(await sentMails(page)).toEqual(["reset ada@example.org"]);
});

for (const [mode, code, why, next] of [
  ["verifyEmail", "old", words.ended.verify, en.auth.backToSignIn],
  ["verifyAndChangeEmail", "old", words.ended.change, en.auth.backToSignIn],
  ["resetPassword", "old", words.ended.reset, words.resetNew],
  ["recoverEmail", "old", words.ended.recover, en.auth.backToSignIn],
  ["verifyEmail", "", words.problems.link_damaged, en.auth.backToSignIn],
  ["verifyEmail", "change", words.problems.link_damaged, en.auth.backToSignIn],
  ["something", "verify", words.problems.link_damaged, en.auth.backToSignIn],
] as const) {
  test(`a link that does not work says why, and what to do (${mode}, ${code})`, async ({ at }) => {
    const page = await at(link(mode, code), out);
    await expect(page.getByRole("alert").filter({ hasText: why })).toBeVisible();
    await expect(heading(page, words.failed)).toBeFocused();
    await expect(page.getByRole("link", { name: next })).toBeVisible();
    expect(await findings(page)).toEqual([]);
  });
}

test("a person who is signed in can have a new link sent after one that has expired", async ({ at }) => {
  const page = await at(link("verifyEmail", "old"), { unverified: 1, latency: 0 });
  await expect(page.getByText(words.ended.verifyHere)).toBeVisible();
  await page.getByRole("button", { name: words.again }).press("Enter");
  await expect(page.getByText(words.sent("ada@example.org"))).toBeVisible();
  expect(await sentMails(page)).toEqual(["verify"]);
});

test("a link without a network can be tried again", async ({ at }) => {
  const page = await at(link("verifyEmail", "verify"), { ...out, mail: "offline" });
  await expect(page.getByRole("alert").filter({ hasText: en.problems.offline })).toBeVisible();
  await expect(heading(page, words.unopened)).toBeFocused();
  await expect(page.getByRole("button", { name: en.common.retry })).toBeVisible();
});

test("a quiet line asks to confirm the address, sends the email again, and can be hidden", async ({ at }) => {
  const page = await at("/", { unverified: 1, latency: 0 });
  const line = page.getByRole("status").filter({ hasText: words.confirm("ada@example.org") });
  await expect(line).toBeVisible();
  expect(await findings(page)).toEqual([]);
  const again = page.getByRole("button", { name: words.again });
  await again.press("Enter");
  await expect(page.getByText(words.sent("ada@example.org"))).toBeVisible();
  await expect(again).toHaveAttribute("aria-disabled", "true");
  await expect(again).toBeFocused();
  await again.press("Enter");
  expect(await sentMails(page)).toEqual(["verify"]);
  await page.getByRole("button", { name: words.hide }).press("Enter");
  await expect(again).toHaveCount(0);
  await page.reload();
  await expect(page.getByRole("list", { name: en.chats.label })).toBeVisible();
  await unverify(page);
  await expect(page.getByText(words.confirm("ada@example.org"))).toHaveCount(0);
});

test("on one machine, the page opens the email itself, or says that there is none", async ({ at }) => {
  const page = await at("/", { unverified: 1, latency: 0, mailbox: 1 });
  await page.getByRole("button", { name: words.open }).press("Enter");
  await expect(heading(page, words.verified)).toBeFocused();
  await expect(page).toHaveURL(/\/mail\?mode=verifyEmail&oobCode=verify$/u);

  await at("/settings", { unverified: 1, latency: 0, mailbox: "empty" });
  const section = page.getByRole("region", { name: words.title, exact: true });
  await section.getByRole("button", { name: words.open }).press("Enter");
  await expect(section.getByRole("alert").filter({ hasText: words.problems.mail_missing })).toBeVisible();

  await at("/reset", { ...out, mailbox: 1 });
  await page.getByLabel(en.auth.email, { exact: true }).fill("ada@example.org");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: words.open }).press("Enter");
  await expect(page.getByRole("button", { name: en.auth.resetSave })).toBeVisible();

  await at("/", { unverified: 1, latency: 0 });
  await expect(page.getByRole("button", { name: words.again })).toBeVisible();
  await expect(page.getByRole("button", { name: words.open })).toHaveCount(0);
});

test("a new account waits a minute before the email can be sent again, and a limit is explained", async ({ at }) => {
  const page = await at("/settings", { unverified: 1, age: 1_000, latency: 0 });
  const section = page.getByRole("region", { name: words.title, exact: true });
  await expect(section.getByText(words.isNotConfirmed)).toBeVisible();
  await expect(section.getByRole("button", { name: words.again })).toHaveAccessibleDescription(words.wait);
  await at("/settings", { unverified: 1, latency: 0, mail: "limited" });
  await section.getByRole("button", { name: words.again }).press("Enter");
  await expect(section.getByRole("alert")).toHaveText(en.auth.problems.too_many);
});

test("the address is changed in the settings, with the password, by keyboard", async ({ at }) => {
  const page = await at("/", { unverified: 1, latency: 0 });
  await page.getByRole("link", { name: words.change, exact: true }).press("Enter");
  const section = page.getByRole("region", { name: words.title, exact: true });
  await expect(section.getByRole("heading")).toBeFocused();
  const change = section.getByRole("button", { name: words.changeAddress });
  await change.press("Enter");
  const dialog = page.getByRole("dialog", { name: words.changeAddress });
  const address = dialog.getByLabel(words.newAddress, { exact: true });
  const password = dialog.getByLabel(en.settings.passwordCurrent, { exact: true });
  await expect(address).toBeFocused();
  expect(await findings(page)).toEqual([]);
  await page.keyboard.type("Ada@example.org");
  await password.fill("right");
  await page.keyboard.press("Enter");
  await expect(address).toHaveAccessibleDescription(words.changeSame);
  await expect(address).toBeFocused();
  await address.fill("taken@example.org");
  await page.keyboard.press("Enter");
  await expect(address).toHaveAccessibleDescription(en.auth.problems.email_taken);
  await address.fill("new@example.org");
  await password.fill("wrong");
  await page.keyboard.press("Enter");
  await expect(password).toHaveAccessibleDescription(en.auth.errors.passwordNotYours);
  await password.fill("right");
  await page.keyboard.press("Enter");
  await expect(page.getByText(words.changeSent("new@example.org"))).toBeVisible();
  await expect(change).toBeFocused();
  expect(await sentMails(page)).toEqual(["change new@example.org"]);
});
