import type { Page } from "@playwright/test";
import { atRest, en, expect, painted, test } from "./test";

const log = (page: Page) => page.getByRole("log");
const articles = (page: Page) => log(page).getByRole("article");
const fromEnd = (page: Page) => log(page).evaluate((e) => e.scrollHeight - e.clientHeight - e.scrollTop);

/** Scrolls as a reader does: once the conversation is open, and by hand, which nothing may undo. */
async function scrollTo(page: Page, top: number): Promise<void> {
  await expect(articles(page).last()).toBeVisible();
  await log(page).hover();
  await page.mouse.wheel(0, -1);
  await log(page).evaluate((e, to) => (e.scrollTop = to), top);
}

/** The median of the time between frames while `step` runs in each of them. */
function frameTime(page: Page, step: "idle" | "scroll"): Promise<number> {
  return log(page).evaluate(async (scroller, kind) => {
    const times: number[] = [];
    let last = performance.now();
    for (let i = 0; i < 120; i++) {
      if (kind === "scroll") scroller.scrollTop -= 300;
      await new Promise((resolve) => requestAnimationFrame(resolve));
      times.push(performance.now() - last);
      last = performance.now();
    }
    return times.sort((x, y) => x - y)[60] ?? 0;
  }, step);
}

test("50,000 messages stay smooth", async ({ at }) => {
  const page = await at("/c/jonas", { messages: 50_000, all: 1 });
  await expect(articles(page).last()).toBeVisible();
  await scrollTo(page, 500_000);
  // Beside other tests even an idle page misses frames: what counts is what scrolling adds.
  const idle = await frameTime(page, "idle");
  expect(await frameTime(page, "scroll")).toBeLessThan(2 * idle + 34);
  expect(await articles(page).count()).toBeLessThan(80);
});

test("50 messages a second arrive without holding up the page", async ({ at }) => {
  const page = await at("/c/jonas", { messages: 5_000, all: 1 });
  await page.getByRole("button", { name: /^Jump to/ }).click();
  await expect.poll(() => fromEnd(page)).toBeLessThan(2);
  const idle = await frameTime(page, "idle");
  await page.evaluate(() => {
    const { fake } = globalThis as unknown as {
      fake: { say(uid: string, body: string): void; people: { uid: string }[] };
    };
    let n = 0;
    const timer = setInterval(
      () => (n++ < 100 ? fake.say(fake.people[1]?.uid ?? "", `tick ${n}`) : clearInterval(timer)),
      20,
    );
  });
  expect(await frameTime(page, "idle")).toBeLessThan(2 * idle + 34);
  await expect(articles(page).last()).toContainText("tick 100");
  await expect.poll(() => fromEnd(page)).toBeLessThan(2);
});

test("what is read stays where it is while history loads", async ({ at }) => {
  const page = await at("/c/jonas", { latency: 1_000 });
  await scrollTo(page, 1_000);
  const moved = await log(page).evaluate(async (scroller) => {
    const worst: number[] = [];
    for (let i = 0; i < 4; i++) {
      scroller.scrollTop = 200; // asks for the page before
      // The jump brings rows that were never measured; what is tested begins when they are, and the page is still on its way.
      for (let still = 0, before = Number.NaN; still < 6;) {
        await new Promise((resolve) => requestAnimationFrame(resolve));
        const now = [...scroller.querySelectorAll("article")].reduce(
          (sum, a) => sum + a.getBoundingClientRect().top,
          0,
        );
        still = now === before ? still + 1 : 0;
        before = now;
      }
      const seen = [...scroller.querySelectorAll("article")].find((a) => a.getBoundingClientRect().top > 150);
      if (!seen) continue;
      const top = seen.getBoundingClientRect().top;
      const height = scroller.scrollHeight;
      let most = 0;
      const until = performance.now() + 1_600;
      while (performance.now() < until) {
        await new Promise((resolve) => requestAnimationFrame(resolve));
        const now = document.getElementById(seen.id);
        if (now) most = Math.max(most, Math.abs(now.getBoundingClientRect().top - top));
      }
      worst.push(scroller.scrollHeight > height ? most : Number.NaN); // a page must have come
    }
    return worst;
  });
  expect(moved).toHaveLength(4);
  for (const px of moved) expect(px).toBeLessThanOrEqual(1);
});

test("it opens at the first unread message, and leads to the latest with their number", async ({ at }) => {
  const page = await at("/c/jonas");
  const line = page.getByText(en.talk.newMessages);
  await expect(line).toBeInViewport();
  const top = await line.evaluate(
    (e) => e.getBoundingClientRect().top - (e.closest("[role=log]")?.getBoundingClientRect().top ?? 0),
  );
  expect(top).toBeLessThan(140);
  const jump = page.getByRole("button", { name: /^Jump to \d+ new messages$/ });
  await expect(jump).toBeVisible();
  await jump.click();
  await expect.poll(() => fromEnd(page)).toBeLessThan(2);
  await expect(page.getByRole("button", { name: /^Jump to/ })).toBeHidden();
});

test("who reads above stays there when a message comes, and learns of it", async ({ at }) => {
  const page = await at("/c/amina.diallo");
  // At once, as somebody does who only came to look something up: nothing may throw them back.
  await scrollTo(page, 100);
  await expect(page.getByRole("button", { name: en.talk.jump, exact: true })).toBeVisible();
  await painted(page);
  const read = articles(page).filter({ hasText: "Do not forget the lamps" }).first();
  const before = await read.evaluate((e) => e.getBoundingClientRect().top);
  await page.evaluate(() => {
    const { fake } = globalThis as unknown as {
      fake: { say(uid: string, body: string): void; people: { uid: string }[] };
    };
    fake.say(fake.people[2]?.uid ?? "", "something new");
  });
  await expect(page.getByRole("button", { name: "Jump to 1 new message", exact: true })).toBeVisible();
  expect(await read.evaluate((e) => e.getBoundingClientRect().top)).toBeCloseTo(before, 0);
  await expect(page.locator("[aria-live=polite]").filter({ hasText: "something new" })).toHaveCount(1);
});

