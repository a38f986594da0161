import { en, expect, test } from "./test";

test("names made to imitate are told apart by their username, and turn nothing around them", async ({ at }) => {
  const page = await at("/c/mallory", { imitator: 1 });
  const chats = page.getByRole("list", { name: en.chats.label });
  // Both of the two who look alike and the one whose name was cut, and nobody else.
  await expect(chats.getByRole("link", { name: /@(?:mira\.kern|mallory|zalgo)/ })).toHaveCount(3);
  await expect(chats.getByRole("link", { name: /@/ })).toHaveCount(3);
  await expect(chats.getByText("@mira.kern")).toBeVisible();
  await expect(chats.getByText("@mallory")).toBeVisible();
  const head = page.getByRole("button", { name: /^About / }).first();
  await expect(head).toContainText("@mallory");
  // Nothing unseen reaches the page.
  expect(await page.evaluate(() => /[\u202a-\u202e\u200b]/u.test(document.body.innerText + document.title))).toBe(
    false,
  );
});

test("a name of stacked marks stays in its line", async ({ at }) => {
  const page = await at("/");
  const row = page.getByRole("list", { name: en.chats.label }).locator("a.row").nth(10);
  const marks = await row
    .locator(".name")
    .evaluate((e) => Math.max(...(e.textContent ?? "").split(/\P{M}+/u).map((run) => run.length)));
  expect(marks).toBeLessThanOrEqual(4);
});
