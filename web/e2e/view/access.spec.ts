import type { Locator, Page } from "@playwright/test";
import { messageText } from "../../src/text/messages";
import { adminText } from "../../src/text/admin";
import { factorText } from "../../src/text/secondFactor";
import { colorRules, expectNoSidewaysScroll, findings, paint } from "../support/accessible";
import { en, expect, test } from "./test";

interface Screen {
  readonly place: string;
  /** Options of the fake model; see src/view/testing/fake.ts. */
  readonly options?: Readonly<Record<string, string | number>>;
  /** An element that is visible once the whole screen is. */
  readonly shows: (page: Page) => Locator;
  /** Opens what is to be checked, such as a menu or a dialog. */
  readonly prepare?: (page: Page) => Promise<void>;
  /** A main screen is checked in every look. The others have one theme at each width. */
  readonly main?: true;
}

const { actions, deadLetters, figures, messages, people } = adminText;

const button = (name: string) => (page: Page) => page.getByRole("button", { name, exact: true });
const heading = (name: string) => (page: Page) => page.getByRole("heading", { name, exact: true });
const link = (mode: string, code: string): string => `/mail?mode=${mode}&oobCode=${code}`;
const sentence = (text: string) => (page: Page) => page.getByText(text);
const firstRow = (page: Page) => page.getByRole("row").nth(1);
const newest = (page: Page) => page.getByRole("article").last();
const searchbox = (page: Page) => page.getByRole("searchbox");
const dialog = (page: Page) => page.getByRole("dialog");

const longWord = `averylongwordwithoutanyspace${"e".repeat(200)}`;

/** Gives the first chat of the list a preview that cannot wrap. */
async function showLongPreview(page: Page): Promise<void> {
  await page.evaluate((body) => {
    interface Item {
      readonly preview: { readonly body: string } | null;
    }
    interface List {
      readonly items: readonly Item[];
    }
    const { fake } = globalThis as unknown as { fake: { list: { update(change: (list: List) => List): void } } };
    fake.list.update((list) => ({
      ...list,
      items: list.items.map((item, i) =>
        i === 0 && item.preview ? { ...item, preview: { ...item.preview, body } } : item,
      ),
    }));
  }, longWord);
  await expect(page.getByText(/averylongword/).first()).toBeVisible();
}

/** Opens the menu of an admin's row. */
async function openMenu(page: Page): Promise<void> {
  await page
    .getByRole("button", { name: adminText.actionsFor("Jonas Ahlgren") })
    .first()
    .click();
  await expect(page.getByRole("menu").getByRole("menuitem").first()).toBeFocused();
}

async function chooseAction(page: Page, action: string): Promise<void> {
  await openMenu(page);
  await page.getByRole("menuitem", { name: new RegExp(`^${action}`) }).click();
  await expect(dialog(page)).toBeVisible();
}

async function pickUser(page: Page): Promise<void> {
  await searchbox(page).fill("mira");
  await page.getByRole("list", { name: messages.pick }).getByRole("button").first().click();
  await page.getByRole("button", { name: messages.open }).click();
  await expect(page.getByText(adminText.reasonMissing)).toBeVisible();
}

async function openConversations(page: Page): Promise<void> {
  await pickUser(page);
  await page.getByLabel(adminText.reason, { exact: true }).fill("Complaint");
  await page.getByRole("button", { name: messages.open }).click();
  await expect(page.getByRole("listitem").getByRole("button").first()).toBeVisible();
}

/** Gives the password of an account with a second factor. */
async function signInWithPassword(page: Page): Promise<void> {
  await page.getByLabel(en.auth.email, { exact: true }).fill("ada@example.org");
  await page.getByLabel(en.auth.password, { exact: true }).fill("right");
  await button(en.auth.signIn)(page).click();
  await expect(page.getByLabel(factorText.code, { exact: true })).toBeVisible();
}

/** Opens the QR code for an authenticator app. */
async function startFactor(page: Page): Promise<void> {
  await button(factorText.setUp)(page).click();
  await dialog(page).getByLabel(en.auth.password, { exact: true }).fill("right");
  await dialog(page).getByRole("button", { name: factorText.goOn }).click();
  await expect(dialog(page).getByRole("img", { name: factorText.qr })).toBeVisible();
}

const admin = { admin: 1 };

