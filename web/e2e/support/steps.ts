/** What people do and see, by the words of the client and the roles that assistive technology reads. */
import { expect, type Locator, type Page } from "@playwright/test";
import { en } from "../../src/text/en";
import type { Account } from "./account";

export { en };

export async function fillSignUp(page: Page, who: Account): Promise<void> {
  await page.goto("/signup");
  await page.getByLabel(en.entry.name, { exact: true }).fill(who.name);
  await page.getByLabel(en.entry.username, { exact: true }).fill(who.username);
  await page.getByLabel(en.entry.email, { exact: true }).fill(who.email);
  await page.getByLabel(en.entry.password, { exact: true }).fill(who.password);
}

/** Signs up through the form; afterwards the person is in. */
export async function signUp(page: Page, who: Account): Promise<void> {
  await fillSignUp(page, who);
  await page.getByRole("button", { name: en.entry.signUp, exact: true }).click();
  await expectIn(page);
}

export async function fillSignIn(page: Page, who: Account): Promise<void> {
  await page.goto("/signin");
  await page.getByLabel(en.entry.email, { exact: true }).fill(who.email);
  await page.getByLabel(en.entry.password, { exact: true }).fill(who.password);
  await page.getByRole("button", { name: en.entry.signIn, exact: true }).click();
}

/** The person is signed in and sees the chat. */
export async function expectIn(page: Page): Promise<void> {
  await expect(page.getByRole("navigation", { name: en.nav.label })).toBeVisible();
}

/** The list of chats. */
export function chats(page: Page): Locator {
  return page.getByRole("list", { name: en.chats.label });
}

/** The line of the list that leads to the chat with somebody. */
export function chatWith(page: Page, who: Account): Locator {
  return chats(page).getByRole("link", { name: who.name });
}

/** Finds somebody among the people and opens the conversation. */
export async function find(page: Page, who: Account): Promise<void> {
  await page.goto("/people");
  await page.getByRole("searchbox", { name: en.people.search }).fill(who.username);
  await page.getByRole("link", { name: who.name }).click();
  await expect(talk(page, who)).toBeVisible();
}

/** Goes straight to the conversation with somebody: in a new tab by its address, else by a link on the page that is there. */
export async function open(page: Page, who: Account): Promise<void> {
  const address = `/c/${who.username}`;
  if (page.url() === "about:blank") await page.goto(address);
  else
    await page.evaluate((to) => {
      const link = document.createElement("a");
      link.href = to;
      document.body.append(link);
      link.click();
      link.remove();
    }, address);
  await expect(composer(page, who)).toBeVisible();
}

/** The open conversation with somebody. */
export function talk(page: Page, who: Account): Locator {
  return page.getByRole("region", { name: en.talk.label(who.name) });
}

export function composer(page: Page, who: Account): Locator {
  return talk(page, who).getByRole("textbox", { name: en.talk.writeTo(who.name) });
}

/** Writes and sends; the lines of the body are typed with Shift and Enter. */
export async function send(page: Page, to: Account, body: string): Promise<void> {
  const box = composer(page, to);
  await box.fill(body);
  await box.press("Enter");
  await expect(box).toHaveValue("");
  // It stands in the conversation once this device has stored it.
  await expect(message(page, to, body).last()).toBeVisible();
}

/** The messages of the open conversation, oldest first. */
export function messages(page: Page, who: Account): Locator {
  return talk(page, who).getByRole("article");
}

/** The one message with this text. */
export function message(page: Page, who: Account, body: string): Locator {
  return messages(page, who).filter({ hasText: body });
}

/** What the ticks of an own message say. */
export async function expectState(page: Page, who: Account, body: string, state: RegExp): Promise<void> {
  await expect(message(page, who, body).getByRole("img", { name: state })).toBeVisible();
}

export const state = {
  waiting: new RegExp(`^${en.talk.waiting}`),
  sent: /^Sent\b/,
  /** At least sent: the other may be there to take it at once. */
  gone: /^(Sent|Delivered|Read)\b/,
  delivered: /^Delivered\b/,
  read: /^Read\b/,
  /** At least delivered. */
  arrived: /^(Delivered|Read)\b/,
};
