// Tests of the keyboard, and of the element that has the focus afterwards.
import { en, expect, test } from "./test";
import { choiceText } from "../../src/text/choices";
import { messageText } from "../../src/text/messages";
import { searchText } from "../../src/text/search";

test("Enter in the search for people opens the chat with the first person", async ({ at }) => {
  const page = await at("/people");
  const search = page.getByRole("searchbox", { name: en.people.search });
  await search.fill("Lena");
  await expect(page.getByRole("list", { name: en.people.label }).getByRole("link")).toHaveCount(1);
  await search.press("Enter");
  await expect(page).toHaveURL(/\/c\/lena$/u);
});

test("closing the details puts the focus into the field for the next message", async ({ at }) => {
  const page = await at("/c/lena");
  await page.getByRole("button", { name: en.conversation.details("Lena") }).click();
  const about = page.getByRole("complementary", { name: en.conversation.details("Lena") });
  await about.getByRole("button", { name: en.conversation.hideDetails }).click();
  await expect(page.getByRole("textbox", { name: en.conversation.writeTo("Lena") })).toBeFocused();
});

test("after signing out, the next person does not continue in the settings", async ({ at }) => {
  const page = await at("/settings");
  await page.getByRole("button", { name: en.settings.signOut, exact: true }).click();
  await expect(page).toHaveURL(/\/signin$/u);
});

test("Enter in the search waits for the results of what was typed", async ({ at }) => {
  const page = await at("/people", { latency: 400 });
  await expect(page.getByRole("list", { name: en.people.label })).toBeVisible();
  await page.getByRole("searchbox", { name: en.people.search }).fill("Lena");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/c\/lena$/u);
});

test("Ctrl+K searches, Alt and the arrows go through the chats, Escape leaves", async ({ at }) => {
  const page = await at("/");
  const list = page.getByRole("list", { name: en.chats.label });
  const box = page.getByRole("main").getByRole("textbox");
  const current = list.locator("[aria-current=page]");
  await expect(list).toBeVisible();
  await page.keyboard.press("Alt+ArrowDown");
  await expect(current).toHaveAttribute("href", "/c/mira.kern");
  await expect(box).toBeFocused();
  await page.keyboard.press("Alt+ArrowDown");
  await expect(list.locator('[aria-posinset="2"] a')).toHaveAttribute("aria-current", "page");
  await expect(box).toBeFocused();
  await page.keyboard.press("Alt+ArrowUp");
  await page.keyboard.press("Alt+ArrowUp"); // stays at the first one
  await expect(current).toHaveAttribute("href", "/c/mira.kern");
  await expect(box).toBeFocused();

  // Up from the empty field to the newest message, and back.
  const newest = page.getByRole("article").last();
  await page.keyboard.press("Shift+ArrowUp");
  await expect(newest).toBeFocused();
  await page.keyboard.press("ArrowUp");
  await expect(newest).not.toBeFocused();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await expect(box).toBeFocused();
  await page.keyboard.press("Shift+ArrowUp");
  await page.keyboard.press("r");
  await expect(page.getByRole("button", { name: en.conversation.replyCancel })).toBeVisible();
  await expect(box).toBeFocused();

  // Escape ends one thing after the other: the reply, the details, the conversation.
  await page.getByRole("button", { name: en.conversation.showDetails, exact: true }).click();
  await expect(page.getByRole("complementary", { name: en.conversation.details("Mira Kern") })).toBeVisible();
  await box.focus();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("button", { name: en.conversation.replyCancel })).toBeHidden();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("complementary", { name: en.conversation.details("Mira Kern") })).toBeHidden();
  await expect(box).toBeFocused();

  await page.keyboard.press("Control+k");
  await expect(page.getByRole("searchbox")).toBeFocused();
  await expect(page).toHaveURL(/\/c\/mira\.kern$/u); // the conversation stays beside the search
  await page.keyboard.press("Escape");
  await expect(box).toBeFocused();
  await page.getByRole("link", { name: en.nav.chats }).click();
  await box.focus();
  await page.keyboard.press("Escape");
  await expect(page).toHaveURL((url) => url.pathname === "/");
  await expect(list.locator('[aria-posinset="1"] a')).toBeFocused();
});

