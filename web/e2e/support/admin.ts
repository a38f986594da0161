/** Steps of an operator at the admin panel, and publishing without the realtime service. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Locator, Page } from "@playwright/test";
import { adminText } from "../../src/text/admin";
import { createAccount } from "./accounts";
import { makeAdmin, type System, system } from "./system";
import { expect, type Visitor, type Where } from "./test";
import { type AuthenticatorApp, enroll } from "./totp";
import { newUser, type User } from "./user";

export { adminText, createAccount };

/** Opens the panel, at the list of people, for a new admin, who has the second factor that the panel needs. */
export async function operator(
  signedIn: (user: User, where?: Where) => Promise<Visitor>,
  of: System = system(),
): Promise<Visitor & { readonly app: AuthenticatorApp }> {
  const user = newUser("Olga");
  await createAccount(user, of);
  const { app, as } = await enroll(user, of);
  await makeAdmin(user.email, of);
  const at = await signedIn(user, { of, place: "/admin", as });
  await expect(people(at.page)).toBeVisible();
  return { ...at, app };
}

export function people(page: Page): Locator {
  return page.getByRole("table", { name: adminText.people.label });
}

/** Opens a page of the panel by its tab. */
export async function openTab(page: Page, name: keyof typeof adminText.tabs): Promise<void> {
  const link = page.getByRole("navigation", { name: adminText.nav }).getByRole("link", { name: adminText.tabs[name] });
  await link.click();
  await expect(link).toHaveAttribute("aria-current", "page");
}

/** Searches for a user, and returns their row of the list. */
export async function findRow(page: Page, who: User): Promise<Locator> {
  await page.getByRole("searchbox", { name: adminText.people.search }).fill(who.username);
  const row = people(page).getByRole("row", { name: new RegExp(`@${who.username}\\b`) });
  // Waits until the other rows are gone: otherwise they would move this one from under the pointer.
  await expect(people(page).getByRole("rowheader")).toHaveCount(1);
  await expect(row).toBeVisible();
  return row;
}

/** Chooses an action from the menu of a row, and returns the dialog that opens. */
export async function chooseAction(page: Page, row: Locator, item: string): Promise<Locator> {
  await row.getByRole("button").click();
  await page.getByRole("menuitem", { name: new RegExp(`^${item}`) }).click();
  return page.getByRole("dialog");
}

/** Searches for a user, chooses an action, gives the reason and confirms. */
export async function perform(page: Page, who: User, item: string, reason: string): Promise<void> {
  const dialog = await chooseAction(page, await findRow(page, who), item);
  if (item === adminText.actions.remove)
    await dialog.getByLabel(adminText.actions.removeConfirm(who.username)).fill(who.username);
  // A reason is required for what cannot be undone, and optional otherwise.
  await dialog.getByLabel(new RegExp(`^${adminText.reason}`)).fill(reason);
  await dialog.getByRole("button", { name: item, exact: true }).click();
  await expect(dialog).toBeHidden();
}

/** Returns the entries of the audit log that contain all of `texts`. */
export async function auditEntry(page: Page, ...texts: string[]): Promise<Locator> {
  await openTab(page, "audit");
  let entry = page.getByRole("table", { name: adminText.audit.label }).getByRole("row");
  for (const hasText of texts) entry = entry.filter({ hasText });
  await expect(entry.first()).toBeVisible();
  return entry;
}

/** Publishes data to persist, as settling does, through the control address of the launcher. */
export async function publish(data: string, of: System = system()): Promise<void> {
  const control = JSON.parse(await readFile(join(of.data, "control.json"), "utf8")) as { url: string; secret: string };
  const answer = await fetch(`${control.url}/publish`, {
    method: "POST",
    headers: { authorization: `Bearer ${control.secret}` },
    body: JSON.stringify({ data: Buffer.from(data).toString("base64") }),
  });
  if (!answer.ok) throw new Error(`Publishing: ${answer.status} ${await answer.text()}`);
}

/** Refreshes the list until `count` dead letters in it contain `text`, and returns them. */
export async function deadLetters(page: Page, text: string, count: number): Promise<Locator> {
  const found = page.getByRole("listitem").filter({ hasText: text });
  await expect(async () => {
    await page.getByRole("button", { name: adminText.refresh }).click();
    await expect(page.getByRole("status").filter({ hasText: "Loading" })).toBeHidden();
    await expect(found).toHaveCount(count, { timeout: 1_000 });
  }).toPass({ timeout: 15_000 });
  return found;
}

/** Runs `step`, expects that the panel's next change is rejected with the problem `code`, and returns its sentence. */
export async function rejected(
  page: Page,
  code: keyof typeof adminText.problems,
  step: () => Promise<void>,
): Promise<string> {
  const [answer] = await Promise.all([
    page.waitForResponse((r) => r.url().includes("/api/admin/") && r.request().method() !== "GET"),
    step(),
  ]);
  expect((await answer.json()) as { code: string }).toMatchObject({ code });
  return adminText.problems[code];
}
