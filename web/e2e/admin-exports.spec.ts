import { readFile } from "node:fs/promises";
import type { Page } from "@playwright/test";
import { perform, adminText, createAccount, findRow, auditEntry, operator, openTab } from "./support/admin";
import { expect, newUser, test } from "./support/test";

const { actions } = adminText;

/** Presses the button, and reads the file as a spreadsheet would (RFC 4180). */
async function download(page: Page, name: RegExp): Promise<readonly Readonly<Record<string, string>>[]> {
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: adminText.export }).click(),
  ]);
  expect(file.suggestedFilename()).toMatch(name);
  const text = await readFile(await file.path(), "utf8");
  expect(text.startsWith("\ufeff")).toBe(true); // without it, spreadsheets assume an older encoding
  const [head = [], ...rows] = cells(text.slice(1));
  return rows.map((row) => Object.fromEntries(head.map((column, i) => [column, row[i] ?? ""])));
}

function cells(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  const end = /\s*$/.exec(text)?.index ?? text.length;
  for (const [, quoted, plain, after] of text.slice(0, end).matchAll(/(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r?\n|$)/gu)) {
    row.push(quoted?.replaceAll('""', '"') ?? plain ?? "");
    if (after === ",") continue;
    rows.push(row);
    row = [];
    if (after === "") break;
  }
  return rows;
}

test("the downloads of the people and of the audit log contain no formula", async ({ signedIn }) => {
  const { page, username } = await operator(signedIn);
  const bad = { ...newUser("Mallory"), name: `=HYPERLINK("http://evil.example","x")` };
  const plain = { ...newUser("Comma"), name: 'Zoë "Zo", of Köln' };
  for (const who of [bad, plain]) await createAccount(who);
  await perform(page, bad, actions.disable, "=cmd|' /C calc'!A0");
  await findRow(page, bad);
  await page.getByRole("searchbox").fill("");

  const all = await download(page, /^people-\d{4}-\d\d-\d\d\.csv$/u);
  const of = (who: string) => all.filter((row) => row["username"] === who);
  expect(of(bad.username)).toMatchObject([
    { display_name: `'${bad.name}`, email: bad.email, disabled: "true", admin: "false" },
  ]);
  expect(of(plain.username)).toMatchObject([{ display_name: plain.name, disabled: "false" }]);
  expect(of(username)).toMatchObject([{ admin: "true" }]);

  await openTab(page, "audit");
  const log = await download(page, /^audit-\d{4}-\d\d-\d\d\.csv$/u);
  expect(log.filter((row) => row["on_name"] === bad.username)).toMatchObject([
    { action: "disable", by_name: username, reason: "'=cmd|' /C calc'!A0", outcome: "" },
  ]);
  for (const row of [...all, ...log]) for (const cell of Object.values(row)) expect(cell).not.toMatch(/^[=+@\t-]/u);
  // The log contains both downloads.
  await auditEntry(page, username, adminText.audit.actions["export_people"] ?? "");
  await auditEntry(page, username, adminText.audit.actions["export_audit"] ?? "");
});
