import { expect, test } from "vitest";
import { diffTimelines } from "./timelineDiff";

const keys = (s: string) => Array.from(s, (key) => ({ key }));

test.each([
  ["", "", { before: 0, after: 0, same: true }],
  ["", "abc", { before: 0, after: 3, same: false }],
  ["abc", "abc", { before: 0, after: 0, same: true }],
  ["abc", "xyabc", { before: 2, after: 0, same: false }],
  ["abc", "abcde", { before: 0, after: 2, same: false }],
  ["abc", "xabcd", { before: 1, after: 1, same: false }],
  ["abc", "axbc", { before: 0, after: 0, same: false }],
  ["abc", "bc", { before: 0, after: 0, same: false }],
  ["abc", "ab", { before: 0, after: 0, same: false }],
  ["abc", "xyz", { before: 0, after: 0, same: false }],
])("from %s to %s", (old, now, change) => expect(diffTimelines(keys(old), keys(now))).toEqual(change));
