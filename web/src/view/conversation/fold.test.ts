import { cpuUsage } from "node:process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { folded, onlyEmoji } from "./fold";
import { pieces } from "./links";

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
  test("families, flags and marked letters stay whole", () => {
    for (const character of ["👩‍👩‍👧‍👦", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🇩🇪", "👍🏽", "e\u0301\u0323", "क्षि"]) {
      for (const lead of ["", "x", "xy", "xyz"]) {
        const head = folded(lead + character.repeat(1_500)) ?? "";
        expect(head.length).toBeGreaterThan(850);
        expect((head.length - lead.length) % character.length).toBe(0);
      }
    }
  });

  // CPU time, since a busy machine stretches any clock.
  test("what was made to be slow is quick: 8,000 emoji, one of 8,000 joined, zalgo, a word of 4,000 letters", () => {
    const bodies = [
      "😀".repeat(8_000),
      "👩\u200d".repeat(4_000),
      "Z" + "\u0336\u031b".repeat(3_999),
      "🇩".repeat(8_000),
      "a".repeat(4_000),
      "\u200d".repeat(8_000),
      "\ud83d".repeat(8_000),
    ];
    const start = cpuUsage();
    for (const body of bodies) {
      for (let i = 0; i < 20; i++) {
        const head = folded(body);
        expect(head?.length ?? 0).toBeGreaterThan(700);
        expect(head?.length ?? 0).toBeLessThanOrEqual(900);
        expect(onlyEmoji(body)).toBe(false);
        pieces(body);
      }
    }
    expect(cpuUsage(start).user).toBeLessThan(1_000_000);
  });

  test("the head is always a beginning, and never ends in half a character", () => {
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
