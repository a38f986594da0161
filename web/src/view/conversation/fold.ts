/** Bodies with more UTF-16 units or lines are folded, so that a message fills at most about one screen. */
const LENGTH = 900;
const LINES = 12;
/** The most UTF-16 units of a character that is never split. The longest emoji has 25. */
const LONGEST = 64;
/** A body is folded only if it exceeds the limits by this factor, so that unfolding shows enough to be worth a tap. */
const SLACK = 1.25;

const segmenter = typeof Intl.Segmenter === "function" ? new Intl.Segmenter() : null;

/** Returns the beginning of a long body, or null if it is shown whole. Never splits a character. */
export function folded(body: string): string | null {
  const lines = lineEnd(body, LINES);
  if (body.length <= LENGTH * SLACK && lineEnd(body, Math.ceil(LINES * SLACK)) === body.length) return null;
  let end = Math.min(lines, body.length > LENGTH * SLACK ? LENGTH : body.length);
  end = characterStart(body, end);
  return body.slice(0, end).trimEnd();
}

/**
 * Returns the start of the character at `at`, so that joined emoji, flags and letters with marks stay whole. A letter
 * with thousands of marks is split between two code points.
 */
function characterStart(body: string, at: number): number {
  if (at >= body.length) return at;
  // Segments from the start of the body, because in a row of flags only the first shows which two letters form a flag.
  const start = segmenter?.segment(body.slice(0, at + LONGEST)).containing(at)?.index ?? at;
  if (at - start <= LONGEST) return start;
  const unit = body.charCodeAt(at);
  return unit >= 0xdc00 && unit <= 0xdfff ? at - 1 : at; // the second half of a pair
}

/** Returns the end of line `n` (before its line feed), or the length of the body. */
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

/** Reports whether a body is one to three emoji, which are shown large. */
export function onlyEmoji(body: string): boolean {
  if (body.length > 60 || segmenter === null) return false;
  let n = 0;
  for (const { segment } of segmenter.segment(body.trim())) {
    if (++n > 3 || !emoji.test(segment)) return false;
  }
  return n > 0;
}
