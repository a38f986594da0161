/** Bodies longer than this many UTF-16 units or lines are folded: a screen of text, not ten. */
const LENGTH = 900;
const LINES = 12;
/** What is hidden must be worth a tap. */
const SLACK = 1.25;

/** The beginning of a long body, or null for one that is shown whole. Never cuts a character in two. */
export function folded(body: string): string | null {
  const lines = lineEnd(body, LINES);
  if (body.length <= LENGTH * SLACK && lineEnd(body, Math.ceil(LINES * SLACK)) === body.length) return null;
  let end = Math.min(lines, body.length > LENGTH * SLACK ? LENGTH : body.length);
  const unit = body.charCodeAt(end - 1);
  if (unit >= 0xd800 && unit <= 0xdbff) end--; // the first half of a pair
  // Joined emoji and stacked marks stay whole, as far as it is a few units.
  while (end < body.length && end < LENGTH + 40) {
    const next = String.fromCodePoint(body.codePointAt(end) ?? 0);
    if (!/^[\p{M}\u200d]$/u.test(next)) break;
    end += next.length;
  }
  return body.slice(0, end).trimEnd();
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

const segmenter = typeof Intl.Segmenter === "function" ? new Intl.Segmenter() : null;
const emoji = /^(?:\p{Extended_Pictographic}|\p{Regional_Indicator}{2})[\p{Emoji_Modifier}\p{Extended_Pictographic}\u200d\ufe0f\u{e0020}-\u{e007f}]*$/u;

/** One to three emoji and nothing else: shown large. */
export function onlyEmoji(body: string): boolean {
  if (body.length > 60 || segmenter === null) return false;
  let n = 0;
  for (const { segment } of segmenter.segment(body.trim())) {
    if (++n > 3 || !emoji.test(segment)) return false;
  }
  return n > 0;
}