test("a quote leads to what it answers, also far back", async ({ at }) => {
  const page = await at("/c/jonas");
  const first = await page.evaluate(() => {
    const { fake } = globalThis as unknown as {
      fake: { people: { uid: string }[]; answer(uid: string, index: number): string };
    };
    return fake.answer(fake.people[1]?.uid ?? "", 40);
  });
  await page.getByRole("button", { name: /^Jump to/ }).click();
  await page
    .getByRole("button", { name: new RegExp(`^${en.talk.quoted("")}`) })
    .last()
    .click();
  await expect(page.locator(`#m-${first}`)).toBeInViewport();
  await expect(page.locator(`#m-${first}`)).toBeFocused();
});

test("bodies are text: markup, overrides, stacked marks and long words harm nothing", async ({ at }) => {
  const page = await at("/c/mira.kern");
  const hostile = articles(page).filter({ hasText: "<b>not bold</b>" });
  await expect(hostile).toBeVisible();
  expect(await log(page).locator("b, script, img, iframe").count()).toBe(0);
  // The override turns its own line at most: the time below reads as ever.
  const [bubble, body] = await hostile.evaluate((e) => {
    const b = e.querySelector(".bubble")?.getBoundingClientRect();
    const t = e.querySelector(".body");
    return [
      b ? b.right <= innerWidth : false,
      t ? getComputedStyle(t).unicodeBidi === "isolate" && getComputedStyle(t).overflow === "hidden" : false,
    ];
  });
  expect([bubble, body]).toEqual([true, true]);
  await scrollTo(page, 0);
  // Asked in one question: rows far from the screen are taken out, and history may still move them.
  await expect(log(page).locator('a[href^="http"][rel~="noopener"][target="_blank"]').first()).toBeVisible();
  await expect(log(page).locator('a[href^="http"]:not([rel~="noopener"][target="_blank"])')).toHaveCount(0);
});

test("a long message is folded, and opens where it is", async ({ at }) => {
  const page = await at("/c/mira.kern");
  await scrollTo(page, 400);
  const long = articles(page).filter({ hasText: "Line 1:" });
  await atRest(page);
  await expect(long).not.toContainText("Line 40:");
  await long.getByRole("button", { name: en.talk.showAll }).click();
  await expect(long).toContainText("Line 40:");
  await long.getByRole("button", { name: en.talk.showLess }).scrollIntoViewIfNeeded();
  await atRest(page);
  await long.getByRole("button", { name: en.talk.showLess }).click();
  await expect(long).not.toContainText("Line 40:");
});

test("a refused message says why, and can be deleted, brought back and sent again", async ({ at }) => {
  const page = await at("/c/mira.kern");
  const refused = articles(page).filter({ hasText: "This one was refused." });
  await expect(refused).toContainText("Not sent. This person does not take messages from you.");
  await refused.getByRole("button", { name: en.talk.remove }).click();
  await expect(refused).toBeHidden();
  await page.getByRole("button", { name: en.common.undo }).click();
  await expect(refused).toBeVisible();
  await refused.getByRole("button", { name: en.talk.retry }).click();
  await expect(refused.getByRole("img", { name: en.talk.waiting })).toBeVisible();
});

test("a row takes clicks while the list scrolls", async ({ at }) => {
  const page = await at("/c/mira.kern", { quiet: 1 });
  await expect(articles(page).last()).toBeVisible();
  await atRest(page);
  const hit = await log(page).evaluate(async (scroller) => {
    const frame = (): Promise<void> => new Promise((resolve) => requestAnimationFrame(() => resolve()));
    scroller.scrollTop -= 40;
    await frame();
    await frame(); // the list has heard of it
    const bubble = [...scroller.querySelectorAll("article .bubble")].find(
      (b) => b.getBoundingClientRect().top > scroller.getBoundingClientRect().top,
    );
    if (!bubble) return "no bubble is in sight";
    const { left, top, width, height } = bubble.getBoundingClientRect();
    return (
      document.elementFromPoint(left + width / 2, top + height / 2)?.closest("article") === bubble.closest("article")
    );
  });
  expect(hit, "what is under the pointer is the row").toBe(true);
});

test("messages are walked and answered by keyboard", async ({ at }) => {
  const page = await at("/c/mira.kern", { quiet: 1 });
  await expect(articles(page).last()).toBeVisible();
  await expect(page.getByRole("textbox")).toBeFocused();
  await page.keyboard.press("Shift+Tab");
  await expect(articles(page).last()).toBeFocused();
  await page.keyboard.press("Home");
  await expect(articles(page).first()).toBeFocused();
  await expect(articles(page).first()).toBeInViewport();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("r");
  await expect(page.getByRole("textbox")).toBeFocused();
  await expect(page.getByText(en.talk.replyYourself)).toBeVisible();
  await page.keyboard.type("about that");
  await page.keyboard.press("Enter");
  await expect(articles(page).last()).toContainText("about that");
  await expect(
    articles(page)
      .last()
      .getByRole("button", { name: /^In reply to You/ }),
  ).toBeVisible();
});

test("copying says that it was done", async ({ at, context, view }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: view.url });
  const page = await at("/c/mira.kern");
  await articles(page).filter({ hasText: "Shall I bring the bread?" }).hover();
  await page.getByRole("button", { name: en.talk.copy }).click();
  await expect(page.getByText(en.common.copied)).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe("Shall I bring the bread?");
});
