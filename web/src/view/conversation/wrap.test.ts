import { expect, test } from "vitest";
import { wrapped } from "./wrap";

/** Applies a sign to a text in which "[" and "]" mark the selection, and returns the result marked in the same way. */
function press(marked: string, sign: string): string {
  const start = marked.indexOf("[");
  const text = marked.replace(/[[\]]/gu, "");
  const end = marked.indexOf("]") - 1;
  const { from, to, insert, selection } = wrapped(text, start, end, sign);
  const next = text.slice(0, from) + insert + text.slice(to);
  return `${next.slice(0, selection[0])}[${next.slice(...selection)}]${next.slice(selection[1])}`;
}

test.each([
  ["a [b] c", "*", "a *[b]* c"],
  ["a *[b]* c", "*", "a [b] c"],
  ["a [*b*] c", "*", "a [b] c"],
  ["a [ b ]c", "_", "a  _[b]_ c"],
  ["[]", "*", "*[]*"],
  ["*[]*", "*", "[]"],
  ["a[]", "`", "a`[]`"],
  ["[a\n\n b]", "~", "[~a~\n\n ~b~]"],
  ["[~a~\n\n ~b~]", "~", "[a\n\n b]"],
  ["[ ]", "*", "[ ]"],
  ["*[a]*", "_", "*_[a]_*"],
  ["[*]", "*", "*[*]*"],
])("%j with %s becomes %j", (before, sign, after) => {
  expect(press(before, sign)).toBe(after);
});
