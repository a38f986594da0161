import type { CDPSession, Page } from "@playwright/test";
import { signIn } from "../e2e/support/accounts";
import { messages, open } from "../e2e/support/steps";
import { expect, test } from "../e2e/support/test";
import { databaseName } from "../src/model/store/store";
import { bundled } from "./bundle";
import { MB, ms, quantile, record } from "./figures";
import type { Seed } from "./seed";
import { slowCpu, throttle } from "./throttle";

const count = 50_000;

test("a conversation of 50,000 messages", async ({ user }) => {
  const [ann, bob] = [await user("Ann"), await user("Bob")];
  const [me, other] = [await signIn(ann), await signIn(bob)];
  const { page } = ann;
  await open(page, bob);
  const session = await throttle(page, { network: false });
  await session.send("Emulation.setCPUThrottlingRate", { rate: 1 });
  const empty = await heap(session);

  // Only the app may use the store while it runs, so a page of the same origin without the app fills it.
  await page.goto("/config.json");
  await page.evaluate(await bundled());
  await page.evaluate(
    (seed) => (window as unknown as { seeding: { seed: (s: Seed) => Promise<void> } }).seeding.seed(seed),
    { me: me.uid, other: other.uid, count },
  );

  await session.send("Emulation.setCPUThrottlingRate", { rate: 4 });
  const began = Date.now();
  await open(page, bob);
  await expect(messages(page, bob).filter({ hasText: `${count}: ` })).toBeVisible();
  const opened = Date.now() - began;
  await session.send("Emulation.setCPUThrottlingRate", { rate: 1 });
  expect(await stored(page, me.uid)).toBe(count);
  record(`JavaScript heap with an empty conversation`, MB(empty));
  record(`JavaScript heap with ${count} messages in the store, conversation open at its end`, MB(await heap(session)));
  record(
    "opening that conversation by its address, until its last message is shown",
    `${ms(opened)} (${slowCpu}, cached)`,
  );

  for (const rate of [1, 4]) {
    await session.send("Emulation.setCPUThrottlingRate", { rate });
    const { gaps, scrolled } = await scroll(page);
    record(
      `frames while scrolling up through them for 8 s, p50 / p95 / p99 / worst${rate === 1 ? "" : ` (${slowCpu})`}`,
      `${[0.5, 0.95, 0.99, 1].map((share) => ms(quantile(gaps, share))).join(" / ")}; ${(scrolled / 1000).toFixed(0)},000 px, ${((gaps.filter((g) => g > 50).length / gaps.length) * 100).toFixed(1)} % above 50 ms`,
    );
  }
  await session.send("Emulation.setCPUThrottlingRate", { rate: 1 });
  record("JavaScript heap after that", MB(await heap(session)));
  record("elements in the page", String(await page.evaluate(() => document.querySelectorAll("*").length)));
});

/** Returns the number of messages in the store of a user. */
async function stored(page: Page, uid: string): Promise<number> {
  return page.evaluate(
    (name) =>
      new Promise((resolve, reject) => {
        const opening = indexedDB.open(name);
        opening.onerror = () => reject(opening.error);
        opening.onsuccess = () => {
          const counting = opening.result.transaction("messages").objectStore("messages").count();
          counting.onsuccess = () => {
            opening.result.close();
            resolve(counting.result);
          };
          counting.onerror = () => reject(counting.error);
        };
      }),
    databaseName(uid),
  );
}

/** Returns the size of the heap after garbage collection. */
async function heap(session: CDPSession): Promise<number> {
  await session.send("HeapProfiler.enable");
  for (let n = 0; n < 3; n++) await session.send("HeapProfiler.collectGarbage");
  return (await session.send("Runtime.getHeapUsage")).usedSize;
}

/** Scrolls up for 8 s as fast as a user with a wheel does. Returns the times between frames, and the distance in px. */
async function scroll(page: Page): Promise<{ gaps: number[]; scrolled: number }> {
  await page.mouse.move(195, 400);
  await page.evaluate(() => {
    const frames: number[] = [];
    Object.assign(window, { frames, measuring: true });
    const tick = (now: number): void => {
      frames.push(now);
      if ((window as unknown as { measuring: boolean }).measuring) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  });
  const until = Date.now() + 8_000;
  let scrolled = 0;
  while (Date.now() < until) {
    await page.mouse.wheel(0, -400);
    scrolled += 400;
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 25)));
  }
  return page.evaluate((distance) => {
    const { frames } = Object.assign(window, { measuring: false }) as unknown as { frames: number[] };
    return { gaps: frames.slice(1).map((at, i) => at - (frames[i] ?? at)), scrolled: distance };
  }, scrolled);
}
