import { readFile } from "node:fs/promises";
import type { Page } from "@playwright/test";
import { act, adminText, enrol, find, logged, operator, people, tab } from "./support/admin";
import { account, expect, test } from "./support/test";

const { acts } = adminText;

/** Presses the button and reads the file as a spreadsheet would (RFC 4180). */
async function download(page: Page, name: RegExp): Promise<readonly Readonly<Record<string, string>>[]> {
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: adminText.export }).click(),
  ]);
  expect(file.suggestedFilename()).toMatch(name);
  const text = await readFile(await file.path(), "utf8");
  expect(text.startsWith("\ufeff")).toBe(true); // else spreadsheets take it for an old encoding
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

test("people and the audit log are downloaded, and no cell of theirs is a formula", async ({ visitor }) => {
  const { page, username } = await operator(visitor);
  const bad = { ...account("Mallory"), name: `=HYPERLINK("http://evil.example","x")` };
  const plain = { ...account("Comma"), name: 'Zoë "Zo", of Köln' };
  for (const who of [bad, plain]) await enrol(who);
  await act(page, bad, acts.disable, "=cmd|' /C calc'!A0");
  await find(page, bad);
  await page.getByRole("searchbox").fill("");

  const all = await download(page, /^people-\d{4}-\d\d-\d\d\.csv$/u);
  const of = (who: string) => all.filter((row) => row["username"] === who);
  expect(of(bad.username)).toMatchObject([
    { display_name: `'${bad.name}`, email: bad.email, disabled: "true", admin: "false" },
  ]);
  expect(of(plain.username)).toMatchObject([{ display_name: plain.name, disabled: "false" }]);
  expect(of(username)).toMatchObject([{ admin: "true" }]);

  await tab(page, "audit");
  const log = await download(page, /^audit-\d{4}-\d\d-\d\d\.csv$/u);
  expect(log.filter((row) => row["on_name"] === bad.username)).toMatchObject([
    { action: "disable", by_name: username, reason: "'=cmd|' /C calc'!A0", outcome: "" },
  ]);
  for (const row of [...all, ...log]) for (const cell of Object.values(row)) expect(cell).not.toMatch(/^[=+@\t-]/u);
  // Both downloads are in the log themselves.
  await logged(page, username, adminText.audit.actions["export_people"] ?? "");
  await logged(page, username, adminText.audit.actions["export_audit"] ?? "");
});

test("a name with markup is a name, in every place", async ({ visitor }) => {
  const { page } = await operator(visitor);
  const bold = { ...account("Bold"), name: `<b onclick=x>bold</b> & <script>1` };
  await enrol(bold);
  const row = await find(page, bold);
  await expect(row).toContainText(bold.name);
  await expect(people(page).locator("b")).toHaveCount(0);
  await act(page, bold, acts.disable, "<i>why</i>");
  const entry = await logged(page, bold.username);
  await expect(entry).toContainText("<i>why</i>");
  await expect(entry.locator("i")).toHaveCount(0);
});
