// Takes the pictures of the manifest (public/install), on the fake model of the view:
//   npx playwright test -c screenshots install.ts
import type { Page } from "@playwright/test";
import { expect, painted, test } from "../e2e/view/test";

const folder = new URL("../public/install/", import.meta.url).pathname;

const lines = [
  ["Are you on the train?", false],
  ["In the tunnel. No signal, but I can write anyway.", true],
  ["Then I will see it when you come out.", false],
  ["It just came through. Shall I bring the bread?", true],
  ["Yes, and the olives. We eat at the long table at eight, Jonas brings the lamps.", false],
  ["Two more stops.", true],
] as const;

async function talk(page: Page): Promise<void> {
  const field = page.getByRole("textbox");
  await expect(field).toBeVisible();
  for (const [body, mine] of lines) {
    if (mine) {
      await field.fill(body);
      await page.getByRole("button", { name: "Send", exact: true }).click();
    } else
      await page.evaluate((said) => {
        const { fake } = globalThis as unknown as {
          fake: { say(uid: string, body: string): void; people: { uid: string }[] };
        };
        fake.say(fake.people[6]?.uid ?? "", said);
      }, body);
    await expect(page.getByRole("article").last()).toContainText(body);
  }
  await expect(
    page
      .getByRole("article")
      .last()
      .getByRole("img", { name: /^Delivered/ }),
  ).toBeVisible();
  await page.evaluate(() => (document.activeElement as HTMLElement).blur());
  await painted(page);
}

test.describe("narrow", () => {
  test.use({ viewport: { width: 360, height: 760 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true });
  test("the pictures of a phone", async ({ at }) => {
    const page = await at("/c/lena", { chats: 4, quiet: 1 });
    await talk(page);
    await page.screenshot({ path: `${folder}chat-narrow.png`, animations: "disabled" });
    await at("/", { chats: 4 });
    await expect(page.getByRole("listitem").nth(3)).toBeVisible();
    await painted(page);
    await page.screenshot({ path: `${folder}chats-narrow.png`, animations: "disabled" });
  });
});

test.describe("wide", () => {
  test.use({ viewport: { width: 1280, height: 800 } });
  test("the picture of a desktop", async ({ at }) => {
    const page = await at("/c/lena", { chats: 4, quiet: 1 });
    await talk(page);
    await page.mouse.move(0, 0);
    await page.screenshot({ path: `${folder}chat-wide.png`, animations: "disabled" });
  });
});

/** The drawings of the icons of shortcuts, on the grid of Icon.svelte. */
const icons = {
  chats:
    "M4.4 4.2h11.2a1.6 1.6 0 0 1 1.6 1.6v6.4a1.6 1.6 0 0 1-1.6 1.6H9L5.6 16.6v-2.8H4.4a1.6 1.6 0 0 1-1.6-1.6V5.8a1.6 1.6 0 0 1 1.6-1.6Z",
  people:
    "M7.6 9.8a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM2.4 16c.4-2.5 2.5-3.8 5.2-3.8s4.8 1.3 5.2 3.8M13 4a3 3 0 0 1 0 5.6M15 12.6c1.4.6 2.3 1.8 2.6 3.4",
  settings: "M3 6h8M15 6h2M13 8a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM3 14h2M9 14h8M7 16a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z",
} as const;

test("the icons of the shortcuts", async ({ page }) => {
  await page.setViewportSize({ width: 96, height: 96 });
  for (const [name, path] of Object.entries(icons)) {
    await page.setContent(
      `<body style="margin:0"><svg width="96" height="96" viewBox="-4 -4 28 28" fill="none" stroke="#fff" stroke-width="1.6" ` +
        `stroke-linecap="round" stroke-linejoin="round"><circle cx="10" cy="10" r="14" fill="#c43e15" stroke="none"/>` +
        `<path d="${path}"/></svg>`,
    );
    await page.screenshot({ path: `${folder}${name}-96.png`, omitBackground: true });
  }
});
