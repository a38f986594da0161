import AxeBuilder from "@axe-core/playwright";
import { expect, type Page } from "@playwright/test";

/** The theme that the browser asks for, painted, with no transition under way: colours can be read one by one. */
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

/** What axe finds on the page as it is. */
export async function findings(
  page: Page,
): Promise<readonly { readonly id: string; readonly where: readonly string[] }[]> {
  // There are no frames to go into, so axe needs no page of its own to put findings together.
  const { violations } = await new AxeBuilder({ page })
    .setLegacyMode(true)
    .options({ resultTypes: ["violations"] })
    .analyze();
  return violations.map(({ id, nodes }) => ({
    id,
    where: nodes.map((node) => `${node.target.join(" ")}: ${node.failureSummary ?? ""}`),
  }));
}

export type Theme = "light" | "dark";

/** No finding of axe whatever, in either theme or in the one given. */
export async function expectNoFindings(page: Page, ...themes: readonly Theme[]): Promise<void> {
  for (const colorScheme of themes.length > 0 ? themes : (["light", "dark"] as const)) {
    await paint(page, colorScheme);
    expect(await findings(page), colorScheme).toEqual([]);
  }
}

/** Nothing sticks out sideways. */
export async function expectNoSidewaysScroll(page: Page, what?: string): Promise<void> {
  expect(
    await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth),
    what,
  ).toBeLessThanOrEqual(0);
}
