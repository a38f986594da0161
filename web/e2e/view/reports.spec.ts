import type { Page } from "@playwright/test";
import { adminText } from "../../src/text/admin";
import { reportText } from "../../src/text/report";
import { choiceText } from "../../src/text/choices";
import { colorRules, findings, paint } from "../support/accessible";
import { atRest, en, expect, test } from "./test";

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly body: { readonly reason?: string; readonly messages?: readonly { readonly body: string }[] };
}
const sent = (page: Page): Promise<Sent[]> => page.evaluate(() => (window as unknown as { reported: Sent[] }).reported);
const THEIRS = "هل وصلت؟";

test("a message is reported by keyboard alone, with another one, and the person is blocked", async ({ at }) => {
  const page = await at("/c/mira.kern");
  const theirs = page.getByRole("log").getByRole("article").filter({ hasText: THEIRS });
  await expect(theirs).toBeVisible();
  await theirs.focus();
  await page.keyboard.press("Shift+F10");
  const item = page.getByRole("menuitem", { name: reportText.action });
  await expect(item).toBeVisible();
  await item.focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: reportText.title("Mira Kern") });
  const reason = dialog.getByRole("radio", { name: reportText.reasons.spam });
  await expect(reason).toBeFocused();
  await expect(dialog.getByRole("checkbox", { name: THEIRS })).toBeChecked();
  await atRest(page);
  await paint(page, "light");
  expect(await findings(page)).toEqual([]);
  await paint(page, "dark");
  expect(await findings(page, colorRules)).toEqual([]);

  const send = dialog.getByRole("button", { name: reportText.send });
  await send.focus();
  await page.keyboard.press("Enter");
  await expect(dialog.getByText(reportText.reasonMissing)).toBeVisible();
  await expect(reason).toBeFocused();
  await page.keyboard.press("ArrowDown");
  await expect(dialog.getByRole("radio", { name: reportText.reasons.abuse })).toBeChecked();
  await dialog.getByRole("textbox").fill("é".repeat(1001));
  await send.press("Enter");
  await expect(dialog.getByText(reportText.commentLong("1,000"))).toBeVisible();
  await dialog.getByRole("textbox").fill("Every day");
  await dialog.getByRole("checkbox").first().press("Space");
  await dialog.getByRole("checkbox", { name: reportText.block("Mira Kern") }).press("Space");
  await send.press("Enter");
  await expect(page.getByText(reportText.doneBlocked("Mira Kern"))).toBeVisible();
  await expect(dialog).toBeHidden();
  await expect(theirs).toBeFocused();
  const [report] = await sent(page);
  expect(report).toMatchObject({ method: "POST", path: "me/reports", body: { reason: "abuse", comment: "Every day" } });
  expect(report?.body.messages).toHaveLength(2);
  expect(report?.body.messages?.at(-1)?.body).toContain(THEIRS);
});

test("a person is reported from the details; if that fails, what was typed stays", async ({ at }) => {
  const page = await at("/c/jonas", { reports: "fail" });
  await page.getByRole("button", { name: en.conversation.showDetails, exact: true }).click();
  await page.getByRole("button", { name: en.common.more, exact: true }).click();
  await expect(page.getByRole("menuitem", { name: choiceText.block("Jonas Ahlgren") })).toBeVisible();
  await page.getByRole("menuitem", { name: reportText.action }).click();
  const dialog = page.getByRole("dialog", { name: reportText.title("Jonas Ahlgren") });
  await dialog.getByRole("radio", { name: reportText.reasons.impersonation }).check();
  await dialog.getByRole("textbox").fill("This is not Jonas");
  await dialog.getByRole("button", { name: reportText.send }).click();
  await expect(dialog.getByRole("alert")).toHaveText(en.problems.outdated);
  await expect(dialog.getByRole("textbox")).toHaveValue("This is not Jonas");
  await expect(dialog.getByRole("radio", { name: reportText.reasons.impersonation })).toBeChecked();
  await expect(dialog.getByRole("checkbox", { checked: true })).toHaveCount(0);
});

test("a warning is shown until it is confirmed", async ({ at }) => {
  const page = await at("/c/mira.kern", { warned: 1 });
  await expect(page.getByRole("textbox", { name: en.conversation.writeTo("Mira Kern") })).toBeVisible();
  await page.keyboard.press("Tab"); // the code is loaded when the user does something
  const dialog = page.getByRole("dialog", { name: reportText.warning.title });
  await expect(dialog).toContainText(reportText.warning.long(reportText.reasons.spam));
  await atRest(page);
  await paint(page, "light");
  expect(await findings(page)).toEqual([]);
  await dialog.getByRole("button", { name: reportText.warning.confirm }).press("Enter");
  await expect(dialog).toBeHidden();
  await expect.poll(() => sent(page)).toEqual([{ method: "DELETE", path: "me/warning", body: { at: 5_000_000 } }]);
});

test("an admin opens a report, sees which copies are forged, and acts on it by keyboard", async ({ at }) => {
  const page = await at("/admin", { admin: 1 });
  const words = adminText.reports;
  await page.getByRole("link", { name: adminText.tabs.reports }).click();
  await page
    .getByRole("button", { name: words.open("Mira Kern") })
    .first()
    .press("Enter");
  await expect(page.getByRole("heading", { name: words.title("Mira Kern") })).toBeFocused();
  const copies = page.getByRole("table", { name: words.copies });
  await expect(copies.getByRole("row", { name: "Buy now" })).toContainText(words.marks["same"] ?? "");
  await expect(copies.getByRole("row", { name: "I will find you" })).toContainText(words.archive("I will find it"));
  await expect(copies.getByRole("row", { name: "Please stop" })).toContainText(words.marks["missing"] ?? "");
  await paint(page, "light");
  expect(await findings(page)).toEqual([]);
  await paint(page, "dark");
  expect(await findings(page, colorRules)).toEqual([]);

  await page.getByRole("button", { name: words.limit }).press("Enter");
  const dialog = page.getByRole("dialog", { name: words.limitTitle("Mira Kern") });
  await dialog.getByLabel(words.days).fill("91");
  await dialog.getByRole("button", { name: words.limit }).press("Enter");
  await expect(dialog).toContainText(words.daysWrong);
  await expect(dialog).toContainText(adminText.reasonMissing);
  await dialog.getByLabel(words.days).fill("30");
  await dialog.getByLabel(adminText.reason, { exact: true }).fill("Advertising");
  await page.keyboard.press("Enter");
  await expect(dialog).toBeHidden();
  await expect(page.getByText(adminText.audit.actions["limit_contacts"] ?? "")).toBeVisible();
  await expect(page.getByRole("button", { name: words.dismiss })).toBeHidden();
  await page.getByRole("button", { name: words.back }).press("Enter");
  await expect(page.getByRole("button", { name: words.open("Mira Kern") })).toHaveCount(1);
  await page.getByLabel(words.show).selectOption(words.states.acted);
  await expect(page.getByRole("row", { name: "Mira Kern" })).toContainText(words.reasons["spam"] ?? "");
});
