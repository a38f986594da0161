/** What an operator does, and what it needs: people without a browser, a panel, dead letters. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Locator, Page } from "@playwright/test";
import { adminText } from "../../src/text/admin";
import { expectIn, fillSignIn } from "./steps";
import { makeAdmin, type System, system } from "./system";
import { type Account, account } from "./account";
import { expect, type Person } from "./test";

export { adminText };

/** Makes an account as the form does, without a browser. */
export async function enrol(who: Account, of: System = system()): Promise<string> {
  const answer = await fetch(`${of.url}/api/signup`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email: who.email, password: who.password, username: who.username, display_name: who.name }),
  });
  if (!answer.ok) throw new Error(`Signing up ${who.username}: ${answer.status} ${await answer.text()}`);
  return ((await answer.json()) as { uid: string }).uid;
}

/** Signs in at a browser of their own. */
export async function enter(
  visitor: (name: string, options?: object) => Promise<Person>,
  who: Account,
  of: System = system(),
  options: object = {},
): Promise<Person> {
  const at = await visitor(who.name, { baseURL: of.url, ...options });
  await fillSignIn(at.page, who);
  await expectIn(at.page);
  return { ...at, name: who.name, username: who.username, email: who.email, password: who.password };
}

/** An admin with the panel open, at the list of people. */
export async function operator(
  visitor: (name: string, options?: object) => Promise<Person>,
  of: System = system(),
  options: object = {},
): Promise<Person> {
  const who = account("Operator");
  await enrol(who, of);
  await makeAdmin(who.email, of);
  const at = await enter(visitor, who, of, options);
  await at.page.goto("/admin");
  await expect(people(at.page)).toBeVisible();
  return at;
}

export function people(page: Page): Locator {
  return page.getByRole("table", { name: adminText.people.label });
}

/** Goes to a page of the panel by its tab. */
export async function tab(page: Page, name: keyof typeof adminText.tabs): Promise<void> {
  const link = page.getByRole("navigation", { name: adminText.nav }).getByRole("link", { name: adminText.tabs[name] });
  await link.click();
  await expect(link).toHaveAttribute("aria-current", "page");
}

/** Finds somebody in the list; the row that is theirs. */
export async function find(page: Page, who: Account): Promise<Locator> {
  await page.getByRole("searchbox", { name: adminText.people.search }).fill(who.username);
  const row = people(page).getByRole("row", { name: new RegExp(`@${who.username}\\b`) });
  // What was asked for is there, and nothing else: rows that leave would move it from under the pointer.
  await expect(people(page).getByRole("rowheader")).toHaveCount(1);
  await expect(row).toBeVisible();
  return row;
}

/** Chooses from somebody's menu; the dialog that follows. */
export async function choose(page: Page, row: Locator, item: string): Promise<Locator> {
  await row.getByRole("button").click();
  await page.getByRole("menuitem", { name: new RegExp(`^${item}`) }).click();
  return page.getByRole("dialog");
}

/** Finds somebody, chooses, gives the reason and says yes. */
export async function act(page: Page, who: Account, item: string, reason: string): Promise<void> {
  const dialog = await choose(page, await find(page, who), item);
  if (item === adminText.acts.remove)
    await dialog.getByLabel(adminText.acts.removeConfirm(who.username)).fill(who.username);
  await dialog.getByLabel(adminText.reasonOptional).fill(reason);
  await dialog.getByRole("button", { name: item, exact: true }).click();
  await expect(dialog).toBeHidden();
}

/** The entry of the audit log that holds all of these words. */
export async function logged(page: Page, ...has: string[]): Promise<Locator> {
  await tab(page, "audit");
  let entry = page.getByRole("table", { name: adminText.audit.label }).getByRole("row");
  for (const hasText of has) entry = entry.filter({ hasText });
  await expect(entry.first()).toBeVisible();
  return entry;
}

/** Publishes data as an instance does that settles acknowledgements, through the launcher's control address. */
export async function publish(data: string, of: System = system()): Promise<void> {
  const control = JSON.parse(await readFile(join(of.data, "control.json"), "utf8")) as { url: string; secret: string };
  const answer = await fetch(`${control.url}/publish`, {
    method: "POST",
    headers: { authorization: `Bearer ${control.secret}` },
    body: JSON.stringify({ data: Buffer.from(data).toString("base64") }),
  });
  if (!answer.ok) throw new Error(`Publishing: ${answer.status} ${await answer.text()}`);
}

/** The letters on the page that hold this text; the list is asked for again until there are as many as expected. */
export async function letters(page: Page, text: string, count: number): Promise<Locator> {
  const found = page.getByRole("listitem").filter({ hasText: text });
  await expect(async () => {
    await page.getByRole("button", { name: adminText.refresh }).click();
    await expect(page.getByRole("status").filter({ hasText: "Loading" })).toBeHidden();
    await expect(found).toHaveCount(count, { timeout: 1_000 });
  }).toPass({ timeout: 15_000 });
  return found;
}
