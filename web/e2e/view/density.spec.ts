import type { Locator, Page } from "@playwright/test";
import { messageText } from "../../src/text/messages";
import { choiceText } from "../../src/text/choices";
import { finger } from "./finger";
import { atRest, en, expect, painted, test } from "./test";

const articles = (page: Page) => page.getByRole("log").getByRole("article");
const menu = (page: Page) => page.getByRole("menu", { name: en.conversation.actions });
/** The first reaction of the open menu. */
const reaction = (page: Page) => menu(page).getByRole("menuitemcheckbox").first();
const item = (page: Page, name: string) => menu(page).getByRole("menuitem", { name, exact: true });
const bread = (page: Page) => articles(page).filter({ hasText: "Shall I bring the bread?" });

async function box(of: Locator): Promise<{ x: number; y: number; width: number; height: number }> {
  const rectangle = await of.boundingBox();
  if (!rectangle) throw new Error("the element is not visible");
  return rectangle;
}

/** Writes one-line messages to an empty conversation, each user in turn, which makes every message a run of its own. */
async function talk(page: Page, turns: number): Promise<void> {
  const field = page.getByRole("textbox");
  await expect(field).toBeFocused();
  for (let i = 1; i <= turns; i++) {
    await field.fill(`mine ${i}`);
    await field.press("Enter");
    await page.evaluate((n) => {
      const { fake } = globalThis as unknown as {
        fake: { say(uid: string, body: string): void; people: { uid: string }[] };
      };
      fake.say(fake.people[6]?.uid ?? "", `theirs ${n}`);
    }, i);
  }
  await expect(articles(page).last()).toContainText(`theirs ${turns}`);
  await atRest(page);
}

test("a one-line message takes at most 44 px, and 15 of them fit at 1280×800", async ({ at }) => {
  const page = await at("/c/lena", { quiet: 1 });
  await talk(page, 12);
  const { rows, whole } = await page.getByRole("log").evaluate((log) => {
    const view = log.getBoundingClientRect();
    const all = [...log.querySelectorAll("article")].map((a) => a.querySelector(".bubble")?.getBoundingClientRect());
    const tops = all.map((r) => r?.top ?? Number.NaN);
    return {
      rows: tops.slice(1).map((top, i) => top - (tops[i] ?? Number.NaN)),
      whole: all.filter((r) => r !== undefined && r.top >= view.top && r.bottom <= view.bottom).length,
    };
  });
  expect(rows.length).toBeGreaterThan(14);
  for (const height of rows) expect(height).toBeLessThanOrEqual(44);
  expect(whole).toBeGreaterThanOrEqual(15);
});

test("the time and the ticks are in the last line of the bubble, or on one more line in it", async ({ at, page }) => {
  await at("/c/mira.kern");
  for (const width of [320, 360, 768, 1280]) {
    await page.setViewportSize({ width, height: 800 });
    await expect(articles(page).last()).toBeVisible();
    await atRest(page);
    const rows = await articles(page).evaluateAll((all) =>
      all.map((article) => {
        const bubble = article.querySelector(".bubble");
        const end = article.querySelector(".end");
        const body = article.querySelector(".body span");
        if (!bubble || !end || !body) throw new Error("a part of the message is missing");
        const range = document.createRange();
        range.selectNodeContents(body);
        const [b, e] = [bubble.getBoundingClientRect(), end.getBoundingClientRect()];
        const lines = [...range.getClientRects()];
        const overlaps = lines.some(
          (l) => l.left < e.right - 1 && l.right > e.left + 1 && l.top < e.bottom - 1 && l.bottom > e.top + 1,
        );
        return {
          inside: e.left >= b.left && e.right <= b.right && e.top >= b.top && e.bottom <= b.bottom,
          overlaps,
          below: b.bottom - e.bottom,
          folded: article.querySelector(".fold") !== null,
        };
      }),
    );
    expect(rows.length).toBeGreaterThan(3);
    for (const { inside, overlaps, below, folded } of rows) {
      expect({ inside, overlaps }, `${width} px`).toEqual({ inside: true, overlaps: false });
      if (!folded) expect(below).toBeLessThanOrEqual(8);
    }
  }
});

