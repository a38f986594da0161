/** Where a text matches a query, in the text as it was written. */
import { characterStart } from "../../protocol/text";
import { fold } from "../../text/folding";

/** A part of a text. `hit`: it matches the query. */
export interface Part {
  readonly text: string;
  readonly hit: boolean;
}

/** A range of UTF-16 units. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The most characters of an excerpt before its first match, and from there on. */
const BEFORE = 36;
const AFTER = 220;
const PLAIN = /^[a-z0-9]$/;
/** A character with its marks. Folding one does not depend on its neighbors, except for white space. */
const CLUSTER = /\P{M}\p{M}*|\p{M}+/gu;

/** Returns where a text matches a folded query. The spans are whole characters with their marks, and do not overlap. */
export function matchesIn(text: string, query: string): readonly Span[] {
  if (query === "") return [];
  // The folded text, and for each of its units the characters that it comes from.
  let folded = "";
  const starts: number[] = [];
  const ends: number[] = [];
  const known = new Map<string, string>();
  for (const { 0: cluster, index } of text.matchAll(CLUSTER)) {
    let piece = known.get(cluster);
    if (piece === undefined) {
      // Between two letters, because white space at an end would be removed.
      piece = PLAIN.test(cluster) ? cluster : fold(`x${cluster}x`).slice(1, -1);
      known.set(cluster, piece);
    }
    const end = index + cluster.length;
    for (const unit of piece.split("")) {
      if (unit === " " && folded.endsWith(" ")) {
        ends[ends.length - 1] = end;
        continue;
      }
      if (unit === " " && folded === "") continue;
      folded += unit;
      starts.push(index);
      ends.push(end);
    }
  }
  const spans: { start: number; end: number }[] = [];
  for (let at = folded.indexOf(query); at >= 0; at = folded.indexOf(query, at + query.length)) {
    const start = starts[at] ?? 0;
    const end = ends[at + query.length - 1] ?? start;
    const last = spans[spans.length - 1];
    if (last && start < last.end) last.end = Math.max(last.end, end);
    else spans.push({ start, end });
  }
  return spans;
}

/** Returns the beginning of a text or, if its first match is further on, the part around that. */
export function excerptOf(text: string, query: string): readonly Part[] {
  const spans = matchesIn(text, query);
  const first = spans[0]?.start ?? 0;
  let from = 0;
  if (first > BEFORE) {
    const near = first - BEFORE;
    const space = text.slice(near, first).search(/\s/u);
    from = space < 0 ? characterStart(text, near) : near + space + 1;
  }
  const to = characterStart(text, Math.min(text.length, first + AFTER));
  const parts: Part[] = [];
  const add = (part: string, hit: boolean): void => {
    if (part !== "") parts.push({ text: part, hit });
  };
  add(from > 0 ? "…" : "", false);
  let at = from;
  for (const { start, end } of spans) {
    if (start >= to) break;
    add(text.slice(at, start), false);
    add(text.slice(start, Math.min(end, to)), true);
    at = Math.min(end, to);
  }
  add(text.slice(at, to), false);
  add(to < text.length ? "…" : "", false);
  return parts;
}