/** Every screen, with something in it. */
const screens: readonly Screen[] = [
  { place: "/signin", options: { as: "signed-out" }, shows: button(en.auth.signIn), main: true },
  { place: "/signin", options: { as: "signed-out", reason: "disabled" }, shows: button(en.auth.signIn) },
  {
    place: "/signin",
    options: { as: "signed-out", reason: "ended", changed: 1 },
    shows: sentence("Your password was changed on"),
  },
  { place: "/signup", options: { as: "signed-out" }, shows: button(en.auth.signUp), main: true },
  {
    place: "/signup",
    options: { as: "signed-out" },
    shows: button(en.auth.signUp),
    prepare: async (page) => {
      await button(en.auth.signUp)(page).click();
      await expect(page.getByText(en.auth.errors.nameMissing)).toBeVisible();
    },
    main: true,
  },
  {
    place: "/signin",
    options: { as: "signed-out", factor: "on" },
    shows: button(en.auth.signIn),
    prepare: async (page) => {
      await signInWithPassword(page);
      await button(en.auth.signIn)(page).click();
      await expect(page.getByText(factorText.codeForm)).toBeVisible();
    },
  },
  {
    place: "/signin",
    options: { as: "signed-out", factor: "on" },
    shows: button(en.auth.signIn),
    prepare: async (page) => {
      await signInWithPassword(page);
      await button(factorText.lost)(page).click();
      await expect(page.getByLabel(factorText.recoveryCode)).toBeVisible();
    },
  },
  { place: "/reset", options: { as: "signed-out" }, shows: button(en.auth.resetSend) },
  { place: link("resetPassword", "x"), options: { as: "signed-out" }, shows: button(en.auth.resetSave) },
  { place: link("verifyEmail", "verify"), options: { unverified: 1 }, shows: heading(en.mail.verified), main: true },
  { place: link("verifyEmail", "verify-other"), shows: sentence(en.mail.hereAs("ada@example.org")) },
  {
    place: link("verifyEmail", "old"),
    options: { unverified: 1 },
    shows: button(en.mail.again),
    prepare: async (page) => {
      await button(en.mail.again)(page).click();
      await expect(page.getByText(en.mail.sent("ada@example.org"))).toBeVisible();
    },
  },
  { place: link("verifyAndChangeEmail", "change"), shows: button(en.mail.changeDo), main: true },
  { place: link("recoverEmail", "recover"), options: { as: "signed-out" }, shows: button(en.mail.recoveredDo) },
  { place: link("verifyEmail", ""), options: { as: "signed-out" }, shows: sentence(en.mail.problems.link_damaged) },
  { place: "/", options: { as: "failed" }, shows: button(en.common.retry) },
  { place: "/", options: { as: "foreign" }, shows: sentence(en.start.foreign) },
  { place: "/", options: { replaced: 1 }, shows: button(en.connection.reconnect), main: true },
  {
    place: "/c/mira.kern",
    options: { "held-for": "too_many_new_people", badge: 0 },
    shows: sentence("Waiting until tomorrow"),
    main: true,
  },
  {
    place: "/",
    options: { offline: 1, offer: 1 },
    shows: (page) => page.getByRole("list", { name: en.chats.label }).getByRole("link").first(),
  },
  {
    place: "/",
    shows: (page) => page.getByRole("list", { name: en.chats.label }).getByRole("link").first(),
    prepare: showLongPreview,
    main: true,
  },
  { place: "/", options: { empty: 1 }, shows: sentence(en.chats.empty), main: true },
  { place: "/", options: { unverified: 1, mailbox: 1 }, shows: button(en.mail.open), main: true },
  { place: "/people", shows: (page) => page.getByRole("link", { name: /Amina/ }), main: true },
  {
    place: "/people",
    shows: (page) => page.getByRole("link", { name: /Amina/ }),
    prepare: async (page) => {
      await button(en.people.invite)(page).click();
      await expect(dialog(page).getByRole("img")).toBeVisible();
    },
  },
  { place: "/signup?next=%2Fc%2Flena", options: { as: "signed-out" }, shows: sentence(en.auth.invitedMore) },
  { place: "/c/mira.kern", shows: newest, main: true },
  { place: "/c/jonas", shows: newest },
  {
    place: "/c/jonas",
    shows: newest,
    prepare: async (page) => {
      await newest(page).locator(".bubble").click({ button: "right" });
      await expect(page.getByRole("menuitem", { name: messageText.copy })).toBeVisible();
    },
  },
  {
    place: "/c/jonas",
    shows: newest,
    prepare: async (page) => {
      await button(en.conversation.showDetails)(page).click();
      await button(en.common.more)(page).last().click();
      await expect(page.getByRole("menuitem").last()).toBeVisible();
    },
  },
  { place: "/c/lena", shows: sentence(en.conversation.startMore) },
  { place: "/c/nobody", shows: sentence(en.conversation.unknownPerson("nobody")) },
  { place: "/settings", shows: button(en.settings.elsewhere), main: true },
  {
    place: "/settings",
    shows: button(en.settings.elsewhere),
    prepare: async (page) => {
      await button(en.settings.elsewhere)(page).click();
      await dialog(page).getByRole("button", { name: en.settings.elsewhereDo }).click();
      await expect(page.getByText(en.auth.errors.passwordMissing)).toBeVisible();
    },
  },
  {
    place: "/settings",
    shows: button(en.settings.passwordChange),
    prepare: async (page) => {
      await button(en.settings.passwordChange)(page).click();
      await dialog(page).getByRole("button", { name: en.settings.passwordDo }).click();
      await expect(page.getByText(en.auth.errors.passwordMissing).first()).toBeVisible();
    },
  },
  {
    place: "/settings",
    shows: button(factorText.setUp),
    prepare: async (page) => {
      await startFactor(page);
      await dialog(page).getByRole("button", { name: factorText.turnOn }).click();
      await expect(page.getByText(factorText.codeForm)).toBeVisible();
    },
  },
  {
    place: "/settings",
    shows: button(factorText.setUp),
    prepare: async (page) => {
      await startFactor(page);
      await dialog(page).getByLabel(factorText.code, { exact: true }).fill("123456");
      await dialog(page).getByRole("button", { name: factorText.turnOn }).click();
      await expect(dialog(page).getByRole("listitem")).toHaveCount(10);
    },
  },
  {
    place: "/settings",
    options: { factor: "on", codes: 0 },
    shows: button(factorText.turnOff),
    prepare: async (page) => {
      await button(factorText.turnOff)(page).click();
      await dialog(page).getByLabel(en.auth.password, { exact: true }).fill("right");
      await dialog(page).getByRole("button", { name: factorText.turnOff }).click();
      await expect(dialog(page).getByLabel(factorText.code, { exact: true })).toBeVisible();
    },
  },
  { place: "/settings", options: { unverified: 1, mailbox: 1, age: 1000 }, shows: sentence(en.mail.wait) },
  {
    place: "/settings",
    shows: button(en.mail.changeAddress),
    prepare: async (page) => {
      await button(en.mail.changeAddress)(page).click();
      await dialog(page).getByRole("button", { name: en.mail.changeSend }).click();
      await expect(page.getByText(en.auth.errors.passwordMissing)).toBeVisible();
    },
  },
  { place: "/no/where", shows: sentence(en.common.missing) },

  { place: "/admin", shows: sentence(adminText.only) },
  { place: "/admin", options: { ...admin, panel: "factor" }, shows: sentence(factorText.admin) },
  { place: "/admin", options: admin, shows: firstRow },
  { place: "/admin", options: admin, shows: firstRow, prepare: openMenu },
  {
    place: "/admin",
    options: { ...admin, again: 1 },
    shows: dialog,
    prepare: async (page) => {
      await dialog(page).getByRole("button", { name: adminText.again.go }).click();
      await expect(page.getByText(en.auth.errors.passwordMissing)).toBeVisible();
    },
  },
  { place: "/admin", options: admin, shows: firstRow, prepare: (page) => chooseAction(page, actions.rename) },
  { place: "/admin", options: admin, shows: firstRow, prepare: (page) => chooseAction(page, actions.remove) },
  {
    place: "/admin",
    options: admin,
    shows: firstRow,
    prepare: async (page) => {
      await page.getByRole("button", { name: people.add }).click();
      await dialog(page).getByLabel(en.auth.password, { exact: true }).fill("a quiet harbor 7");
      await dialog(page).getByRole("button", { name: actions.addDo, exact: true }).click();
      await expect(dialog(page).getByRole("textbox", { name: en.auth.email })).toHaveAttribute("aria-invalid", "true");
    },
  },
  {
    place: "/admin",
    options: admin,
    shows: firstRow,
    prepare: async (page) => {
      await searchbox(page).fill("nobody.at.all");
      await expect(page.getByText(people.empty)).toBeVisible();
    },
  },
  { place: "/admin", options: { ...admin, fails: "/users" }, shows: button(en.common.retry) },
  { place: "/admin/messages", options: admin, shows: searchbox },
  { place: "/admin/messages", options: admin, shows: searchbox, prepare: pickUser },
  { place: "/admin/messages", options: admin, shows: searchbox, prepare: openConversations },
  {
    place: "/admin/messages",
    options: admin,
    shows: searchbox,
    prepare: async (page) => {
      await openConversations(page);
      await page.getByRole("listitem").getByRole("button").first().click();
      await expect(page.getByRole("table")).toContainText("averylongword");
    },
  },
  {
    place: "/admin/figures",
    options: admin,
    shows: (page) => page.getByRole("img", { name: figures.perDay }),
    prepare: (page) => page.getByText(figures.perDayTable).click(),
  },
  {
    place: "/admin/dead-letters",
    options: admin,
    shows: button(deadLetters.replayAll),
    prepare: (page) => page.getByText(deadLetters.content).first().click(),
  },
  {
    place: "/admin/dead-letters",
    options: admin,
    shows: button(deadLetters.replayAll),
    prepare: async (page) => {
      await button(deadLetters.discard)(page).first().click();
      await expect(dialog(page)).toBeVisible();
    },
  },
  { place: "/admin/audit", options: admin, shows: firstRow },
];

