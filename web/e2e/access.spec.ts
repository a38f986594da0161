import { expectNoFindings, expectNoSidewaysScroll } from "./support/accessible";
import { chatWith, en, message, open, send } from "./support/steps";
import { everywhere, expect, test } from "./support/test";

const sizes = [
  { width: 360, height: 740 },
  { width: 1280, height: 800 },
];

for (const viewport of sizes) {
  test.describe(`at ${viewport.width} px`, () => {
    test("signing up and in", async ({ visitor }) => {
      const { page } = await visitor("Ann", { viewport });
      await page.goto("/signup");
      await expect(page.getByRole("button", { name: en.entry.signUp, exact: true })).toBeVisible();
      await expectNoFindings(page);
      await expectNoSidewaysScroll(page);
      await page.getByRole("button", { name: en.entry.signUp, exact: true }).click();
      await expect(page.getByText(en.entry.errors.nameMissing)).toBeVisible();
      await expectNoFindings(page);
      await page.goto("/signin");
      await expect(page.getByRole("button", { name: en.entry.signIn, exact: true })).toBeVisible();
      await expectNoFindings(page);
      await expectNoSidewaysScroll(page);
    });

    test("lists and conversation", async ({ person }) => {
      const [ann, bob] = [await person("Ann", { viewport }), await person("Bob", { viewport })];
      const { page } = ann;
      await expectNoFindings(page); // an empty list
      await open(bob.page, ann);
      await send(bob.page, ann, "Lorem ipsum dolor sit amet, consectetur adipiscing elit. ".repeat(8));
      await send(bob.page, ann, `averylongwordwithoutanyspace${"e".repeat(200)}`);
      await page.goto("/");
      await expect(chatWith(page, bob)).toBeVisible();
      await expectNoFindings(page);
      await expectNoSidewaysScroll(page);
      await page.goto("/people");
      await expect(page.getByRole("link", { name: bob.name })).toBeVisible();
      await expectNoFindings(page);
      await expectNoSidewaysScroll(page);
      await open(page, bob);
      await send(page, bob, "an answer");
      await expect(message(bob.page, ann, "an answer")).toBeVisible();
      await expectNoFindings(page);
      await expectNoSidewaysScroll(page);
      await page.goto("/settings");
      await expect(page.getByRole("button", { name: en.settings.signOut, exact: true })).toBeVisible();
      await expectNoFindings(page);
      await expectNoSidewaysScroll(page);
    });
  });
}

test("a conversation by keyboard alone", { tag: everywhere }, async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  await open(bob.page, ann);
  await send(bob.page, ann, "can you hear me?");
  const { page } = ann;
  await page.bringToFront(); // keys go to the window in front; Firefox has one for all contexts
  await page.goto("/");
  await expect(chatWith(page, bob)).toBeVisible();
  await chatWith(page, bob).focus();
  await page.keyboard.press("Enter");
  const box = page.getByRole("textbox", { name: en.talk.writeTo(bob.name) });
  await expect(box).toBeFocused();
  await page.keyboard.type("yes");
  await page.keyboard.press("Enter");
  await expect(message(bob.page, ann, "yes")).toBeVisible();
  await expect(box).toBeFocused();
});
