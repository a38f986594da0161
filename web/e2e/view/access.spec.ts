import AxeBuilder from "@axe-core/playwright";
import { expect, test } from "./test";

/** Every screen, as it is with something in it. */
const screens: readonly (readonly [string, Readonly<Record<string, string | number>>])[] = [
  ["/signin", { as: "signed-out" }],
  ["/signin", { as: "signed-out", reason: "disabled" }],
  ["/signup", { as: "signed-out" }],
  ["/reset", { as: "signed-out" }],
  ["/reset?oobCode=x", { as: "signed-out" }],
  ["/", { as: "failed" }],
  ["/", { offline: 1, offer: 1 }],
  ["/", { empty: 1 }],
  ["/people", {}],
  ["/c/mira.kern", {}],
  ["/c/jonas", {}],
  ["/c/lena", {}],
  ["/c/nobody", {}],
  ["/settings", {}],
  ["/no/where", {}],
  ["/admin", {}],
  ["/admin", { admin: 1 }],
  ["/admin/messages", { admin: 1 }],
  ["/admin/figures", { admin: 1 }],
  ["/admin/dead-letters", { admin: 1 }],
  ["/admin/audit", { admin: 1 }],
];

// Both themes and both ends of the layout; colours do not depend on the width.
for (const [colorScheme, width] of [["light", 360], ["dark", 1280]] as const) {
  test.describe(`${colorScheme}, ${width} px`, () => {
    test.use({ colorScheme, viewport: { width, height: 800 }, bypassCSP: true, serviceWorkers: "block", contextOptions: { reducedMotion: "reduce" } });

    test("axe finds nothing, and nothing sticks out", async ({ page, view }) => {
      test.slow();
      await page.clock.install();
      for (const [place, how] of screens) {
        const query = new URLSearchParams({ fake: "1", latency: "0", ...Object.fromEntries(Object.entries(how).map(([k, v]) => [k, String(v)])) });
        await page.goto(`${view.url}${place}${place.includes("?") ? "&" : "?"}${query.toString()}`);
        await expect(page.getByRole("heading", { level: 1 })).toHaveCount(1);
        await page.clock.runFor(1_000); // what is late is there, and says so
        const { violations } = await new AxeBuilder({ page }).analyze();
        expect(violations.map(({ id, nodes }) => ({ id, where: nodes.map((n) => n.target.join(" ")) })), place).toEqual([]);
        expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), place).toBeLessThanOrEqual(0);
      }
    });
  });
}
