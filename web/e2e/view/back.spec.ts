// Tests of "Back", which closes what lies over the page before it leaves the page.
import { choiceText } from "../../src/text/choices";
import type { Page } from "@playwright/test";
import { en, expect, test } from "./test";

const about = (page: Page) => page.getByRole("dialog", { name: en.conversation.details("Lena") });

test.describe("on a phone", () => {
  test.use({ viewport: { width: 360, height: 740 }, hasTouch: true });

  test("Back closes details, menus and dialogs, the one on top first, and then leaves the page", async ({ at }) => {
    const page = await at("/");
    await page.getByRole("list", { name: en.chats.label }).getByRole("link", { name: /Lena/ }).click();
    await page.getByRole("button", { name: en.conversation.details("Lena") }).click();
    await about(page).getByRole("button", { name: en.common.more }).click();
    await expect(page.getByRole("menu")).toBeVisible();
    await page.goBack();
    await expect(page.getByRole("menu")).toBeHidden();
    await expect(about(page)).toBeVisible();
    await page.goBack();
    await expect(about(page)).toBeHidden();
    await expect(page).toHaveURL(/\/c\/lena$/u);

    // A layer that was closed by other means leaves nothing to go back to.
    await page.getByRole("button", { name: en.conversation.details("Lena") }).click();
    await about(page).getByRole("button", { name: en.common.more }).click();
    await page.getByRole("menuitem", { name: choiceText.block("Lena") }).click();
    await expect(page.getByRole("menu")).toBeHidden();
    await about(page).getByRole("button", { name: en.conversation.hideDetails }).click();
    await expect(about(page)).toBeHidden();
    await page.getByRole("button", { name: en.nav.back }).click();
    await expect(page).toHaveURL((url) => url.pathname === "/");

    await page.getByRole("link", { name: en.nav.people, exact: true }).click();
    await page.getByRole("button", { name: en.people.invite }).first().click();
    await expect(page.getByRole("dialog", { name: en.people.invite })).toBeVisible();
    await page.goBack();
    await expect(page.getByRole("dialog")).toBeHidden();
    await expect(page).toHaveURL(/\/people$/u);
    await page.goBack();
    await expect(page).toHaveURL((url) => url.pathname === "/");
    await expect(page.getByRole("list", { name: en.chats.label })).toBeVisible();
  });

  test("a dialog that opens while the entry of another one is removed stays open, and has an entry", async ({ at }) => {
    const page = await at("/people");
    await page.evaluate(() => {
      const go = history.go.bind(history);
      history.go = (delta) => void setTimeout(() => go(delta), 500);
      addEventListener("popstate", () => (document.documentElement.dataset["back"] = "done"), { once: true });
    });
    const invite = page.getByRole("button", { name: en.people.invite }).first();
    const dialog = page.getByRole("dialog", { name: en.people.invite });
    await invite.click();
    await expect(dialog).toBeVisible();
    await page.keyboard.press("Escape");
    await expect(dialog).toBeHidden();
    await invite.click();
    await expect(page.locator("html")).toHaveAttribute("data-back", "done");
    await expect(dialog).toBeVisible();
    await page.goBack();
    await expect(dialog).toBeHidden();
    await expect(page).toHaveURL((url) => url.pathname === "/people");
  });

  test("a closed layer is not opened by Forward, and a reload leaves none behind", async ({ at }) => {
    const page = await at("/");
    await page.getByRole("list", { name: en.chats.label }).getByRole("link", { name: /Lena/ }).click();
    await page.getByRole("button", { name: en.conversation.details("Lena") }).click();
    await expect(about(page)).toBeVisible();
    await page.goBack();
    await page.goForward();
    await expect.poll(() => page.evaluate(() => (history.state as { layers?: number }).layers ?? 0)).toBe(0);
    await expect(about(page)).toBeHidden();

    await page.getByRole("button", { name: en.conversation.details("Lena") }).click();
    await expect(about(page)).toBeVisible();
    await page.reload();
    await expect.poll(() => page.evaluate(() => (history.state as { layers?: number }).layers ?? 0)).toBe(0);
    await page.getByRole("button", { name: en.nav.back }).click();
    await expect(page).toHaveURL((url) => url.pathname === "/");
  });
});
