/** Cutting of texts between characters as readers see them: emoji, flags and letters with marks stay whole. */

/** The most UTF-16 units of a character that is never split. The longest emoji has 25. */
const LONGEST = 64;

const segmenter = typeof Intl.Segmenter === "function" ? new Intl.Segmenter() : null;

/** Returns the beginning of a text, of at most `max` UTF-16 units. */
export function cut(text: string, max: number): string {
  return text.slice(0, characterStart(text, max));
}

/**
 * Returns the start of the character at `at`, so that joined emoji, flags and letters with marks stay whole. A letter
 * with thousands of marks is split between two code points.
 */
export function characterStart(text: string, at: number): number {
  if (at >= text.length) return at;
  // Segments from the start of the text, because in a row of flags only the first shows which two letters form a flag.
  const start = segmenter?.segment(text.slice(0, at + LONGEST)).containing(at)?.index ?? at;
  if (at - start <= LONGEST) return start;
  const unit = text.charCodeAt(at);
  return unit >= 0xdc00 && unit <= 0xdfff ? at - 1 : at; // the second half of a pair
}
