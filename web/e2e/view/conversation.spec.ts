import type { Page } from "@playwright/test";
import { messageText } from "../../src/text/messages";
import { heldText } from "../../src/text/held";
import { atRest, en, expect, painted, test } from "./test";

const log = (page: Page) => page.getByRole("log");
const articles = (page: Page) => log(page).getByRole("article");
const fromEnd = (page: Page) => log(page).evaluate((e) => e.scrollHeight - e.clientHeight - e.scrollTop);

/** Scrolls as a user does: once the conversation is open, and with the wheel, so that the list does not scroll back. */
async function scrollTo(page: Page, top: number): Promise<void> {
  await expect(articles(page).last()).toBeVisible();
  await log(page).hover();
  // The wheel of a user turns before the list scrolls. On a busy machine the event comes later than this call returns.
  await log(page).evaluate((e) => e.addEventListener("wheel", () => (e.dataset["turned"] = ""), { once: true }));
  await page.mouse.wheel(0, -1);
  await expect(log(page)).toHaveAttribute("data-turned");
  await log(page).evaluate((e, to) => (e.scrollTop = to), top);
}

/** Runs `step` in each of 120 frames, and returns the CPU time that the page used for a frame on average, in ms. */
async function frameCost(page: Page, step: "idle" | "scroll"): Promise<number> {
  // CPU time, because other tests run at the same time, so even an idle page misses frames.
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const spent = async (): Promise<number> => {
    const { metrics } = await session.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "TaskDuration")?.value ?? NaN;
  };
  const before = await spent();
  await log(page).evaluate(async (scroller, kind) => {
    for (let i = 0; i < 120; i++) {
      if (kind === "scroll") scroller.scrollTop -= 300;
      await new Promise((resolve) => requestAnimationFrame(resolve));
    }
  }, step);
  const cost = ((await spent()) - before) * (1000 / 120);
  await session.detach();
  return cost;
}

test("a conversation of 50,000 messages scrolls smoothly", async ({ at }) => {
  const page = await at("/c/jonas", { messages: 50_000, all: 1 });
  await expect(articles(page).last()).toBeVisible();
  await scrollTo(page, 500_000);
  const idle = await frameCost(page, "idle");
  expect(await frameCost(page, "scroll")).toBeLessThan(idle + 60);
  expect(await articles(page).count()).toBeLessThan(80);
});

test("50 messages a second arrive without slowing down the page", async ({ at }) => {
  const page = await at("/c/jonas", { messages: 5_000, all: 1 });
  await page.getByRole("button", { name: /^Jump to/ }).click();
  await expect.poll(() => fromEnd(page)).toBeLessThan(2);
  const idle = await frameCost(page, "idle");
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
  expect(await frameCost(page, "idle")).toBeLessThan(idle + 60);
  await expect(articles(page).last()).toContainText("tick 100");
  await expect.poll(() => fromEnd(page)).toBeLessThan(2);
});

test("visible messages do not move while history is loaded", async ({ at }) => {
  const page = await at("/c/jonas", { held: 1 });
  await scrollTo(page, 1_000);
  const moved = await log(page).evaluate(async (scroller) => {
    const { fake } = globalThis as unknown as { fake: { release(): void } };
    const worst: number[] = [];
    for (let i = 0; i < 4; i++) {
      scroller.scrollTop = 200; // loads the page before
      // The jump shows rows that were never measured. The check starts once they are, while the page is still loading.
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
      const watch = async (frames: number, done: () => boolean): Promise<void> => {
        for (let frame = 0; frame < frames && !done(); frame++) {
          await new Promise((resolve) => requestAnimationFrame(resolve));
          const now = document.getElementById(seen.id);
          if (now) most = Math.max(most, Math.abs(now.getBoundingClientRect().top - top));
        }
      };
      await watch(30, () => false); // while the page is loading
      fake.release();
      await watch(600, () => scroller.scrollHeight > height);
      await watch(30, () => false); // after it has arrived
      worst.push(scroller.scrollHeight > height ? most : Number.NaN); // a page must have been loaded
    }
    return worst;
  });
  expect(moved).toHaveLength(4);
  for (const px of moved) expect(px).toBeLessThanOrEqual(1);
});

