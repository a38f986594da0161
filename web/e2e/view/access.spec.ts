import type { Locator, Page } from "@playwright/test";
import { adminText } from "../../src/text/admin";
import { expectNoSidewaysScroll, findings } from "../support/accessible";
import { en, expect, test } from "./test";

type Screen = readonly [place: string, how: Readonly<Record<string, string | number>>, there: (page: Page) => Locator];

const button = (name: string) => (page: Page) => page.getByRole("button", { name, exact: true });
const words = (said: string) => (page: Page) => page.getByText(said);
const firstRow = (page: Page) => page.getByRole("row").nth(1);
const newest = (page: Page) => page.getByRole("article").last();

/** Every screen, as it is with something in it, and what is seen once all of it is there. */
const screens: readonly Screen[] = [
  ["/signin", { as: "signed-out" }, button(en.entry.signIn)],
  ["/signin", { as: "signed-out", reason: "disabled" }, button(en.entry.signIn)],
  ["/signup", { as: "signed-out" }, button(en.entry.signUp)],
  ["/reset", { as: "signed-out" }, button(en.entry.resetSend)],
  ["/reset?oobCode=x", { as: "signed-out" }, button(en.entry.resetSave)],
  ["/", { as: "failed" }, button(en.common.retry)],
  ["/", { offline: 1, offer: 1 }, (page) => page.getByRole("list", { name: en.chats.label }).getByRole("link").first()],
  ["/", { empty: 1 }, words(en.chats.empty)],
  ["/people", {}, (page) => page.getByRole("link", { name: /Amina/ })],
  ["/c/mira.kern", {}, newest],
  ["/c/jonas", {}, newest],
  ["/c/lena", {}, words(en.talk.beginMore)],
  ["/c/nobody", {}, words(en.talk.unknownPerson("nobody"))],
  ["/settings", {}, button(en.settings.signOut)],
  ["/no/where", {}, words(en.common.missing)],
  ["/admin", {}, words(adminText.only)],
  ["/admin", { admin: 1 }, firstRow],
  ["/admin/messages", { admin: 1 }, (page) => page.getByRole("searchbox")],
  ["/admin/figures", { admin: 1 }, (page) => page.getByRole("definition").first()],
  ["/admin/dead-letters", { admin: 1 }, button(adminText.letters.replayAll)],
  ["/admin/audit", { admin: 1 }, firstRow],
];

// Both themes and both ends of the layout; colours do not depend on the width.
for (const [colorScheme, width] of [
  ["light", 360],
  ["dark", 1280],
] as const) {
  test.describe(`${colorScheme}, ${width} px`, () => {
    test.use({
      colorScheme,
      viewport: { width, height: 800 },
      bypassCSP: true,
      serviceWorkers: "block",
      contextOptions: { reducedMotion: "reduce" },
    });

    test("axe finds nothing, and nothing sticks out", async ({ page, view }) => {
      test.slow();
      for (const [place, how, there] of screens) {
        const query = new URLSearchParams({
          fake: "1",
          latency: "0",
          ...Object.fromEntries(Object.entries(how).map(([k, v]) => [k, String(v)])),
        });
        await page.goto(`${view.url}${place}${place.includes("?") ? "&" : "?"}${query.toString()}`);
        await expect(page.getByRole("heading", { level: 1 })).toHaveCount(1);
        await expect(there(page)).toBeVisible();
        expect(await findings(page), place).toEqual([]);
        await expectNoSidewaysScroll(page, place);
      }
    });
  });
}
