/**
 * Steps of users, and what they see. Elements are found by their text and by the roles that assistive technology
 * reads.
 */
import { expect, type Locator, type Page } from "@playwright/test";
import { en } from "./texts";
import type { User } from "./user";

export { en };

export async function fillSignUp(page: Page, who: User): Promise<void> {
  await page.goto("/signup");
  await page.getByLabel(en.auth.name, { exact: true }).fill(who.name);
  await page.getByLabel(en.auth.username, { exact: true }).fill(who.username);
  await page.getByLabel(en.auth.email, { exact: true }).fill(who.email);
  await page.getByLabel(en.auth.password, { exact: true }).fill(who.password);
}

/** Signs up through the form, and waits until the user is signed in. */
export async function signUp(page: Page, who: User): Promise<void> {
  await fillSignUp(page, who);
  await page.getByRole("button", { name: en.auth.signUp, exact: true }).click();
  await expectSignedIn(page);
}

/** Signs in through the form, without waiting. `here`: the form is open. */
export async function fillSignIn(page: Page, who: User, { here = false } = {}): Promise<void> {
  if (!here) await page.goto("/signin");
  await page.getByLabel(en.auth.email, { exact: true }).fill(who.email);
  await page.getByLabel(en.auth.password, { exact: true }).fill(who.password);
  await page.getByRole("button", { name: en.auth.signIn, exact: true }).click();
}

/** Expects that the user is signed in and sees the chat. */
export async function expectSignedIn(page: Page): Promise<void> {
  await expect(page.getByRole("navigation", { name: en.nav.label })).toBeVisible();
}

/** Returns the list of chats. */
export function chats(page: Page): Locator {
  return page.getByRole("list", { name: en.chats.label });
}

/** Returns the link in the list of chats to the chat with `who`. */
export function chatWith(page: Page, who: User): Locator {
  return chats(page).getByRole("link", { name: who.name });
}

/** Searches the directory for `who`, and opens the conversation. */
export async function findAndOpen(page: Page, who: User): Promise<void> {
  await page.goto("/people");
  await page.getByRole("searchbox", { name: en.people.search }).fill(who.username);
  await page.getByRole("link", { name: who.name }).click();
  await expect(conversation(page, who)).toBeVisible();
}

/** Opens the conversation with `who`: by its address in a new tab, otherwise by a link, which keeps the page. */
export async function open(page: Page, who: User): Promise<void> {
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

/** Returns the open conversation with `who`. */
export function conversation(page: Page, who: User): Locator {
  return page.getByRole("region", { name: en.conversation.label(who.name) });
}

export function composer(page: Page, who: User): Locator {
  return conversation(page, who).getByRole("textbox", { name: en.conversation.writeTo(who.name) });
}

/** Writes a message and sends it. */
export async function send(page: Page, to: User, body: string): Promise<void> {
  const box = composer(page, to);
  await box.fill(body);
  await box.press("Enter");
  await expect(box).toHaveValue("");
  // The conversation shows the message once this device has stored it.
  await expect(message(page, to, body).last()).toBeVisible();
}

/** Returns the messages of the open conversation, oldest first. */
export function messages(page: Page, who: User): Locator {
  return conversation(page, who).getByRole("article");
}

/** Returns the messages that contain `body`. */
export function message(page: Page, who: User, body: string): Locator {
  return messages(page, who).filter({ hasText: body });
}

/** Expects that the ticks of an own message show `state`. */
export async function expectState(page: Page, who: User, body: string, state: RegExp): Promise<void> {
  await expect(message(page, who, body).getByRole("img", { name: state })).toBeVisible();
}

export const state = {
  waiting: new RegExp(`^${en.conversation.waiting}`),
  sent: /^Sent\b/,
  /** At least sent: the recipient may be online and receive the message at once. */
  accepted: /^(Sent|Delivered|Read)\b/,
  delivered: /^Delivered\b/,
  read: /^Read\b/,
  /** At least delivered. */
  arrived: /^(Delivered|Read)\b/,
};

/** Makes the page believe that it is hidden, or visible again. The browser counts every page of a test as visible. */
export async function setHidden(page: Page, hidden: boolean): Promise<void> {
  await page.evaluate((value) => {
    Object.defineProperty(document, "visibilityState", {
      configurable: true,
      get: () => (value ? "hidden" : "visible"),
    });
    Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
}
