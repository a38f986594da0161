import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expectQuick } from "../testing/quick";
import { folded, onlyEmoji } from "./fold";

describe("folded", () => {
  test("a body that fits on a screen stays whole", () => {
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
  test("families, flags and marked letters stay whole", () => {
    for (const character of ["👩‍👩‍👧‍👦", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🇩🇪", "👍🏽", "e\u0301\u0323", "क्षि"]) {
      for (const lead of ["", "x", "xy", "xyz"]) {
        const head = folded(lead + character.repeat(1_500)) ?? "";
        expect(head.length).toBeGreaterThan(850);
        expect((head.length - lead.length) % character.length).toBe(0);
      }
    }
  });

  test.each([
    ["emoji", "😀"],
    ["joined emoji", "👩\u200d"],
    ["marks", "\u0336\u031b"],
    ["halves of flags", "🇩"],
    ["a word", "a"],
    ["joiners", "\u200d"],
    ["halves of characters", "\ud83d"],
  ])("%s: a long hostile body is folded quickly", (_, unit) => {
    const sized = (size: number) => unit.repeat(size);
    const head = folded(sized(8_000))?.length ?? 0;
    expect(head).toBeGreaterThan(700);
    expect(head).toBeLessThanOrEqual(900);
    expect(onlyEmoji(sized(8_000))).toBe(false);
    expectQuick(5, (size) => (folded(sized(size)), onlyEmoji(sized(size))));
  });

  test("the folded text is a prefix, and never ends within a character", () => {
    fc.assert(
      fc.property(
        fc
          .array(fc.string({ unit: "binary", minLength: 40, maxLength: 60 }), { minLength: 20, maxLength: 40 })
          .map((parts) => parts.join("")),
        (body) => {
          const head = folded(body);
          if (head === null) return;
          expect(body.startsWith(head)).toBe(true);
          expect(head).not.toMatch(/[\ud800-\udbff]$/u);
          expect(head.length).toBeLessThan(body.length);
        },
      ),
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