// The virtual list treats rows that are measured until the end of scrolling in another way than later ones, so the
// moment at which a page arrives matters.
for (const [moment, ms] of [
  ["just before", 149],
  ["just after", 150],
] as const) {
  test(`visible messages do not move when history arrives ${moment} the end of scrolling`, async ({ at }) => {
    const page = await at("/c/jonas", { held: 1 });
    await scrollTo(page, 1_000);
    for (let i = 0; i < 3; i++) {
      const moved = await log(page).evaluate(async (scroller, delay) => {
        const { fake } = globalThis as unknown as { fake: { release(): void } };
        const height = scroller.scrollHeight;
        const visible = (): Element[] =>
          [...scroller.querySelectorAll("article")].filter((a) => {
            const { top, bottom } = a.getBoundingClientRect();
            return bottom > scroller.getBoundingClientRect().top && top < scroller.getBoundingClientRect().bottom;
          });
        scroller.scrollTop = 260; // loads the page before
        // Scrolling ends 150 ms after the last event, by a timer of the list that is set before this one.
        await new Promise((resolve) => {
          let timer: ReturnType<typeof setTimeout> | undefined;
          scroller.addEventListener("scroll", () => {
            clearTimeout(timer);
            timer = setTimeout(resolve, delay);
          });
        });
        const first = scroller.querySelector("article")?.id;
        const before = new Map(visible().map((a) => [a.id, a.getBoundingClientRect().top]));
        fake.release();
        // The end of scrolling is due before the next frame.
        for (const began = performance.now(); performance.now() - began < 3;);
        const moves: number[] = [];
        for (let frame = 0; frame < 30; frame++) {
          await new Promise((resolve) => requestAnimationFrame(resolve));
          for (const a of visible()) {
            const top = before.get(a.id);
            if (top !== undefined && a.id !== first) moves.push(Math.abs(a.getBoundingClientRect().top - top));
          }
        }
        return scroller.scrollHeight > height + 1_000 && moves.length > 30 ? Math.max(...moves) : Number.NaN;
      }, ms);
      expect(moved).toBeLessThanOrEqual(1);
    }
  });
}

