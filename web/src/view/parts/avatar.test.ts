import { expect, test } from "vitest";
import { hueOf, hues, initialsOf } from "./avatar";

test.each([
  ["Mira Kern", "MK"],
  ["mira", "M"],
  ["Sofía Hernández de la Fuente", "SF"],
  ["木村 ゆき", "木ゆ"],
  ["عمر فاروق", "عف"],
  ["  Élodie   ", "É"],
  ["“Quoted” (Name)", "QN"],
  ["4 Chan", "4C"],
  ["🎉", "🎉"],
  ["👩‍👩‍👧‍👦 🎉", "👩"],
  ["...", "."],
  ["", "?"],
  ["   ", "?"],
])("%s is shown as %s", (name, initials) => expect(initialsOf(name)).toBe(initials));

test("initials are short for every name", () => {
  expect(initialsOf("Z" + "\u0335".repeat(500)).length).toBeLessThanOrEqual(2);
  expect(initialsOf("\u{1F469}" + "\u200d\u{1F469}".repeat(200)).length).toBeLessThanOrEqual(8);
});

test("a color depends only on the id, and all colors are used", () => {
  expect(hueOf("abc")).toBe(hueOf("abc"));
  const used = new Set(Array.from({ length: 500 }, (_, i) => hueOf(`uid${i}`)));
  expect([...used].sort()).toEqual([...hues].sort());
});
