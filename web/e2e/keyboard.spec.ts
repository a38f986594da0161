import { chatWith, en, message, open, send } from "./support/steps";
import { engines, expect, test } from "./support/test";

test("a conversation can be opened and answered with the keyboard alone", { tag: engines }, async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(bob.page, ann);
  await send(bob.page, ann, "can you hear me?");
  const { page } = ann;
  await page.bringToFront(); // keys go to the window in front; Firefox has one window for all contexts
  await page.goto("/");
  await expect(chatWith(page, bob)).toBeVisible();
  await chatWith(page, bob).focus();
  await page.keyboard.press("Enter");
  const box = page.getByRole("textbox", { name: en.conversation.writeTo(bob.name) });
  await expect(box).toBeFocused();
  await page.keyboard.type("yes");
  await page.keyboard.press("Enter");
  await expect(message(bob.page, ann, "yes")).toBeVisible();
  await expect(box).toBeFocused();
});
