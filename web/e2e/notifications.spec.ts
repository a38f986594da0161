import type { BrowserContext, Locator, Page } from "@playwright/test";
import { forwardText } from "../src/text/forward";
import { messageText } from "../src/text/messages";
import { pushText } from "../src/text/push";
import { chatWith, en, expectState, message, open, send, setHidden, signUp, state } from "./support/steps";
import { acquaint, expect, test, type User, whole } from "./support/test";

/** The calls of the page to the browser, stored in the page so that a test can read them. */
interface Calls {
  readonly shown: readonly { readonly title: string; readonly body: string; readonly silent: boolean }[];
  /** The counts of the badge of the app, oldest first; 0 if it was cleared. */
  readonly badges: readonly number[];
  /** How often the page requested the permission. */
  readonly requests: number;
}

/**
 * Records the calls of the page. A headless browser has no desktop that shows notifications or badges, so the tests
 * record the calls instead. The permission itself is the browser's.
 */
async function recordCalls(context: BrowserContext): Promise<void> {
  await context.addInitScript(() => {
    const calls = { shown: [] as Calls["shown"][number][], badges: [] as number[], requests: 0 };
    Object.assign(window, { calls });
    const Real = Notification;
    window.Notification = class extends Real {
      constructor(title: string, options?: NotificationOptions) {
        super(title, options);
        calls.shown.push({ title, body: options?.body ?? "", silent: options?.silent === true });
      }
      static override requestPermission(): Promise<NotificationPermission> {
        calls.requests++;
        return Real.requestPermission();
      }
    };
    navigator.setAppBadge = (count) => {
      calls.badges.push(count ?? -1);
      return Promise.resolve();
    };
    navigator.clearAppBadge = () => {
      calls.badges.push(0);
      return Promise.resolve();
    };
  });
}

async function calls(page: Page): Promise<Calls> {
  return page.evaluate(() => (window as unknown as { calls: Calls }).calls);
}

test(
  "notifications are offered only after a message arrived on a hidden page, and are then shown",
  { tag: whole },
  async ({ user, visitor }) => {
    const bob = await user("Bob");
    const ann = await visitor("Ann");
    await recordCalls(ann.context);
    await signUp(ann.page, ann);
    await acquaint([ann, bob]);
    const offer = ann.page.getByRole("region", { name: en.settings.notifications });
    await expect(ann.page.getByText(en.chats.empty)).toBeVisible();
    await open(bob.page, ann);
    await send(bob.page, ann, "while you look");
    await expect(chatWith(ann.page, bob)).toContainText("while you look");
    await expect(offer).toBeHidden();

    await setHidden(ann.page, true);
    await send(bob.page, ann, "while you are away");
    await expectState(bob.page, ann, "while you are away", state.arrived);
    await setHidden(ann.page, false);
    await expect(offer).toBeVisible();
    expect(await calls(ann.page)).toMatchObject({ requests: 0, shown: [] });

    await ann.context.grantPermissions(["notifications"]);
    await offer.getByRole("button", { name: messageText.notify.yes }).click();
    await expect(offer).toBeHidden();
    expect((await calls(ann.page)).requests).toBe(1);

    await send(bob.page, ann, "you see this one yourself");
    await expect(chatWith(ann.page, bob)).toContainText("you see this one yourself");
    await setHidden(ann.page, true);
    await send(bob.page, ann, "look here");
    await expect
      .poll(async () => (await calls(ann.page)).shown)
      .toEqual([{ title: bob.name, body: "look here", silent: false }]);
  },
);

test(
  "a message is forwarded, and the reaction of its recipient notifies without a sound",
  { tag: whole },
  async ({ user, visitor }) => {
    const [bob, cem] = [await user("Bob"), await user("Cem")];
    const ann = await visitor("Ann");
    await recordCalls(ann.context);
    await ann.context.grantPermissions(["notifications"]);
    await signUp(ann.page, ann);
    await acquaint([ann, bob]);
    await acquaint([ann, cem]);
    await open(bob.page, ann);
    const body = "*Nine* o'clock, at the bridge";
    await send(bob.page, ann, body);
    await open(ann.page, bob);
    const choose = async (page: Page, who: User, action: Locator): Promise<void> => {
      await message(page, who, "at the bridge").locator(".bubble").click({ button: "right" });
      await action.click();
    };
    await choose(ann.page, bob, ann.page.getByRole("menuitem", { name: messageText.forward }));
    const dialog = ann.page.getByRole("dialog", { name: forwardText.title });
    await dialog.getByRole("searchbox").fill(cem.username);
    await dialog.getByRole("checkbox", { name: cem.username }).check();
    await dialog.getByRole("button", { name: forwardText.forward(1), exact: true }).click();
    await expect(dialog).toHaveCount(0);

    await expect(chatWith(cem.page, ann)).toContainText(body);
    await open(cem.page, ann);
    await open(ann.page, cem);
    await expectState(ann.page, cem, "at the bridge", state.arrived);
    await setHidden(ann.page, true);
    await choose(cem.page, ann, cem.page.getByRole("menuitemcheckbox", { name: messageText.reactWith("👍") }));
    await expect
      .poll(async () => (await calls(ann.page)).shown)
      .toEqual([{ title: cem.name, body: pushText().reacted("👍", body), silent: true }]);
  },
);

test("a declined offer does not come back", { tag: whole }, async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  const offer = ann.page.getByRole("region", { name: en.settings.notifications });
  await open(bob.page, ann);
  await setHidden(ann.page, true);
  await send(bob.page, ann, "first");
  await expectState(bob.page, ann, "first", state.arrived);
  await setHidden(ann.page, false);
  await offer.getByRole("button", { name: messageText.notify.no }).click();
  await expect(offer).toBeHidden();
  await ann.page.reload();
  await expect(chatWith(ann.page, bob)).toContainText("first");
  await setHidden(ann.page, true);
  await send(bob.page, ann, "second");
  await expectState(bob.page, ann, "second", state.arrived);
  await setHidden(ann.page, false);
  await expect(chatWith(ann.page, bob)).toContainText("second");
  await expect(offer).toBeHidden();
});

test("the title and the badge of the app count unread messages", async ({ user, visitor }) => {
  const bob = await user("Bob");
  const ann = await visitor("Ann");
  await recordCalls(ann.context);
  await signUp(ann.page, ann);
  await acquaint([ann, bob]);
  await expect(ann.page).toHaveTitle(en.app);
  await open(bob.page, ann);
  for (const body of ["one", "two", "three"]) await send(bob.page, ann, body);
  await expect(ann.page).toHaveTitle(en.notifications.title(3, en.app));
  await expect.poll(async () => (await calls(ann.page)).badges.at(-1)).toBe(3);
  await chatWith(ann.page, bob).click();
  await expect(message(ann.page, bob, "three")).toBeVisible();
  await expect(ann.page).toHaveTitle(en.notifications.place(bob.name, en.app));
  await expect.poll(async () => (await calls(ann.page)).badges.at(-1)).toBe(0);
});