test("the details are closed until they are opened, at every width, and blocking is behind a menu", async ({
  at,
  page,
}) => {
  const about = page.getByLabel(en.conversation.details("Jonas Ahlgren")).filter({ hasText: "@jonas" });
  for (const width of [360, 768, 1280, 1920]) {
    await page.setViewportSize({ width, height: 800 });
    await at("/c/jonas");
    await expect(articles(page).last()).toBeVisible();
    await expect(page.getByRole("button", { name: en.conversation.showDetails, exact: true })).toHaveAttribute(
      "aria-expanded",
      "false",
    );
    await expect(page.getByText(choiceText.block("Jonas Ahlgren"))).toHaveCount(0);
  }
  await page.getByRole("button", { name: en.conversation.showDetails, exact: true }).click();
  const pane = page.getByRole("complementary").and(about);
  await expect(pane).toBeVisible();
  await expect(pane.getByText(choiceText.block("Jonas Ahlgren"))).toBeHidden();
  await pane.getByRole("button", { name: en.common.more }).click();
  await pane.getByRole("menuitem", { name: new RegExp(`^${choiceText.block("Jonas Ahlgren")}`) }).click();
  await expect(pane.getByRole("button", { name: en.conversation.unblock })).toBeVisible();
});

test("the list is resized with the pointer and the keyboard, and keeps its width", async ({ at }) => {
  const page = await at("/c/jonas");
  const edge = page.getByRole("separator", { name: en.nav.resize });
  const list = page.getByRole("complementary", { name: en.nav.side });
  const width = async (): Promise<number> => (await box(list)).width;
  await list.hover(); // which loads the edge
  await expect(edge).toHaveAttribute("aria-valuenow", "360");
  await edge.press("ArrowRight");
  await expect.poll(width).toBe(376);
  await expect(edge).toHaveAttribute("aria-valuenow", "376");
  await page.reload();
  await expect.poll(width).toBe(376);
  await list.hover({ position: { x: 20, y: 200 } });
  const { x, y, height } = await box(edge);
  await page.mouse.move(x + 4, y + height / 2);
  await page.mouse.down();
  await page.mouse.move(300, y + 20, { steps: 3 });
  await page.mouse.up();
  await expect.poll(width).toBe(300);
  await edge.press("Home");
  await expect.poll(width).toBe(240);
  await edge.press("ArrowLeft");
  await expect.poll(width).toBe(240);
  await edge.press("End");
  await expect.poll(width).toBe(480);
  await edge.press("Enter");
  await expect.poll(width).toBe(360);
  await page.setViewportSize({ width: 700, height: 800 });
  await expect(edge).toHaveCount(0);
});

test("right click and the menu key open the menu of a message; Escape returns to the message", async ({ at }) => {
  const page = await at("/c/mira.kern", { quiet: 1 });
  await bread(page).locator(".bubble").click({ button: "right" });
  await expect(reaction(page)).toBeFocused();
  await page.keyboard.press("ArrowDown");
  await expect(item(page, en.conversation.reply)).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(menu(page)).toHaveCount(0);
  await expect(bread(page)).toBeFocused();
  await page.keyboard.press("ContextMenu");
  await item(page, en.conversation.reply).press("Enter");
  await expect(page.getByRole("textbox")).toBeFocused();
  await expect(page.getByText(en.conversation.replyYourself)).toBeVisible();
  await articles(page).filter({ hasText: "This one was refused." }).locator(".bubble").click({ button: "right" });
  await expect(item(page, en.conversation.remove)).toBeVisible();
  await expect(item(page, en.conversation.reply)).toHaveCount(0);
});

test("a menu that opens while another one closes stays open", async ({ at }) => {
  const page = await at("/c/mira.kern", { quiet: 1 });
  await bread(page).locator(".bubble").click({ button: "right" });
  await expect(reaction(page)).toBeFocused();
  // The browser reports that the first menu has closed after the second has opened.
  await bread(page).evaluate((message) => {
    document.querySelector<HTMLElement>("[popover]:popover-open")?.hidePopover();
    message.dispatchEvent(new KeyboardEvent("keydown", { key: "ContextMenu", bubbles: true }));
  });
  await painted(page);
  await expect(reaction(page)).toBeFocused();
});

