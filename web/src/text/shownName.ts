/**
 * Characters that are invisible or that change the direction of the text around them: controls, formats (bidi
 * overrides, joiners, tags), fillers, and variation selectors except those of emoji.
 */
const UNSEEN =
  // eslint-disable-next-line no-misleading-character-class -- a set of single code points, marks among them
  /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0e\u{e0100}-\u{e01ef}]/gu;
/** Joiners with a meaning: in scripts that join letters, and in emoji. */
const JOINS =
  /(?<=[\p{M}\p{L}\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f])(?<![\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Greek}])[\u200c\u200d]/gu;
/** The flags of England, Scotland and Wales are written in tags. */
const FLAG = /\u{1f3f4}[\u{e0020}-\u{e007e}]{2,6}\u{e007f}/gu;
/** More combining marks on one letter than any script needs. */
const STACKED = /(\p{M}{4})\p{M}+/gu;

/**
 * Returns a name as it is shown: without invisible characters, and with at most as many marks on a letter as fit into a
 * line. Empty if nothing is left.
 */
export function shownName(name: string): string {
  const shown = withoutUnseen(name);
  // A joiner may have been kept for a character that was then removed, such as a filler that counts as a letter.
  return shown === name ? shown : shownName(shown);
}

function withoutUnseen(name: string): string {
  const kept = new Set<number>();
  for (const what of [JOINS, FLAG]) {
    for (const { index, 0: match } of name.matchAll(what)) for (let i = 0; i < match.length; i++) kept.add(index + i);
  }
  return name
    .replace(/\s/gu, " ")
    .replace(UNSEEN, (unseen, at: number) => (kept.has(at) ? unseen : ""))
    .replace(STACKED, "$1")
    .replace(/ +/gu, " ")
    .trim();
}
