import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ScrollAnchor, HOLD_MS } from "./scrollAnchor";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Ten rows in a window of 100 px. The sizes of rows can change. */
function list(): { sizes: number[]; scroller: { scrollTop: number }; anchor: ScrollAnchor } {
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
    anchor: new ScrollAnchor(
      () => scroller,
      () => ({ getItemOffset: sum, getItemSize: (i) => sizes[i] ?? 0 }),
    ),
  };
}

test("the anchor keeps its place only while rows are measured", () => {
  const { sizes, scroller, anchor } = list();
  anchor.end();
  expect([scroller.scrollTop, anchor.atEnd]).toEqual([300, true]);
  sizes[9] = 200;
  expect(anchor.atEnd).toBe(false);
  anchor.measured();
  expect([scroller.scrollTop, anchor.atEnd]).toEqual([460, true]);
  vi.advanceTimersByTime(HOLD_MS - 1);
  sizes[0] = 60;
  anchor.measured();
  expect(scroller.scrollTop).toBe(480);
  vi.advanceTimersByTime(HOLD_MS);
  sizes[0] = 100;
  anchor.measured();
  expect(scroller.scrollTop).toBe(480);
});

test("scrolling releases the anchor at once", () => {
  const { sizes, scroller, anchor } = list();
  anchor.end();
  anchor.release();
  scroller.scrollTop = 10;
  sizes[0] = 90;
  anchor.measured();
  expect(scroller.scrollTop).toBe(10);
});

test("a newer place replaces an older one", () => {
  const { sizes, scroller, anchor } = list();
  anchor.end();
  anchor.center(4);
  expect(scroller.scrollTop).toBe(130);
  sizes[0] = 60;
  anchor.measured();
  expect(scroller.scrollTop).toBe(150);
  anchor.start(4);
  expect(scroller.scrollTop).toBe(60 + 3 * 40 - 64);
});

test("a visible row does not move, and another one scrolls into view by the shortest way", () => {
  const { scroller, anchor } = list();
  anchor.intoView(1);
  expect(scroller.scrollTop).toBe(0);
  anchor.intoView(3);
  expect(scroller.scrollTop).toBe(60);
  anchor.intoView(2);
  expect(scroller.scrollTop).toBe(60);
  anchor.intoView(1);
  expect(scroller.scrollTop).toBe(40);
});
