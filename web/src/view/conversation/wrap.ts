/** A replacement in a text, and what is selected after it. Positions count UTF-16 units. */
export interface Replacement {
  readonly from: number;
  readonly to: number;
  readonly insert: string;
  readonly selection: readonly [number, number];
}

/**
 * Puts a sign of formatting around the selection of a text, in each of its lines, or removes it. Without a selection, it
 * puts a pair around the caret.
 */
export function wrapped(text: string, start: number, end: number, sign: string): Replacement {
  const selected = text.slice(start, end);
  const around = text.slice(start - 1, start) === sign && text.slice(end, end + 1) === sign;
  if (around) return { from: start - 1, to: end + 1, insert: selected, selection: [start - 1, end - 1] };
  if (selected === "") return { from: start, to: end, insert: sign + sign, selection: [start + 1, start + 1] };
  const lines = selected.split("\n").map((line) => {
    const words = line.trim();
    const at = line.indexOf(words);
    return { before: line.slice(0, at), words, after: line.slice(at + words.length) };
  });
  const has = (words: string): boolean => words.length > 2 && words.startsWith(sign) && words.endsWith(sign);
  const remove = lines.every(({ words }) => words === "" || has(words));
  const insert = lines
    .map(({ before, words, after }) => {
      if (words === "") return before + after;
      return before + (remove ? words.slice(1, -1) : sign + words + sign) + after;
    })
    .join("\n");
  // After one line was wrapped, its words stay selected without the signs, so that the same key removes them.
  const [only] = lines;
  const inner = lines.length === 1 && only && only.words !== "" && !remove ? only : null;
  const from = start + (inner ? inner.before.length + 1 : 0);
  return {
    from: start,
    to: end,
    insert,
    selection: [from, inner ? from + inner.words.length : start + insert.length],
  };
}
