// Tests of messages that leave the page by copying and printing, of files that are dropped on it, and of pages that are
// left while messages are only in memory.
import type { Page } from "@playwright/test";
import { en, expect, test } from "./test";

/** Waits until the code for copying and printing is loaded, as it is once the pointer has moved. */
async function attended(page: Page): Promise<void> {
  await page.mouse.move(600, 400);
  await expect(page.getByRole("separator", { name: en.nav.resize })).toBeVisible();
}

/** Selects from a character of a message to one of another, copies, and returns what was copied. */
async function copied(page: Page, from: [number, number], to: [number, number]): Promise<string> {
  await page.getByRole("log").evaluate(
    (log, [[first, start], [last, end]]) => {
      const bodies = [...log.querySelectorAll('article [id^="b-"]')];
      const text = (i: number): Node => [...(bodies.at(i)?.childNodes ?? [])].find((n) => n.textContent !== "") ?? log;
      getSelection()?.setBaseAndExtent(text(first), start, text(last), end);
    },
    [from, to] as const,
  );
  await page.keyboard.press("Control+c");
  return await page.evaluate(() => navigator.clipboard.readText());
}

test("several messages are copied as name, time and text, and a part of one as it is", async ({
  at,
  context,
  page,
  view,
}) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: view.url });
  await at("/c/lena", { quiet: 1 });
  const box = page.getByRole("textbox");
  for (const body of ["one of mine", "two\nlines"]) {
    await box.fill(body);
    await box.press("Enter");
  }
  await page.evaluate(() => {
    const { fake } = globalThis as unknown as {
      fake: { say(uid: string, body: string): void; people: { uid: string }[] };
    };
    fake.say(fake.people[6]?.uid ?? "", "an answer");
  });
  await expect(page.getByRole("article")).toHaveCount(3);
  await attended(page);
  expect(await copied(page, [0, 4], [2, 9])).toMatch(
    /^Ada Brandt, \d\d:\d\d: of mine\nAda Brandt, \d\d:\d\d: two\nlines\nLena, \d\d:\d\d: an answer$/u,
  );
  expect(await copied(page, [2, 3], [2, 9])).toBe("answer");
  await box.fill("in the field");
  await box.selectText();
  await page.keyboard.press("Control+c");
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe("in the field");
});

test("printing prints the messages that are loaded, and not the screen", async ({ at, page }) => {
  await at("/c/jonas");
  await expect(page.getByRole("article").last()).toBeVisible();
  await attended(page);
  const paper = page.locator(".printed");
  await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
  await page.emulateMedia({ media: "print" });
  await expect(paper.getByRole("heading", { level: 1 })).toHaveText(en.conversation.label("Jonas Ahlgren"));
  await expect(paper.getByText(/^Jonas Ahlgren, \d\d:\d\d:/u).first()).toBeVisible();
  expect(await paper.locator(".message").count()).toBeGreaterThanOrEqual(50);
  await expect(page.getByRole("textbox")).toBeHidden();
  expect(await page.evaluate(() => document.body.scrollHeight)).toBeGreaterThan(1_000);
  await page.emulateMedia({ media: "screen" });
  await expect(paper).toHaveCount(0);
  await expect(page.getByRole("textbox")).toBeVisible();
});

test("a file or a link that is dropped does not replace the page, and text still reaches a field", async ({
  at,
  page,
}) => {
  const drop = (on: string, kind: "file" | "link" | "text"): Promise<boolean[]> =>
    page.evaluate(
      ([selector, what]) =>
        ["dragover", "drop"].map((type) => {
          const dataTransfer = new DataTransfer();
          if (what === "file") dataTransfer.items.add(new File(["x"], "x.png", { type: "image/png" }));
          else dataTransfer.setData(what === "link" ? "text/uri-list" : "text/plain", "https://example.org");
          const event = new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true });
          document.querySelector(selector)?.dispatchEvent(event);
          return event.defaultPrevented;
        }),
      [on, kind] as const,
    );
  await at("/", { as: "signed-out" });
  await expect(page.getByLabel(en.auth.name, { exact: true })).toBeVisible();
  expect(await drop("main", "file")).toEqual([true, true]);
  await at("/c/lena");
  await expect(page.getByRole("textbox")).toBeVisible();
  expect(await drop("textarea", "file")).toEqual([true, true]);
  await expect(page.getByRole("main").getByText(en.common.noFiles)).toBeVisible();
  expect(await drop("[role=log]", "link")).toEqual([true, true]);
  expect(await drop("textarea", "text")).toEqual([false, false]);
});

test("a page with messages that are only in memory says so, and asks before it is left", async ({ at, page }) => {
  const asked: string[] = [];
  page.on("dialog", (dialog) => {
    asked.push(dialog.type());
    void dialog.accept();
  });
  const notice = page.getByText(en.connection.storageOverflow);
  // The page that asks is the last one, since it would ask again, without anybody having done something in it, when the
  // test goes on to another.
  for (const [query, warns] of [
    [{ overflow: 1 }, false],
    [{ unsent: 2 }, false],
    [{ overflow: 1, unsent: 2 }, true],
  ] as const) {
    await at("/c/lena", query);
    const box = page.getByRole("textbox");
    // Browsers ask only if the user has done something in the page.
    await box.fill("x");
    await box.press("Backspace");
    await expect(notice).toBeVisible({ visible: "overflow" in query });
    asked.length = 0;
    await page.reload();
    expect(asked).toEqual(warns ? ["beforeunload"] : []);
  }
});
