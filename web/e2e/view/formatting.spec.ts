import { en, expect, test } from "./test";

test("formatting shows while it is written and in the message, and the text stays as it was typed", async ({ at }) => {
  const page = await at("/c/lena", { quiet: 1 });
  const box = page.getByRole("textbox", { name: en.conversation.writeTo("Lena") });
  const lines = [
    "*bold* _italic_ ~struck~ `code` snake_case 2*3*4 https://example.org/a_b_c",
    "> quoted",
    "- one",
    "- *two*",
    "```",
    "if (a) *b* = c",
    "```",
    "\\*plain\\*",
  ];
  const body = lines.join("\n");
  await box.fill(body);
  const mirror = page.locator(".mirror");
  await expect(mirror).toHaveText(`${body}\u200b`, { useInnerText: false });
  await expect(mirror.locator(".as-bold:not(.as-sign)")).toHaveText(["bold", "two"]);
  const same = await box.evaluate((field: HTMLTextAreaElement) => {
    const over = document.querySelector<HTMLElement>(".mirror");
    const [a, b] = [field.getBoundingClientRect(), over?.getBoundingClientRect()];
    return [a.left === b?.left, a.top === b?.top, a.height === b?.height, field.scrollHeight === over?.scrollHeight];
  });
  expect(same).toEqual([true, true, true, true]);
  await expect(mirror.locator(".as-bold:not(.as-sign)").first()).not.toHaveCSS("-webkit-text-stroke-width", "0px");
  await expect(mirror.locator(".as-italic:not(.as-sign)").first()).toHaveCSS("font-style", "italic");
  // No letter is wider than in the field.
  const font = (e: Element): string => [getComputedStyle(e).fontWeight, getComputedStyle(e).fontSize].join();
  const inField = await box.evaluate(font);
  for (const part of await mirror.locator("span").all()) expect(await part.evaluate(font)).toBe(inField);
  await page.keyboard.press("Enter");
  await expect(mirror).toHaveCount(0);

  const message = page.getByRole("article").last();
  await expect(message.locator("strong")).toHaveText(["bold", "two"]);
  await expect(message.locator("em")).toHaveText("italic");
  await expect(message.locator("s")).toHaveText("struck");
  await expect(message.locator("code")).toHaveText(["code", "if (a) *b* = c"]);
  await expect(message.getByRole("blockquote")).toHaveText("quoted", { useInnerText: true });
  await expect(message.getByRole("listitem")).toHaveText(["one", "two"], {
    useInnerText: true,
  });
  await expect(message.getByRole("link")).toHaveAttribute("href", "https://example.org/a_b_c");
  await expect(message).toContainText("snake_case 2*3*4");
  await expect(message).toContainText("*plain*", { useInnerText: true });
  expect(await message.locator("[id^='b-']").evaluate((e) => e.textContent)).toBe(body);
  await message.locator("[id^='b-']").evaluate((e) => getSelection()?.selectAllChildren(e));
  await page.mouse.move(1, 1); // loads the code that copies
  const copied = (): Promise<string> =>
    page.evaluate(() => {
      const clipboardData = new DataTransfer();
      document.body.dispatchEvent(new ClipboardEvent("copy", { clipboardData, bubbles: true, cancelable: true }));
      return clipboardData.getData("text/plain");
    });
  await expect.poll(copied).toBe(body);
});

test("keys format the selected words, and undo takes the formatting back", async ({ at }) => {
  const page = await at("/c/lena", { quiet: 1 });
  const box = page.getByRole("textbox");
  await box.fill("some words");
  await page.keyboard.press("Shift+ControlOrMeta+ArrowLeft");
  for (const [key, text] of [
    ["b", "some *words*"],
    ["b", "some words"],
    ["i", "some _words_"],
    ["z", "some words"],
    ["Shift+X", "some ~words~"],
    ["Shift+X", "some words"],
    ["e", "some `words`"],
  ] as const) {
    await page.keyboard.press(`ControlOrMeta+${key}`);
    await expect(box).toHaveValue(text);
  }
});
