import type { Browser, Locator, Page } from "@playwright/test";
import { createAccount, signIn } from "../e2e/support/accounts";
import { chats, chatWith, composer, en, expectSignedIn, message, messages } from "../e2e/support/steps";
import { expect, newUser, test, type User } from "../e2e/support/test";
import { Voice } from "../e2e/support/voice";
import { ms, quantile, record } from "./figures";
import { drawFrames, slowCpu, throttle } from "./throttle";

const goal = 100;
/** How long a person holds a button down, and the time between two keys, in ms. */
const HELD = 60;
/** How long a person looks at a new page before the next press, in ms. */
const LOOK = 500;
/** How often a journey repeats its presses, so that the 98th percentile is not simply the worst. */
const TIMES = 30;

const type = (page: Page, text: string): Promise<void> => page.keyboard.type(text, { delay: HELD });
const press = (place: Locator): Promise<void> => place.click({ delay: HELD });

/** A part of a visit. All of them run in one page, in this order. */
interface Journey {
  readonly name: string;
  readonly run: (page: Page, me: User, other: User) => Promise<void>;
}

const writing = "finding a person and writing to them";

const journeys: readonly Journey[] = [
  {
    name: "signing up",
    async run(page, me) {
      for (const [label, value] of [
        [en.auth.name, me.name],
        [en.auth.username, me.username],
        [en.auth.email, me.email],
        [en.auth.password, me.password],
      ] as const) {
        await press(page.getByLabel(label, { exact: true }));
        await page.keyboard.press("ControlOrMeta+A");
        await type(page, value);
      }
      await press(page.getByRole("button", { name: en.auth.signUp, exact: true }));
      await expectSignedIn(page);
    },
  },
  {
    name: writing,
    async run(page, _me, other) {
      await press(page.getByRole("navigation", { name: en.nav.label }).getByRole("link", { name: en.nav.people }));
      await press(page.getByRole("searchbox", { name: en.people.search }));
      await type(page, other.username);
      await press(page.getByRole("link", { name: other.name }));
      for (const body of ["Hello there", "A *bold* word and https://example.org", "Good night"]) {
        await press(composer(page, other));
        await type(page, body);
        await page.keyboard.press("Enter");
        await expect(messages(page, other).last()).toContainText(body.slice(0, 2));
      }
    },
  },
  {
    name: "reading, the menu of a message, answering",
    async run(page, _me, other) {
      for (let n = 0; n < TIMES; n++) {
        await messages(page, other).last().click({ button: "right", delay: HELD });
        await press(page.getByRole("menuitem", { name: en.conversation.reply }));
        await type(page, `answer ${n}`);
        await page.keyboard.press("Enter");
        await expect(message(page, other, `answer ${n}`).last()).toBeVisible();
      }
    },
  },
  {
    name: "going back and forth between the chats and a conversation",
    async run(page, _me, other) {
      await press(page.getByRole("button", { name: en.nav.back }));
      await page.waitForTimeout(LOOK);
      await press(page.getByRole("link", { name: en.nav.chats }));
      await page.waitForTimeout(LOOK);
      await press(chatWith(page, other));
      await page.waitForTimeout(LOOK);
      for (let n = 0; n < TIMES; n++) {
        await press(page.getByRole("button", { name: en.nav.back }));
        await expect(chats(page)).toBeVisible();
        await page.waitForTimeout(LOOK);
        await press(chatWith(page, other));
        await expect(composer(page, other)).toBeVisible();
        await page.waitForTimeout(LOOK);
      }
      await press(page.getByRole("button", { name: en.nav.back }));
      await expect(chats(page)).toBeVisible();
    },
  },
  {
    name: "settings and the theme",
    async run(page, me) {
      await press(page.getByRole("link", { name: en.nav.yours(me.name) }));
      for (let n = 0; n < TIMES; n++)
        for (const theme of [en.settings.themeDark, en.settings.themeLight, en.settings.themeSystem])
          await press(page.getByText(theme, { exact: true }));
      await press(page.getByLabel(en.settings.name, { exact: true }));
      await type(page, " the Great");
    },
  },
];

// An element that is missing ends the measurement.
test.use({ actionTimeout: 60_000 });

test("how long interactions take until they are painted, in every journey", async ({ browser, baseURL }) => {
  test.setTimeout(600_000);
  const context = await browser.newContext(baseURL === undefined ? {} : { baseURL });
  const [me, other] = [newUser("Ann"), newUser("Bob")];
  await createAccount(other);
  const page = await context.newPage();
  const session = await throttle(page, { network: false });
  await page.addInitScript(observe);
  await page.goto("/signup");
  await expect(page.getByLabel(en.auth.name, { exact: true })).toBeVisible();
  await drawFrames(session);
  for (const { name, run } of journeys) {
    await page.evaluate(observe);
    await run(page, me, other);
    // Strangers may write only a few messages until they are answered.
    if (name === writing) await answer(browser, other, me);
    const { took, count } = await interactions(page);
    // Interactions that are painted within 16 ms are counted but not reported.
    const all = [...took, ...Array<number>(Math.max(0, count - took.length)).fill(16)];
    const p98 = quantile(all, 0.98);
    record(
      `interactions until painted (INP), ${name} (${slowCpu}), p50 / p98 / worst of ${all.length}`,
      `${[quantile(all, 0.5), p98, quantile(all, 1)].map(ms).join(" / ")} (goal ${ms(goal)}: ${p98 <= goal ? "reached" : "missed"})`,
    );
  }
  await context.close();
});

async function answer(browser: Browser, from: User, to: User): Promise<void> {
  const context = await browser.newContext();
  const voice = await Voice.open(context, from);
  await voice.pour((await signIn(to)).uid, 1, 1, () => "Hello!");
  await context.close();
}

interface Observed {
  observed?: Map<number, number>;
  countBefore: number;
}

/** Records the longest event of every interaction from now on. Runs in the page. */
function observe(): void {
  const to = window as unknown as Observed;
  to.countBefore = (performance as unknown as { interactionCount: number }).interactionCount;
  if (to.observed) return to.observed.clear();
  const observed = new Map<number, number>();
  to.observed = observed;
  new PerformanceObserver((list) => {
    for (const e of list.getEntries() as (PerformanceEventTiming & { interactionId: number })[])
      if (e.interactionId > 0) observed.set(e.interactionId, Math.max(observed.get(e.interactionId) ?? 0, e.duration));
  }).observe({ type: "event", durationThreshold: 16 } as PerformanceObserverInit);
}

/** Returns the duration of the observed interactions, in ms, and the number of all interactions. */
function interactions(page: Page): Promise<{ took: number[]; count: number }> {
  return page.evaluate(async () => {
    // Two frames, so that the last interaction is reported.
    for (let n = 0; n < 2; n++) await new Promise((resolve) => requestAnimationFrame(resolve));
    await new Promise((resolve) => setTimeout(resolve, 500));
    const { observed, countBefore } = window as unknown as Observed;
    const { interactionCount } = performance as unknown as { interactionCount: number };
    return { took: [...(observed ?? new Map<number, number>()).values()], count: interactionCount - countBefore };
  });
}
