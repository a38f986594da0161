import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { folded, onlyEmoji } from "./fold";

describe("folded", () => {
  test("what fits a screen stays whole", () => {
    expect(folded("hello")).toBeNull();
    expect(folded("a".repeat(1100))).toBeNull();
    expect(folded("a\n".repeat(14))).toBeNull();
  });
  test("a long text shows its beginning", () => {
    expect(folded("a".repeat(8000))).toHaveLength(900);
  });
  test("many short lines are cut at a line", () => {
    expect(folded("a\n".repeat(100))).toBe("a\n".repeat(11) + "a");
  });
  test("8,000 emoji are cut between two of them", () => {
    const head = folded("😀".repeat(4000));
    expect(head).toBe("😀".repeat(450));
    expect(folded("x" + "😀".repeat(4000))).toBe("x" + "😀".repeat(449));
  });
  test("the head is always a beginning, and never ends in half a character", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary", minLength: 40, maxLength: 60 }), { minLength: 20, maxLength: 40 }).map((parts) => parts.join("")), (body) => {
        const head = folded(body);
        if (head === null) return;
        expect(body.startsWith(head)).toBe(true);
        expect(head).not.toMatch(/[\ud800-\udbff]$/u);
        expect(head.length).toBeLessThan(body.length);
      }),
      { numRuns: 60, endOnFailure: true },
    );
  });
});

test.each([
  ["😀", true],
  ["👩‍👩‍👧‍👦 ", true],
  ["🇩🇪🎉🔥", true],
  ["😀😀😀😀", false],
  ["ok 👍", false],
  ["1", false],
  ["❤️", true],
  ["👍🏽", true],
  ["™", true],
  ["", false],
])("%s alone: %s", (body, only) => expect(onlyEmoji(body)).toBe(only));
