/** Bodies longer than this many UTF-16 units or lines are folded: a screen of text, not ten. */
const LENGTH = 900;
const LINES = 12;
/** Units in a character that is kept whole: the longest emoji has 25. */
const LONGEST = 64;
/** What is hidden must be worth a tap. */
const SLACK = 1.25;

const segmenter = typeof Intl.Segmenter === "function" ? new Intl.Segmenter() : null;

/** The beginning of a long body, or null for one that is shown whole. Never cuts a character in two. */
export function folded(body: string): string | null {
  const lines = lineEnd(body, LINES);
  if (body.length <= LENGTH * SLACK && lineEnd(body, Math.ceil(LINES * SLACK)) === body.length) return null;
  let end = Math.min(lines, body.length > LENGTH * SLACK ? LENGTH : body.length);
  end = characterStart(body, end);
  return body.slice(0, end).trimEnd();
}

/**
 * Where the character that `at` stands in begins: joined emoji, flags and marked letters stay whole. A letter with thousands of marks is cut
 * between two of its code points.
 */
function characterStart(body: string, at: number): number {
  if (at >= body.length) return at;
  // From the start, which is near: where flags stand in a row, only the first says which two letters are one.
  const start = segmenter?.segment(body.slice(0, at + LONGEST)).containing(at)?.index ?? at;
  if (at - start <= LONGEST) return start;
  const unit = body.charCodeAt(at);
  return unit >= 0xdc00 && unit <= 0xdfff ? at - 1 : at; // the second half of a pair
}

/** Where line number `n` ends (before its line feed), or the length of the body. */
function lineEnd(body: string, n: number): number {
  let at = -1;
  for (let i = 0; i < n; i++) {
    at = body.indexOf("\n", at + 1);
    if (at < 0) return body.length;
  }
  return at;
}

const emoji =
  // eslint-disable-next-line no-misleading-character-class -- a set of single code points that follow an emoji
  /^(?:\p{Extended_Pictographic}|\p{Regional_Indicator}{2})[\p{Emoji_Modifier}\p{Extended_Pictographic}\u200d\ufe0f\u{e0020}-\u{e007f}]*$/u;

/** One to three emoji and nothing else: shown large. */
export function onlyEmoji(body: string): boolean {
  if (body.length > 60 || segmenter === null) return false;
  let n = 0;
  for (const { segment } of segmenter.segment(body.trim())) {
    if (++n > 3 || !emoji.test(segment)) return false;
  }
  return n > 0;
}
