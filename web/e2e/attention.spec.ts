import type { BrowserContext, Page } from "@playwright/test";
import { chatWith, en, expectState, message, open, send, signUp, state } from "./support/steps";
import { expect, test, whole } from "./support/test";

/** What the page asked of its browser, kept beside the page so that a test can read it. */
interface Asked {
  readonly shown: readonly { readonly title: string; readonly body: string }[];
  /** The count of the app's badge, in the order of setting; 0 where it was cleared. */
  readonly badges: readonly number[];
  /** How often the page asked for permission. */
  readonly questions: number;
}

/**
 * Counts what the page asks for. A headless browser has no desktop on which a notification or a badge could be seen, so the doors to them
 * are watched; permission itself is the browser's own.
 */
async function watch(context: BrowserContext): Promise<void> {
  await context.addInitScript(() => {
    const asked = { shown: [] as { title: string; body: string }[], badges: [] as number[], questions: 0 };
    Object.assign(window, { asked });
    const Real = Notification;
    window.Notification = class extends Real {
      constructor(title: string, options?: NotificationOptions) {
        super(title, options);
        asked.shown.push({ title, body: options?.body ?? "" });
      }
      static override requestPermission(): Promise<NotificationPermission> {
        asked.questions++;
        return Real.requestPermission();
      }
    };
    navigator.setAppBadge = (count) => {
      asked.badges.push(count ?? -1);
      return Promise.resolve();
    };
    navigator.clearAppBadge = () => {
      asked.badges.push(0);
      return Promise.resolve();
    };
  });
}

async function asked(page: Page): Promise<Asked> {
  return page.evaluate(() => (window as unknown as { asked: Asked }).asked);
}

/** Hides a page as another tab in front of it does, or shows it again: pages of a test always count as visible. */
async function hide(page: Page, hidden: boolean): Promise<void> {
  await page.evaluate((value) => {
    Object.defineProperty(document, "visibilityState", {
      configurable: true,
      get: () => (value ? "hidden" : "visible"),
    });
    Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
}

test(
  "notifications are offered only after a message came while nobody looked, and then shown",
  { tag: whole },
  async ({ person, visitor }) => {
    const bob = await person("Bob");
    const ann = await visitor("Ann");
    await watch(ann.context);
    await signUp(ann.page, ann);
    const offer = ann.page.getByRole("region", { name: en.settings.notifications });
    await expect(ann.page.getByText(en.chats.empty)).toBeVisible();
    await open(bob.page, ann);
    await send(bob.page, ann, "while you look");
    await expect(chatWith(ann.page, bob)).toContainText("while you look");
    await expect(offer).toBeHidden();

    await hide(ann.page, true);
    await send(bob.page, ann, "while you are away");
    await expectState(bob.page, ann, "while you are away", state.arrived);
    await hide(ann.page, false);
    await expect(offer).toBeVisible();
    expect(await asked(ann.page)).toMatchObject({ questions: 0, shown: [] });

    await ann.context.grantPermissions(["notifications"]);
    await offer.getByRole("button", { name: en.attention.askYes }).click();
    await expect(offer).toBeHidden();
    expect((await asked(ann.page)).questions).toBe(1);

    await send(bob.page, ann, "you see this one yourself");
    await expect(chatWith(ann.page, bob)).toContainText("you see this one yourself");
    await hide(ann.page, true);
    await send(bob.page, ann, "look here");
    await expect.poll(async () => (await asked(ann.page)).shown).toEqual([{ title: bob.name, body: "look here" }]);
  },
);

test("an offer that was declined does not come back", { tag: whole }, async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  const offer = ann.page.getByRole("region", { name: en.settings.notifications });
  await open(bob.page, ann);
  await hide(ann.page, true);
  await send(bob.page, ann, "first");
  await expectState(bob.page, ann, "first", state.arrived);
  await hide(ann.page, false);
  await offer.getByRole("button", { name: en.common.notNow }).click();
  await expect(offer).toBeHidden();
  await ann.page.reload();
  await expect(chatWith(ann.page, bob)).toContainText("first");
  await hide(ann.page, true);
  await send(bob.page, ann, "second");
  await expectState(bob.page, ann, "second", state.arrived);
  await hide(ann.page, false);
  await expect(chatWith(ann.page, bob)).toContainText("second");
  await expect(offer).toBeHidden();
});

test("the title and the app's badge count what is unread", async ({ person, visitor }) => {
  const bob = await person("Bob");
  const ann = await visitor("Ann");
  await watch(ann.context);
  await signUp(ann.page, ann);
  await expect(ann.page).toHaveTitle(en.app);
  await open(bob.page, ann);
  for (const body of ["one", "two", "three"]) await send(bob.page, ann, body);
  await expect(ann.page).toHaveTitle(en.attention.title(3, en.app));
  await expect.poll(async () => (await asked(ann.page)).badges.at(-1)).toBe(3);
  await chatWith(ann.page, bob).click();
  await expect(message(ann.page, bob, "three")).toBeVisible();
  await expect(ann.page).toHaveTitle(en.attention.place(bob.name, en.app));
  await expect.poll(async () => (await asked(ann.page)).badges.at(-1)).toBe(0);
});
