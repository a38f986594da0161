import { expect } from "vitest";

const SMALL = 1_000;
const LARGE = 8_000;
const RUNS = { least: 12, most: 200 };
/** Between linear growth from the small to the large size, which is 8, and quadratic growth, which is 64. */
const NEARLY_LINEAR = 24;
/** Milliseconds. Shorter times are mostly those of the clock and of the garbage collector. */
const SHORTEST = 0.02;

/**
 * Fails unless `work` takes less than `most` ms on an input of 8,000 units, and its time grows nearly linearly from 1,000
 * units. The fastest run of each size counts, because other processes only add time. On a busy machine, it takes more
 * runs until one of them is not disturbed.
 */
export function expectQuick(most: number, work: (size: number) => void): void {
  for (let i = 0; i < RUNS.least; i++) work(SMALL); // lets the engine compile it
  let [small, large, growth] = [Infinity, Infinity, Infinity];
  for (let run = 1; run <= RUNS.most; run++) {
    small = Math.min(small, timeOf(work, SMALL));
    large = Math.min(large, timeOf(work, LARGE));
    growth = large / Math.max(small, SHORTEST);
    if (run >= RUNS.least && growth < NEARLY_LINEAR && large < most) break;
  }
  expect(growth).toBeLessThan(NEARLY_LINEAR);
  expect(large).toBeLessThan(most);
}

/** Returns milliseconds. */
function timeOf(work: (size: number) => void, size: number): number {
  const start = performance.now();
  work(size);
  return performance.now() - start;
}
