import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Aim, HOLD_MS } from "./aim";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Ten rows in a window of 100 px; what a row measures can change. */
function list(): { sizes: number[]; scroller: { scrollTop: number }; aim: Aim } {
  const sizes = Array.from({ length: 10 }, () => 40);
  const sum = (to: number): number => sizes.slice(0, to).reduce((a, b) => a + b, 0);
  const scroller = {
    scrollTop: 0,
    clientHeight: 100,
    get scrollHeight() {
      return sum(10);
    },
    scrollTo({ top }: { top: number }) {
      this.scrollTop = Math.max(0, Math.min(top, sum(10) - 100));
    },
  };
  return {
    sizes,
    scroller,
    aim: new Aim(
      () => scroller,
      () => ({ getItemOffset: sum, getItemSize: (i) => sizes[i] ?? 0 }),
    ),
  };
}

test("a place is held while rows are measured, and no longer", () => {
  const { sizes, scroller, aim } = list();
  aim.end();
  expect([scroller.scrollTop, aim.atEnd]).toEqual([300, true]);
  sizes[9] = 200;
  expect(aim.atEnd).toBe(false);
  aim.measured();
  expect([scroller.scrollTop, aim.atEnd]).toEqual([460, true]);
  vi.advanceTimersByTime(HOLD_MS - 1);
  sizes[0] = 60;
  aim.measured();
  expect(scroller.scrollTop).toBe(480);
  vi.advanceTimersByTime(HOLD_MS);
  sizes[0] = 100;
  aim.measured();
  expect(scroller.scrollTop).toBe(480);
});

test("the reader's hand ends it at once", () => {
  const { sizes, scroller, aim } = list();
  aim.end();
  aim.release();
  scroller.scrollTop = 10;
  sizes[0] = 90;
  aim.measured();
  expect(scroller.scrollTop).toBe(10);
});

test("a newer aim replaces an older one", () => {
  const { sizes, scroller, aim } = list();
  aim.end();
  aim.centre(4);
  expect(scroller.scrollTop).toBe(130);
  sizes[0] = 60;
  aim.measured();
  expect(scroller.scrollTop).toBe(150);
  aim.start(4);
  expect(scroller.scrollTop).toBe(60 + 3 * 40 - 64);
});

test("what is shown whole does not move; else it comes in by the shortest way", () => {
  const { scroller, aim } = list();
  aim.intoView(1);
  expect(scroller.scrollTop).toBe(0);
  aim.intoView(3);
  expect(scroller.scrollTop).toBe(60);
  aim.intoView(2);
  expect(scroller.scrollTop).toBe(60);
  aim.intoView(1);
  expect(scroller.scrollTop).toBe(40);
});
