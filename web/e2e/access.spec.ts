import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { chatWith, en, message, open, send } from "./support/steps";
import { engines, expect, test } from "./support/test";

const sizes = [
  { width: 360, height: 740 },
  { width: 1280, height: 800 },
];

/** No finding of axe that is serious or worse, in either theme. */
async function expectAccessible(page: Page): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    // Axe reads colours one by one: the page must have been painted in the new ones, with no transition under way.
    await page.evaluate(async () => {
      for (let frame = 0; frame < 2; frame++) await new Promise((painted) => requestAnimationFrame(painted));
      await Promise.allSettled(document.getAnimations().filter((a) => a.effect?.getComputedTiming().endTime !== Infinity).map((a) => a.finished));
    });
    const { violations } = await new AxeBuilder({ page }).analyze();
    const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    expect(serious.map(({ id, nodes }) => ({ id, where: nodes.map((node) => `${node.target.join(" ")}: ${node.failureSummary ?? ""}`) })), colorScheme).toEqual([]);
  }
}

/** Nothing sticks out sideways. */
async function expectNoSidewaysScroll(page: Page): Promise<void> {
  expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBeLessThanOrEqual(0);
}

for (const viewport of sizes) {
  test.describe(`at ${viewport.width} px`, () => {
    test("signing up and in", async ({ visitor }) => {
      const { page } = await visitor("Ann", { viewport });
      await page.goto("/signup");
      await expect(page.getByRole("button", { name: en.entry.signUp, exact: true })).toBeVisible();
      await expectAccessible(page);
      await expectNoSidewaysScroll(page);
      await page.getByRole("button", { name: en.entry.signUp, exact: true }).click();
      await expect(page.getByText(en.entry.errors.nameMissing)).toBeVisible();
      await expectAccessible(page);
      await page.goto("/signin");
      await expect(page.getByRole("button", { name: en.entry.signIn, exact: true })).toBeVisible();
      await expectAccessible(page);
      await expectNoSidewaysScroll(page);
    });

    test("lists and conversation", async ({ person }) => {
      const [ann, bob] = [await person("Ann", { viewport }), await person("Bob", { viewport })];
      const { page } = ann;
      await expectAccessible(page); // an empty list
      await open(bob.page, ann);
      await send(bob.page, ann, "Lorem ipsum dolor sit amet, consectetur adipiscing elit. ".repeat(8));
      await send(bob.page, ann, `averylongwordwithoutanyspace${"e".repeat(200)}`);
      await page.goto("/");
      await expect(chatWith(page, bob)).toBeVisible();
      await expectAccessible(page);
      await expectNoSidewaysScroll(page);
      await page.goto("/people");
      await expect(page.getByRole("link", { name: bob.name })).toBeVisible();
      await expectAccessible(page);
      await expectNoSidewaysScroll(page);
      await open(page, bob);
      await send(page, bob, "an answer");
      await expect(message(bob.page, ann, "an answer")).toBeVisible();
      await expectAccessible(page);
      await expectNoSidewaysScroll(page);
      await page.goto("/settings");
      await expect(page.getByRole("button", { name: en.settings.signOut, exact: true })).toBeVisible();
      await expectAccessible(page);
      await expectNoSidewaysScroll(page);
    });
  });
}

test("a conversation by keyboard alone", { tag: engines }, async ({ person }) => {
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
