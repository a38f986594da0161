import { describe, expect, test } from "vitest";
import { RUN, place } from "./runs";

const base = new Date(2026, 10, 22, 14, 0).getTime();
const m = (from: "a" | "b", minutes: number) => ({ mine: from === "a", time: base + minutes * 60_000 });

describe("place", () => {
  test("a single message begins a day, and begins and ends a run", () => {
    expect(place(undefined, m("a", 0), undefined)).toEqual({ day: true, first: true, last: true });
  });
  test("a message within five minutes of the previous one continues the run, however long the run is", () => {
    expect(place(m("a", 0), m("a", 5), m("a", 10))).toEqual({ day: false, first: false, last: false });
  });
  test("a longer pause ends the run, to the millisecond", () => {
    const a = m("a", 0);
    expect(place(a, { mine: true, time: a.time + RUN }, undefined).first).toBe(false);
    expect(place(a, { mine: true, time: a.time + RUN + 1 }, undefined).first).toBe(true);
  });
  test("a message of another user ends the run on both sides", () => {
    expect(place(m("a", 0), m("b", 1), m("a", 2))).toEqual({ day: false, first: true, last: true });
  });
  test("midnight ends the run and begins a day", () => {
    const midnight = new Date(2026, 10, 23).getTime();
    const before = { mine: true, time: midnight - 60_000 };
    const after = { mine: true, time: midnight + 60_000 };
    expect(place(undefined, before, after).last).toBe(true);
    expect(place(before, after, undefined)).toEqual({ day: true, first: true, last: true });
  });
  test("the line before new messages ends the run on both sides", () => {
    expect(place(m("a", 0), m("a", 1), m("a", 2), true).first).toBe(true);
    expect(place(m("a", 0), m("a", 1), m("a", 2), false, true).last).toBe(true);
  });
});
