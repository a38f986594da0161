import fc from "fast-check";
import { expect, test } from "vitest";
import { lengthOf } from "./length";

test("it counts code points, not UTF-16 units", () => {
  expect(["", "a", "😀", "😀a😀", "\ud83d", "\ude00\ud83d"].map(lengthOf)).toEqual([0, 1, 1, 3, 1, 2]);
});

test("it counts as Array.from does", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (s) => void expect(lengthOf(s)).toBe(Array.from(s).length)));
});
