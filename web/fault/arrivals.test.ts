import { expect, test } from "vitest";
import { Arrivals } from "./arrivals";

test("the first event of a message is no repeat, and all later ones are", () => {
  const arrivals = new Arrivals(new Set());
  expect(arrivals.arrive("m")).toBe(false);
  expect(arrivals.show("m", "event")).toBe(false);
  expect(arrivals.arrive("m")).toBe(true);
  expect(arrivals.show("m", undefined)).toBe(false);
});

test("an event repeats what history has shown, even if it arrived first and waits to be stored", () => {
  const arrivals = new Arrivals(new Set());
  expect(arrivals.arrive("m")).toBe(false);
  expect(arrivals.show("m", "history")).toBe(true);
  expect(arrivals.show("m", "history")).toBe(false);
  expect(arrivals.show("n", "history")).toBe(false);
  expect(arrivals.arrive("n")).toBe(true);
});

test("an event that an ended app did not store is no repeat", () => {
  const shown = new Set<string>();
  new Arrivals(shown).arrive("m");
  const next = new Arrivals(shown);
  expect(next.show("m", "history")).toBe(false);
  expect(next.arrive("m")).toBe(true);
});
