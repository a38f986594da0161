import { expect, test } from "vitest";
import { cut } from "./text";

const FAMILY = "👩‍👩‍👧‍👦";

test.each([
  ["a short text", 20, "a short text"],
  ["abcdef", 3, "abc"],
  ["ab😀", 3, "ab"],
  [`ab${FAMILY}c`, 6, "ab"],
  [`ab${FAMILY}c`, 2 + FAMILY.length, `ab${FAMILY}`],
  ["🇩🇪🇫🇷🇯🇵", 6, "🇩🇪"],
  ["ab👍🏽", 5, "ab"],
  ["cafe\u0301s", 4, "caf"],
  ["🏴󠁧󠁢󠁳󠁣󠁴󠁿", 5, ""],
  ["a\r\nb", 2, "a"],
  ["한글", 1, "한"],
])("%j cut at %d is %j", (text, max, want) => expect(cut(text, max)).toBe(want));

test("a letter with more marks than fit is cut between code points", () => {
  const zalgo = "Z" + "\u0301".repeat(500);
  expect(cut(zalgo, 400)).toBe(zalgo.slice(0, 400));
});
