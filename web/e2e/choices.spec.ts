import type { Page } from "@playwright/test";
import { choiceText } from "../src/text/choices";
import { chatWith, conversation, en, expectState, message, open, send, state } from "./support/steps";
import { engines, expect, test, type Visitor } from "./support/test";

/** Chooses an action in the menu of a chat. */
async function choose(page: Page, who: Visitor, action: string): Promise<void> {
  await chatWith(page, who).click({ button: "right" });
  await page.getByRole("menuitem", { name: action, exact: true }).click();
}

const filter = (page: Page, name: string) =>
  page.getByRole("group", { name: en.chats.filter }).getByRole("button", { name, exact: true });

test(
  "pins, mutes, archives and stars of one device are on another one, also after both were offline",
  { tag: engines },
  async ({ user, signedIn }) => {
    const [ann, bob, eve] = [await user("Ann"), await user("Bob"), await user("Eve")];
    for (const other of [bob, eve]) {
      await open(other.page, ann);
      await send(other.page, ann, `Hello from ${other.name}`);
      await expectState(other.page, ann, `Hello from ${other.name}`, state.arrived);
    }
    const second = await signedIn(ann);
    await expect(chatWith(second.page, bob)).toBeVisible();

    await chatWith(second.page, eve).click({ button: "right" }); // which loads the code of the menu
    await second.page.keyboard.press("Escape");
    await second.sockets.offline(second.context);
    await choose(second.page, eve, choiceText.archive);
    await expect(chatWith(second.page, eve)).toHaveCount(0);
    await choose(ann.page, bob, choiceText.pin);
    await choose(ann.page, bob, choiceText.muteAlways);
    await expect(chatWith(ann.page, bob)).toContainText(en.chats.pinned);
    await open(ann.page, bob);
    await message(ann.page, bob, "Hello from").locator(".bubble").click({ button: "right" });
    await ann.page.getByRole("menuitem", { name: choiceText.star, exact: true }).click();

    await second.sockets.online(second.context);
    await expect(chatWith(second.page, bob)).toContainText(en.chats.pinned);
    await expect(chatWith(second.page, bob)).toContainText(en.chats.muted);
    await expect(chatWith(ann.page, eve)).toHaveCount(0);
    await filter(second.page, en.chats.filters.starred).click();
    const starred = second.page.getByRole("list", { name: choiceText.starred });
    await starred.getByRole("link").click();
    await expect(conversation(second.page, bob)).toContainText(`Hello from ${bob.name}`);

    // A new message brings the chat back on both devices.
    await send(eve.page, ann, "Are you there?");
    for (const { page } of [ann, second]) {
      await filter(page, en.chats.filters.all).click();
      await expect(chatWith(page, eve)).toBeVisible();
    }
  },
);
