import type { Page } from "@playwright/test";
import { signIn } from "../e2e/support/accounts";
import { en, open } from "../e2e/support/steps";
import { expect, test } from "../e2e/support/test";
import { bundled } from "./bundle";
import { MB, ms, record } from "./figures";
import type { Seed } from "./seed";
import { slowCpu, throttle } from "./throttle";

const count = 50_000;
/** One match, many, and a phrase: the texts have every third word of a sentence. */
const queries = ["49999: ", "river", "nobody so along"];

test("searching 50,000 messages", async ({ user }) => {
  const [ann, bob] = [await user("Ann"), await user("Bob")];
  const [me, other] = [await signIn(ann), await signIn(bob)];
  const { page } = ann;
  await open(page, bob);
  // Only the app may use the store while it runs, so a page of the same origin without the app fills it.
  await page.goto("/config.json");
  await page.evaluate(await bundled());
  await page.evaluate(
    (seed) => (window as unknown as { seeding: { seed: (s: Seed) => Promise<void> } }).seeding.seed(seed),
    { me: me.uid, other: other.uid, count },
  );
  await page.goto("/");
  await expect(page.getByRole("searchbox", { name: en.chats.search })).toBeVisible();
  const session = await throttle(page, { network: false });
  const heap = async (): Promise<number> => {
    await session.send("HeapProfiler.collectGarbage");
    return (await session.send("Runtime.getHeapUsage")).usedSize;
  };
  const before = await heap();

  // The oldest message is the first in the index, and the newest one the last.
  const loading = await search(page, `${count}: `);
  record(`loading the index of ${count} messages and showing the newest one (${slowCpu})`, ms(loading.took));
  record(`longest task meanwhile (${slowCpu})`, ms(Math.max(0, ...loading.tasks)));
  for (const query of queries) {
    const { took, tasks } = await search(page, query);
    record(`“${query}”, from the key until its hits are shown (${slowCpu})`, ms(took));
    record(`longest task meanwhile (${slowCpu}; browsers report those above 50 ms)`, ms(Math.max(0, ...tasks)));
  }
  record(`JavaScript heap before and after loading the index`, `${MB(before)}, ${MB(await heap())}`);
});

/** Searches, and returns how long it takes until a hit is shown, and the long tasks until half a second later. */
async function search(page: Page, query: string): Promise<{ took: number; tasks: number[] }> {
  return page.evaluate(
    (text) =>
      new Promise((resolve) => {
        const tasks: number[] = [];
        const watched = new PerformanceObserver((list) =>
          tasks.push(...list.getEntries().map((task) => task.duration)),
        );
        watched.observe({ type: "longtask" });
        const side = document.getElementById("side") ?? document.body;
        const input = side.querySelector("input");
        const began = performance.now();
        const changes = new MutationObserver(() => {
          if (![...side.querySelectorAll("mark")].some((mark) => mark.textContent.trim() === text.trim())) return;
          changes.disconnect();
          const took = performance.now() - began;
          setTimeout(() => {
            watched.disconnect();
            resolve({ took, tasks });
          }, 500);
        });
        changes.observe(side, { childList: true, subtree: true, characterData: true });
        if (!input) return;
        input.focus();
        input.value = text;
        input.dispatchEvent(new Event("input", { bubbles: true }));
      }),
    query,
  );
}
