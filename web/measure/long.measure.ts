import type { CDPSession, Page } from "@playwright/test";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { build } from "vite";
import { signIn } from "../e2e/support/archive";
import { messages, open } from "../e2e/support/steps";
import { expect, test } from "../e2e/support/test";
import { databaseName } from "../src/model/store/name";
import { MB, ms, quantile, tell } from "./figures";
import type { Seed } from "./seed";
import { slowCpu, throttle } from "./throttle";

const count = 50_000;

test("a conversation of 50,000 messages", async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  const [me, other] = [await signIn(ann), await signIn(bob)];
  const { page } = ann;
  await open(page, bob);
  const session = await throttle(page, { network: false });
  await session.send("Emulation.setCPUThrottlingRate", { rate: 1 });
  const empty = await heap(session);

  // The store is the app's alone while it runs: it is filled from a page of the same origin that runs no app.
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
  tell(`JavaScript heap with an empty conversation`, MB(empty));
  tell(`JavaScript heap with ${count} messages in the store, conversation open at its end`, MB(await heap(session)));
  tell(
    "opening that conversation by its address, until its last message is shown",
    `${ms(opened)} (${slowCpu}, cached)`,
  );

  for (const rate of [1, 4]) {
    await session.send("Emulation.setCPUThrottlingRate", { rate });
    const { gaps, scrolled } = await scroll(page);
    tell(
      `frames while scrolling up through them for 8 s, p50 / p95 / p99 / worst${rate === 1 ? "" : ` (${slowCpu})`}`,
      `${[0.5, 0.95, 0.99, 1].map((share) => ms(quantile(gaps, share))).join(" / ")}; ${(scrolled / 1000).toFixed(0)},000 px, ${((gaps.filter((g) => g > 50).length / gaps.length) * 100).toFixed(1)} % above 50 ms`,
    );
  }
  await session.send("Emulation.setCPUThrottlingRate", { rate: 1 });
  tell("JavaScript heap after that", MB(await heap(session)));
  tell("elements in the page", String(await page.evaluate(() => document.querySelectorAll("*").length)));
});

/** How many messages the store of an account holds. */
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

/** What is in use after everything that can be collected was. */
async function heap(session: CDPSession): Promise<number> {
  await session.send("HeapProfiler.enable");
  for (let n = 0; n < 3; n++) await session.send("HeapProfiler.collectGarbage");
  return (await session.send("Runtime.getHeapUsage")).usedSize;
}

/** Scrolls up for 8 s as fast as a hand with a wheel does, and gives the time between frames and the way that was made. */
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
  return page.evaluate((way) => {
    const { frames } = Object.assign(window, { measuring: false }) as unknown as { frames: number[] };
    return { gaps: frames.slice(1).map((at, i) => at - (frames[i] ?? at)), scrolled: way };
  }, scrolled);
}

/** seed.ts as one script, which leaves `seeding` in the window. */
async function bundled(): Promise<string> {
  const outDir = await mkdtemp(join(tmpdir(), "phoenix-seed-"));
  try {
    await build({
      configFile: false,
      logLevel: "warn",
      publicDir: false,
      build: {
        outDir,
        emptyOutDir: true,
        minify: false,
        lib: {
          entry: join(import.meta.dirname, "seed.ts"),
          formats: ["iife"],
          name: "seeding",
          fileName: () => "seed.js",
        },
      },
    });
    const script = await readFile(join(outDir, "seed.js"), "utf8");
    return `${script}\nwindow.seeding = seeding; undefined`;
  } finally {
    await rm(outDir, { recursive: true, force: true });
  }
}