test("the focus follows every navigation", async ({ at }) => {
  const page = await at("/", { as: "signed-out" });
  const focused = page.locator(":focus");
  await expect(page.getByLabel(en.auth.name, { exact: true })).toBeFocused();
  await page.getByRole("link", { name: en.auth.signIn, exact: true }).click();
  await expect(page.getByLabel(en.auth.email, { exact: true })).toBeFocused();
  await page.getByLabel(en.auth.email, { exact: true }).fill("ada@example");
  await page.getByRole("link", { name: en.auth.forgot }).click();
  await expect(page).toHaveURL(/\/reset$/u);
  await expect(page.getByLabel(en.auth.email, { exact: true })).toBeFocused();
  await expect(page.getByLabel(en.auth.email, { exact: true })).toHaveValue("ada@example");
  await page.goBack();
  await page.getByLabel(en.auth.email, { exact: true }).fill("ada@example.org");
  await page.getByLabel(en.auth.password, { exact: true }).fill("right");
  await page.keyboard.press("Enter");
  await expect(focused).toHaveAttribute("role", "main");

  // Back to the row that was opened, in both lists.
  await page.goto(new URL("/people?fake=1", page.url()).href);
  await page.getByRole("searchbox").fill("lena");
  await page.getByRole("link", { name: "Lena" }).click();
  await expect(page.getByRole("textbox", { name: en.conversation.writeTo("Lena") })).toBeFocused();
  await page.goBack();
  await expect(page.getByRole("link", { name: "Lena" })).toBeFocused();
  await page.getByRole("link", { name: en.nav.yours("Ada Brandt") }).click();
  await expect(focused).toHaveAttribute("id", "main");
  await page.goBack();
  await expect(page.getByRole("link", { name: en.nav.yours("Ada Brandt") })).toBeFocused();
});

test("the focus stays in its pane when the element that has it disappears", async ({ at, page }) => {
  await at("/c/mira.kern", { offer: 1 });
  const box = page.getByRole("textbox", { name: en.conversation.writeTo("Mira Kern") });
  await expect(box).toBeFocused();
  await page.mouse.move(600, 400);
  await expect(page.getByRole("separator", { name: en.nav.resize })).toBeVisible(); // the code for the focus is loaded
  await page.getByRole("button", { name: en.conversation.remove }).first().click();
  await expect(box).toBeFocused();
  await page.getByRole("button", { name: messageText.notify.no }).click();
  await expect(page.getByRole("region", { name: messageText.notify.label })).toBeHidden();
  await expect.poll(() => page.evaluate(() => document.activeElement?.closest("#side") !== null)).toBe(true);
  // A click beside everything is meant.
  await page.getByRole("heading", { name: en.app }).evaluate(() => (document.activeElement as HTMLElement).blur());
  await page.getByRole("button", { name: en.conversation.details("Mira Kern") }).click();
  const about = page.getByRole("complementary", { name: en.conversation.details("Mira Kern") });
  await about.getByRole("button", { name: en.common.more }).click();
  await page.getByRole("menuitem", { name: choiceText.block("Mira Kern") }).click();
  await expect(about.getByRole("button", { name: en.conversation.unblock })).toBeVisible();
  await expect.poll(() => page.evaluate(() => document.activeElement?.closest("aside") !== null)).toBe(true);
});

test("a chat that appears late leaves the focus where the user has moved it meanwhile", async ({ at, page }) => {
  let show = (): void => undefined;
  const shown = new Promise<void>((resolve) => (show = resolve));
  await page.route(/\/assets\/Conversation-/u, async (route) => {
    await shown;
    await route.continue();
  });
  await at("/", { people: 20 });
  const field = page.getByRole("searchbox", { name: en.chats.search });
  const first = page.getByRole("list", { name: searchText.label }).getByRole("link").first();
  await field.fill("lena");
  await expect(first).toContainText("Lena");
  await field.press("Enter");
  await expect(page).toHaveURL(/\/c\/lena$/u);
  await field.fill("mira");
  await expect(first).toContainText("Mira");
  await field.press("ArrowDown");
  await expect(first).toBeFocused();
  show();
  const box = page.getByRole("textbox", { name: en.conversation.writeTo("Lena") });
  await expect(box).toBeVisible();
  await expect(first).toBeFocused();
  // A chat that the user opens from there takes it.
  await page.keyboard.press("Enter");
  await expect(page.getByRole("textbox", { name: en.conversation.writeTo("Mira Kern") })).toBeFocused();
});

test("a dialog that is asked for again as soon as it closes appears again", async ({ at }) => {
  const page = await at("/settings");
  const dialog = page.getByRole("dialog");
  await page.getByRole("button", { name: en.settings.elsewhere }).click();
  await expect(dialog).toBeVisible();
  // Within one task, so that the events of the browser that report the closing come later.
  await page.evaluate(async (name) => {
    const open = document.querySelector<HTMLDialogElement>("dialog[open]");
    open?.requestClose();
    await new Promise<void>((resolve) => queueMicrotask(() => queueMicrotask(resolve)));
    if (document.querySelector("dialog[open]")) throw new Error("still open");
    [...document.querySelectorAll("button")].find(({ innerText }) => innerText === name)?.click();
  }, en.settings.elsewhere);
  await expect(dialog).toBeVisible();
  await dialog.getByLabel(en.auth.password, { exact: true }).fill("right");
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
});