test("actions under the pointer are beside the bubble and cover no text", async ({ at }) => {
  const page = await at("/c/mira.kern", { quiet: 1 });
  await expect(bread(page)).toBeVisible();
  await atRest(page); // a row that moves away from the pointer is not under it
  await bread(page).hover();
  const bubble = await box(bread(page).locator(".bubble"));
  for (const name of [en.conversation.reply, en.common.more]) {
    const button = await box(bread(page).getByRole("button", { name }));
    expect(button.x + button.width).toBeLessThanOrEqual(bubble.x);
    expect(button.y + button.height / 2).toBeCloseTo(bubble.y + bubble.height / 2, 0);
  }
});

for (const [place, sentence] of [
  ["/", en.chats.pick],
  ["/no/where", en.common.missing],
  ["/c/nobody", en.conversation.unknownPerson("nobody")],
  ["/c/lena", en.conversation.start("Lena")],
] as const) {
  test(`the empty pane of ${place} is centered`, async ({ at }) => {
    const page = await at(place);
    const empty = page.locator(".empty").filter({ hasText: sentence });
    const content = empty.locator("> *");
    await expect(content.first()).toBeVisible();
    const outer = await empty.evaluate((e) => {
      const pane = e.parentElement?.getBoundingClientRect();
      if (!pane) throw new Error("the pane is missing");
      return { x: pane.x + pane.width / 2, y: pane.y + pane.height / 2 };
    });
    const [first, last] = [await box(content.first()), await box(content.last())];
    expect(Math.abs((first.y + last.y + last.height) / 2 - outer.y)).toBeLessThanOrEqual(24);
    expect(Math.abs(first.x + first.width / 2 - outer.x)).toBeLessThanOrEqual(8);
  });
}

test.describe("with a finger", () => {
  test.use({ hasTouch: true, isMobile: true, viewport: { width: 360, height: 740 } });

  /** Opens the conversation and returns the middle of a bubble, once the gestures are loaded. */
  async function ready(page: Page): Promise<{ x: number; y: number }> {
    await expect(bread(page)).toBeVisible();
    await page.waitForLoadState("networkidle");
    await atRest(page);
    const { x, y, width, height } = await box(bread(page).locator(".bubble"));
    return { x: x + width / 2, y: y + height / 2 };
  }

  test("a long press opens the menu, and a tap opens nothing", async ({ at }) => {
    const page = await at("/c/mira.kern", { quiet: 1 });
    const { x, y } = await ready(page);
    const touch = await finger(page);
    await touch.down(x, y);
    await touch.up();
    await expect(bread(page).getByRole("button")).toHaveCount(0);
    await expect(menu(page)).toHaveCount(0);
    await touch.down(x, y);
    await expect(bread(page)).toHaveAttribute("data-gesture", "held");
    await touch.up();
    await expect(item(page, messageText.copy)).toBeVisible();
    await item(page, en.conversation.reply).tap();
    await expect(page.getByText(en.conversation.replyYourself)).toBeVisible();
  });

  test("a swipe answers, and one that is too short or goes back does not", async ({ at }) => {
    const page = await at("/c/mira.kern", { quiet: 1 });
    const { x, y } = await ready(page);
    const touch = await finger(page);
    await touch.down(x, y);
    for (const by of [12, 24, 36]) await touch.move(x + by, y);
    await expect(bread(page)).toHaveAttribute("data-gesture", "swipes");
    await touch.up();
    await expect(bread(page)).not.toHaveAttribute("data-gesture");
    await expect(page.getByText(en.conversation.replyYourself)).toHaveCount(0);
    await touch.down(x, y);
    for (const by of [12, 24, 36, 48, 64]) await touch.move(x + by, y);
    await expect(bread(page)).toHaveAttribute("data-gesture", "answers");
    await touch.up();
    await expect(page.getByText(en.conversation.replyYourself)).toBeVisible();
  });
});
