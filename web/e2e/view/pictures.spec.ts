import type { Page } from "@playwright/test";
import { en, expect, test } from "./test";

/** A PNG of the given size, with a red left half and a blue right half. */
function png(page: Page, width: number, height: number): Promise<Buffer> {
  return page
    .evaluate(
      async ([w, h]) => {
        const canvas = new OffscreenCanvas(w, h);
        const context = canvas.getContext("2d");
        if (!context) throw new Error("no canvas");
        context.fillStyle = "#f00";
        context.fillRect(0, 0, w / 2, h);
        context.fillStyle = "#00f";
        context.fillRect(w / 2, 0, w / 2, h);
        return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];
      },
      [width, height] as const,
    )
    .then((bytes) => Buffer.from(bytes));
}

/** Decodes the picture that the fake server received last: its type, size, bytes, and the colors of its two ends. */
function received(page: Page): Promise<{ type: string; width: number; height: number; size: number; ends: string[] }> {
  return page.evaluate(async () => {
    const all = (window as unknown as { received: Map<string, Blob> }).received;
    const blob = [...all.values()].at(-1);
    if (!blob) throw new Error("no picture was received");
    const bitmap = await createImageBitmap(blob);
    const context = new OffscreenCanvas(256, 256).getContext("2d", { willReadFrequently: true });
    context?.drawImage(bitmap, 0, 0);
    const ends = [8, 247].map((x) => {
      const [red = 0, , blue = 0] = context?.getImageData(x, 128, 1, 1).data ?? [];
      return red > 200 ? "red" : blue > 200 ? "blue" : "other";
    });
    return { type: blob.type, width: bitmap.width, height: bitmap.height, size: blob.size, ends };
  });
}

const words = en.settings;
const choose = (page: Page, name: string, mimeType: string, buffer: Buffer): Promise<void> =>
  page.locator('input[type="file"]').setInputFiles({ name, mimeType, buffer });

test("a picture is chosen, cropped and removed", async ({ at }) => {
  const page = await at("/settings", { latency: 0 });
  await choose(page, "photo.png", "image/png", await png(page, 1200, 600));
  const dialog = page.getByRole("dialog", { name: words.pictureCrop });
  await dialog.getByRole("button", { name: words.pictureUse }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByRole("main").locator(".avatar img")).toBeVisible();
  expect(await received(page)).toMatchObject({
    type: "image/webp",
    width: 256,
    height: 256,
    ends: ["red", "blue"],
  });
  expect((await received(page)).size).toBeLessThanOrEqual(65_536);

  // The keyboard moves and enlarges it as well: to its right half.
  await choose(page, "photo.png", "image/png", await png(page, 1200, 600));
  await dialog.getByRole("slider", { name: words.pictureZoom }).fill("2");
  await dialog.getByRole("button", { name: words.pictureMove }).focus();
  for (let i = 0; i < 12; i++) await page.keyboard.press("ArrowLeft");
  await dialog.getByRole("button", { name: words.pictureUse }).click();
  await expect(dialog).toBeHidden();
  expect((await received(page)).ends).toEqual(["blue", "blue"]);

  await page.getByRole("button", { name: words.pictureRemove }).click();
  await expect(page.locator(".avatar img")).toHaveCount(0);
  await expect(page.getByRole("button", { name: words.pictureAdd })).toBeVisible();
});

test("files that are not pictures are refused before they are sent", async ({ at }) => {
  const page = await at("/settings", { latency: 0 });
  const problem = page.getByText(words.pictureProblems.picture_invalid);
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>';
  for (const [name, type, content] of [
    ["a.svg", "image/svg+xml", svg],
    ["a.png", "image/png", svg],
    ["a.jpg", "image/jpeg", "not a picture"],
  ] as const) {
    await choose(page, name, type, Buffer.from(content));
    await expect(problem).toBeVisible();
    await choose(page, "photo.png", "image/png", await png(page, 20, 10));
    await expect(problem).toBeHidden();
    await expect(page.getByRole("dialog")).toBeVisible();
    await page.keyboard.press("Escape");
    await expect(page.getByRole("dialog")).toBeHidden();
  }
});

test("avatars show the pictures of people, and initials where there is none", async ({ at }) => {
  const page = await at("/people", { pictures: 2, people: 4, chats: 0, latency: 0 });
  const rows = page.getByRole("list", { name: en.people.label }).getByRole("listitem");
  await expect(rows).toHaveCount(4);
  await expect(rows.locator("img")).toHaveCount(2);
  for (const img of await rows.locator("img").all())
    await expect.poll(() => img.evaluate((element: HTMLImageElement) => element.naturalWidth)).toBe(256);
  await expect(rows.nth(3).locator(".avatar")).toHaveText(/\p{L}/u);
});
