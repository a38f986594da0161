import { characterStart } from "../../model";

/** Bodies with more UTF-16 units or lines are folded, so that a message fills at most about one screen. */
const LENGTH = 900;
const LINES = 12;
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