// One theme at each end of the layout, since most colors do not depend on the width. All looks are checked on one loaded
// screen, because loading takes longer than axe.
const looks = [
  { width: 360, theme: "light", other: "dark" },
  { width: 1280, theme: "dark", other: "light" },
] as const;

test.describe("axe", () => {
  test.use({ bypassCSP: true, serviceWorkers: "block", contextOptions: { reducedMotion: "reduce" } });

  const placesOf: Readonly<Record<string, RegExp>> = {
    "the forms to sign up and in": /^\/(?:sign|reset)/u,
    "what the links of emails open": /^\/mail/u,
    "the list of chats": /^\/$/u,
    conversations: /^\/c\//u,
    "the people, the settings and a wrong address": /^\/(?:people|settings|no)/u,
    "the panel": /^\/admin/u,
  };
  test("every screen belongs to one group", () => {
    for (const { place } of screens)
      expect(
        Object.values(placesOf).filter((places) => places.test(place)),
        place,
      ).toHaveLength(1);
  });

  // In groups, so that all workers share them.
  for (const [group, places] of Object.entries(placesOf)) {
    const groupScreens = screens.filter(({ place }) => places.test(place));
    test(`axe has no findings on ${group}, and nothing is wider than the page`, async ({ page, view }) => {
      test.slow();
      for (const { place, options = {}, shows, prepare, main } of groupScreens) {
        const query = new URLSearchParams({
          fake: "1",
          latency: "0",
          ...Object.fromEntries(Object.entries(options).map(([k, v]) => [k, String(v)])),
        });
        await page.emulateMedia({ colorScheme: looks[0].theme });
        await page.setViewportSize({ width: looks[0].width, height: 800 });
        await page.goto(`${view.url}${place}${place.includes("?") ? "&" : "?"}${query.toString()}`);
        await expect(page.getByRole("heading", { level: 1 })).toHaveCount(1);
        await expect(shows(page)).toBeVisible();
        await prepare?.(page);
        for (const { width, theme, other } of looks) {
          const look = `${place}, ${width} px`;
          await page.setViewportSize({ width, height: 800 });
          await paint(page, theme);
          expect(await findings(page), `${look}, ${theme}`).toEqual([]);
          await expectNoSidewaysScroll(page, look);
          if (!main) continue;
          await paint(page, other);
          expect(await findings(page, colorRules), `${look}, ${other}`).toEqual([]);
        }
        if (!main) continue;
        await page.emulateMedia({ forcedColors: "active" });
        await paint(page, "dark");
        expect(await findings(page, colorRules), `${place}, forced colors`).toEqual([]);
        await page.emulateMedia({ forcedColors: "none" });
        await page.evaluate(() => (document.documentElement.dir = "rtl"));
        await page.setViewportSize({ width: 320, height: 256 }); // 1280 × 1024 at 400 %
        await paint(page, "light");
        expect(await findings(page), `${place}, right to left`).toEqual([]);
        await expectNoSidewaysScroll(page, `${place}, right to left`);
      }
    });
  }
});
