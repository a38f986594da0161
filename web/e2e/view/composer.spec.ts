import { en, expect, test } from "./test";

test("Enter sends, Shift and Enter does not, and the field grows and shrinks", async ({ at }) => {
  const page = await at("/c/lena", { quiet: 1 });
  const box = page.getByRole("textbox", { name: en.talk.writeTo("Lena") });
  await expect(box).toBeFocused();
  const height = () => box.evaluate((e) => e.getBoundingClientRect().height);
  const low = await height();
  await page.keyboard.type("one");
  for (let i = 0; i < 3; i++) await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("two");
  expect(await height()).toBeGreaterThan(low + 40);
  await page.keyboard.press("Enter");
  await expect(box).toHaveValue("");
  expect(await height()).toBe(low);
  await expect(page.getByRole("article").last()).toContainText("one\n\n\ntwo");
});

test("Enter within an input method sends nothing", async ({ at }) => {
  const page = await at("/c/lena", { quiet: 1 });
  const box = page.getByRole("textbox");
  await box.fill("にほん");
  for (const init of [{ isComposing: true }, { keyCode: 229 }]) {
    await box.evaluate(
      (e, i) => e.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...i })),
      init,
    );
  }
  await expect(box).toHaveValue("にほん");
  await page.keyboard.press("Enter");
  await expect(box).toHaveValue("");
});

test("a counter appears near the limit, and what is too long is not sent", async ({ at }) => {
  const page = await at("/c/lena", { quiet: 1 });
  const box = page.getByRole("textbox");
  await box.fill("😀".repeat(7_400));
  await expect(page.getByText(/characters left$/)).toBeHidden();
  await box.fill("😀".repeat(7_990));
  await expect(page.getByText("10 characters left")).toBeVisible();
  await box.fill("😀".repeat(8_001));
  await expect(page.getByText("1 character too many")).toBeVisible();
  await page.keyboard.press("Enter");
  await expect(box).toHaveValue(/./u);
  await expect(page.getByRole("article")).toHaveCount(0);
});

test("nothing but white space is not sent", async ({ at }) => {
  const page = await at("/c/lena", { quiet: 1 });
  await page.getByRole("textbox").fill("  \n ");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("article")).toHaveCount(0);
  await expect(page.getByRole("button", { name: en.talk.send })).toHaveAttribute("aria-disabled", "true");
});

test("each conversation keeps its draft", async ({ at }) => {
  const page = await at("/c/lena");
  await page.getByRole("textbox").fill("for Lena alone");
  await page.getByRole("list", { name: en.chats.label }).getByRole("link", { name: /Amina/ }).click();
  await expect(page.getByRole("textbox")).toHaveValue("");
  await page.goBack();
  await expect(page.getByRole("textbox")).toHaveValue("for Lena alone");
});

test.describe("with fingers", () => {
  test.use({ hasTouch: true, isMobile: true, viewport: { width: 360, height: 740 } });

  test("Enter writes a line and the button sends, and targets are large enough", async ({ at }) => {
    const page = await at("/c/amina.diallo", { quiet: 1 });
    const box = page.getByRole("textbox");
    await expect(page.getByRole("article").last()).toBeVisible();
    await expect(box).not.toBeFocused(); // it would open the keyboard unasked
    await box.tap();
    await page.keyboard.type("one");
    await page.keyboard.press("Enter");
    await page.keyboard.type("two");
    await page.getByRole("button", { name: en.talk.send }).tap();
    await expect(page.getByRole("article").last()).toContainText("one\ntwo");
    await page.getByRole("article").last().tap();
    const small = await page.evaluate(() =>
      [...document.querySelectorAll<HTMLElement>("button, a, input, textarea, [role=button]")]
        .filter((e) => e.checkVisibility({ visibilityProperty: true }) && e.closest(".spoken, .body, [inert]") === null)
        .map(
          (e) =>
            ({ name: e.getAttribute("aria-label") ?? e.innerText, ...e.getBoundingClientRect().toJSON() }) as {
              name: string;
              width: number;
              height: number;
            },
        )
        // A step aside from the rule for what stands in a line of text (WCAG 2.5.8) is not taken here: links reach out by ::after.
        .filter((r) => r.width > 1 && (r.height < 44 || r.width < 44)),
    );
    expect(small.map(({ name, width, height }) => `${name}: ${width}×${height}`)).toEqual([]);
  });
});

test("the counter counts to the server's limit", async ({ at }) => {
  const page = await at("/c/lena", { quiet: 1, body: 20 });
  const box = page.getByRole("textbox");
  await box.fill("x".repeat(15));
  await expect(page.getByText("5 characters left")).toBeVisible();
  await box.fill("x".repeat(21));
  await expect(page.getByText("1 character too many")).toBeVisible();
});
