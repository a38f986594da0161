// A report about a person, from the message to the end of a ban on new contacts, at the keyboards of three people.
import { heldText } from "../src/text/held";
import { reportText } from "../src/text/report";
import { adminText, auditEntry, createAccount, openTab, operator } from "./support/admin";
import { composer, expectState, message, open, send, state } from "./support/steps";
import { expect, newUser, test } from "./support/test";

const words = adminText.reports;

test("a report about a message reaches an operator, who warns its author and forbids new contacts", async ({
  user,
  signedIn,
}) => {
  const [ann, bob, cid] = [await user("Ann"), await user("Bob"), newUser("Cid")];
  await createAccount(cid);
  await open(bob.page, ann);
  await send(bob.page, ann, "Buy now, only today");
  await expectState(bob.page, ann, "Buy now, only today", state.delivered);

  await open(ann.page, bob);
  await message(ann.page, bob, "Buy now, only today").focus();
  await ann.page.keyboard.press("Shift+F10");
  await ann.page.getByRole("menuitem", { name: reportText.action }).press("Enter");
  const report = ann.page.getByRole("dialog", { name: reportText.title(bob.name) });
  await expect(report.getByRole("checkbox", { name: "Buy now, only today" })).toBeChecked();
  await report.getByRole("radio", { name: reportText.reasons.spam }).press("Space");
  await report.getByRole("textbox").fill("Every day");
  await report.getByRole("button", { name: reportText.send, exact: true }).press("Enter");
  await expect(ann.page.getByText(reportText.done(bob.name))).toBeVisible();

  const { page } = await operator(signedIn);
  await openTab(page, "reports");
  await page
    .getByRole("button", { name: words.open(bob.name) })
    .first()
    .press("Enter");
  await expect(page.getByText("Every day")).toBeVisible();
  const copy = page.getByRole("table", { name: words.copies }).getByRole("row", { name: "Buy now, only today" });
  await expect(copy).toContainText(words.marks["same"] ?? "");

  await page.getByRole("button", { name: words.warn, exact: true }).press("Enter");
  const warn = page.getByRole("dialog", { name: words.warnTitle(bob.name) });
  await warn.getByLabel(adminText.reason, { exact: true }).fill("Advertising");
  await page.keyboard.press("Enter");
  await expect(warn).toBeHidden();
  await expect(page.getByText(words.warned)).toBeVisible();
  await bob.page.keyboard.press("Tab"); // the warning is shown when the user does something
  const warning = bob.page.getByRole("dialog", { name: reportText.warning.title });
  await expect(warning).toContainText(reportText.warning.long(reportText.reasons.spam));
  await warning.getByRole("button", { name: reportText.warning.confirm }).press("Enter");
  await expect(warning).toBeHidden();

  await page.getByRole("button", { name: words.limit, exact: true }).press("Enter");
  const limit = page.getByRole("dialog", { name: words.limitTitle(bob.name) });
  await limit.getByLabel(adminText.reason, { exact: true }).fill("It went on");
  await page.keyboard.press("Enter");
  await expect(limit).toBeHidden();
  await expect(page.getByText(words.warned)).toBeHidden(); // confirmed
  await open(bob.page, cid);
  await composer(bob.page, cid).fill("Buy now, you too");
  await bob.page.keyboard.press("Enter");
  await expect(bob.page.getByText(heldText.problems.contacts_forbidden)).toBeVisible();
  await open(bob.page, ann);
  await send(bob.page, ann, "Sorry");
  await expectState(bob.page, ann, "Sorry", state.read);
  await expect(message(ann.page, bob, "Sorry")).toBeVisible();
  await auditEntry(page, bob.username, adminText.audit.actions["limit_contacts"] ?? "", "It went on");
});