test("a conversation opens at its first unread message, and a button jumps to the latest", async ({ at, page }) => {
  await page.setViewportSize({ width: 1280, height: 560 }); // too low for all of them
  await at("/c/jonas");
  const line = page.getByText(en.conversation.newMessages);
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

test("a new message does not move earlier ones that are being read, and is announced", async ({ at }) => {
  const page = await at("/c/amina.diallo");
  // Scrolls at once, as a user does who looks something up. The list must not scroll back.
  await scrollTo(page, 100);
  await expect(page.getByRole("button", { name: messageText.jump, exact: true })).toBeVisible();
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

test("a quote jumps to the original message, however old", async ({ at }) => {
  const page = await at("/c/jonas");
  const first = await page.evaluate(() => {
    const { fake } = globalThis as unknown as {
      fake: { people: { uid: string }[]; answer(uid: string, index: number): string };
    };
    return fake.answer(fake.people[1]?.uid ?? "", 40);
  });
  await page.getByRole("button", { name: /^Jump to/ }).click();
  await page
    .getByRole("button", { name: new RegExp(`^${en.conversation.quoted("")}`) })
    .last()
    .click();
  await expect(page.locator(`#m-${first}`)).toBeInViewport();
  await expect(page.locator(`#m-${first}`)).toBeFocused();
});

test("markup, overrides, stacked marks and long words in bodies are shown as text", async ({ at }) => {
  const page = await at("/c/mira.kern");
  const hostile = articles(page).filter({ hasText: "<b>not bold</b>" });
  await expect(hostile).toBeVisible();
  expect(await log(page).locator("b, script, img, iframe").count()).toBe(0);
  // The override affects only its own line, not the time below it.
  const [bubble, body] = await hostile.evaluate((e) => {
    const b = e.querySelector(".bubble")?.getBoundingClientRect();
    const t = e.querySelector(".body");
    return [
      b ? b.right <= innerWidth : false,
      // A block whose lines each have a direction of their own.
      t ? getComputedStyle(t).unicodeBidi === "plaintext" && getComputedStyle(t).overflow === "hidden" : false,
    ];
  });
  expect([bubble, body]).toEqual([true, true]);
  await scrollTo(page, 0);
  // One query, because rows far from the screen are removed, and history may still move them.
  await expect(log(page).locator('a[href^="http"][rel~="noopener"][target="_blank"]').first()).toBeVisible();
  await expect(log(page).locator('a[href^="http"]:not([rel~="noopener"][target="_blank"])')).toHaveCount(0);
});

test("a long message is folded, and unfolds in place", async ({ at }) => {
  const page = await at("/c/mira.kern");
  await scrollTo(page, 400);
  const long = articles(page).filter({ hasText: "Line 1:" });
  await atRest(page);
  await expect(long).not.toContainText("Line 40:");
  await long.getByRole("button", { name: en.conversation.showAll }).click();
  await expect(long).toContainText("Line 40:");
  await long.getByRole("button", { name: en.conversation.showLess }).scrollIntoViewIfNeeded();
  await atRest(page);
  await long.getByRole("button", { name: en.conversation.showLess }).click();
  await expect(long).not.toContainText("Line 40:");
});

test("a rejected message says why, and can be deleted, restored and sent again", async ({ at }) => {
  const page = await at("/c/mira.kern");
  const refused = articles(page).filter({ hasText: "This one was refused." });
  await expect(refused).toContainText(heldText.refused(heldText.problems.recipient_unavailable));
  await refused.getByRole("button", { name: en.conversation.remove }).click();
  await expect(refused).toBeHidden();
  await page.getByRole("button", { name: en.common.undo }).click();
  await expect(refused).toBeVisible();
  await refused.getByRole("button", { name: en.common.retry }).click();
  await expect(refused.getByRole("img", { name: en.conversation.waiting })).toBeVisible();
});

test("rows can be clicked while the list scrolls", async ({ at }) => {
  const page = await at("/c/mira.kern", { quiet: 1 });
  await expect(articles(page).last()).toBeVisible();
  await atRest(page);
  const hit = await log(page).evaluate(async (scroller) => {
    const frame = (): Promise<void> => new Promise((resolve) => requestAnimationFrame(() => resolve()));
    scroller.scrollTop -= 40;
    await frame();
    await frame(); // the list has handled the event
    const bubble = [...scroller.querySelectorAll("article .bubble")].find(
      (b) => b.getBoundingClientRect().top > scroller.getBoundingClientRect().top,
    );
    if (!bubble) return "no bubble is visible";
    const { left, top, width, height } = bubble.getBoundingClientRect();
    return (
      document.elementFromPoint(left + width / 2, top + height / 2)?.closest("article") === bubble.closest("article")
    );
  });
  expect(hit, "the row is under the pointer").toBe(true);
});

test("the keyboard moves through messages and answers them", async ({ at }) => {
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
  await expect(page.getByText(en.conversation.replyYourself)).toBeVisible();
  await page.keyboard.type("about that");
  await page.keyboard.press("Enter");
  await expect(articles(page).last()).toContainText("about that");
  await expect(
    articles(page)
      .last()
      .getByRole("button", { name: /^In reply to You/ }),
  ).toBeVisible();
});

test("copying a message shows that it was copied", async ({ at, context, view }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: view.url });
  const page = await at("/c/mira.kern");
  const message = articles(page).filter({ hasText: "Shall I bring the bread?" });
  await expect(message).toBeVisible();
  await atRest(page); // a row that moves away from the pointer is not under it
  await message.hover();
  await message.getByRole("button", { name: en.common.more }).click();
  await page.getByRole("menuitem", { name: messageText.copy }).click();
  await expect(page.getByText(en.common.copied)).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe("Shall I bring the bread?");
});
