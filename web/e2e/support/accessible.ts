import AxeBuilder from "@axe-core/playwright";
import { expect, type Page } from "@playwright/test";

/** Sets the color scheme, and waits until it is painted and no transition is running, so that axe can read colors. */
export async function paint(page: Page, colorScheme: Theme): Promise<void> {
  await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
  await page.evaluate(async () => {
    for (let frame = 0; frame < 2; frame++) await new Promise((painted) => requestAnimationFrame(painted));
    await Promise.allSettled(
      document
        .getAnimations()
        .filter((a) => a.effect?.getComputedTiming().endTime !== Infinity)
        .map((a) => a.finished),
    );
  });
}

/** The rules of axe that depend on colors. A second theme of the same screen needs only these. */
export const colorRules = ["color-contrast", "link-in-text-block"] as const;

/** Returns the findings of axe on the current page, by all of its default rules or by `rules`. */
export async function findings(
  page: Page,
  rules: readonly string[] = [],
): Promise<readonly { readonly id: string; readonly where: readonly string[] }[]> {
  // The page has no frames, so axe does not need another page to merge findings.
  const { violations } = await new AxeBuilder({ page })
    .setLegacyMode(true)
    .options({
      resultTypes: ["violations"],
      rules: { "label-content-name-mismatch": { enabled: true } }, // experimental, so it is off by default
      ...(rules.length > 0 ? { runOnly: [...rules] } : {}),
    })
    .analyze();
  return violations.map(({ id, nodes }) => ({
    id,
    where: nodes.map((node) => `${node.target.join(" ")}: ${node.failureSummary ?? ""}`),
  }));
}

export type Theme = "light" | "dark";

/** Expects that nothing is wider than the page. */
export async function expectNoSidewaysScroll(page: Page, what?: string): Promise<void> {
  expect(
    await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth),
    what,
  ).toBeLessThanOrEqual(0);
}
