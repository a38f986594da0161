import { atRest, en, expect, test } from "./test";

/** Bodies that strangers send to break things; each is within the server's limits. */
const bodies: Readonly<Record<string, string>> = {
  "a word of 4,000 letters": "a".repeat(4_000),
  "8,000 emoji": "😀".repeat(8_000),
  "one emoji of 8,000": "👩‍".repeat(4_000),
  "stacked marks": "Z" + "̶̛".repeat(3_999),
  "marks on every letter": ("e" + "́".repeat(15)).repeat(500),
  "overrides without end": "‮⁦".repeat(4_000),
  markup: "<img src=x onerror=alert(1)><script>alert(2)</script>".repeat(100),
  brackets: "https://" + "(".repeat(7_900),
  lines: "\n".repeat(7_998) + ".",
};

for (const theme of ["wide", "phone"] as const) {
  test.describe(theme, () => {
    test.use({ viewport: theme === "wide" ? { width: 1280, height: 800 } : { width: 320, height: 640 } });

    test("hostile bodies stay within their bubbles, folded and opened, and hold nothing up", async ({ at }) => {
      const page = await at("/c/lena", { quiet: 1 });
      await expect(page.getByRole("textbox", { name: en.talk.writeTo("Lena") })).toBeVisible();
      for (const [name, body] of Object.entries(bodies)) {
        await test.step(name, async () => {
          await page.evaluate((said) => {
            const { fake } = globalThis as unknown as {
              fake: { people: { uid: string; username: string }[]; say(uid: string, body: string): void };
            };
            fake.say(fake.people.find((p) => p.username === "lena")?.uid ?? "", said);
          }, body);
          await atRest(page);
          const last = page.getByRole("article").last();
          await expect(last).toBeVisible();
          const inside = () =>
            last.evaluate((e) => {
              const bubble = e.querySelector(".bubble")?.getBoundingClientRect();
              const list = e.closest("[role=log]")?.getBoundingClientRect();
              return (
                bubble !== undefined &&
                list !== undefined &&
                bubble.left >= list.left &&
                bubble.right <= list.right &&
                document.documentElement.scrollWidth <= innerWidth
              );
            });
          await expect.poll(inside).toBe(true); // the pane beside it may still be arriving
          const all = last.getByRole("button", { name: en.talk.showAll });
          if ((await all.count()) > 0) {
            await all.click();
            await expect(last.getByRole("button", { name: en.talk.showLess })).toBeVisible();
            await expect.poll(inside).toBe(true);
            await atRest(page);
            await last.getByRole("button", { name: en.talk.showLess }).click();
            await expect(all).toBeVisible();
          }
          expect(await last.locator("img, script, b").count()).toBe(0);
        });
      }
    });
  });
}
