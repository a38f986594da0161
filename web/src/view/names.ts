import type { User } from "../model";
import { text } from "../text";

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

/** Returns the name of a user, or else their username, or else a neutral word. */
export function nameOf(person: User): string {
  return shownName(person.displayName) || person.username || text.chats.gone;
}

/** Letters of other scripts that look like Latin letters, each followed by the Latin letter. */
const ALIKE = new Map(
  Array.from("аaеeоoрpсcуyхxіiјjѕsԁdһhԛqԝwкkмmтtвbнhгrпnиuαaοoρpνvτtυuιiκkεeηnχxγyωwօoսuհhոnցgϲcʏyɡgıiɑa").reduce<
    [string, string][]
  >((pairs, c, i, all) => {
    if (i % 2 === 1) pairs.push([all[i - 1] ?? "", c]);
    return pairs;
  }, []),
);

/** Returns the same text for names that look alike. For comparing only; it is never shown. */
export function skeletonOf(name: string): string {
  const plain = shownName(name)
    .normalize("NFKD")
    .replace(/[\p{M}\s.\-_'’]/gu, "")
    .toLowerCase();
  return Array.from(plain, (c) => ALIKE.get(c) ?? c)
    .join("")
    .replace(/[1|l]/gu, "i")
    .replaceAll("0", "o")
    .replaceAll("rn", "m");
}

const SCRIPTS = [
  /\p{Script=Latin}/u,
  /\p{Script=Cyrillic}/u,
  /\p{Script=Greek}/u,
  /\p{Script=Armenian}/u,
  /\p{Script=Cherokee}/u,
] as const;

/**
 * Reports whether a name looks made to imitate another: it mixes scripts within a word, uses look-alike letters, or
 * contains invisible characters.
 */
export function doubtful(name: string): boolean {
  if (shownName(name) !== name.trim().replace(/\s+/gu, " ")) return true;
  if (/\p{L}/u.test(name) && name.normalize("NFC") !== name.normalize("NFKC")) return true; // 𝐌𝐢𝐫𝐚, Ｍｉｒａ
  return name.split(/[^\p{L}\p{M}]+/u).some((word) => SCRIPTS.filter((script) => script.test(word)).length > 1);
}

/** Results of earlier comparisons, because lists change often and names seldom. */
const compared = new WeakMap<User, { readonly skeleton: string; readonly doubtful: boolean }>();

function compare(person: User): { readonly skeleton: string; readonly doubtful: boolean } {
  let known = compared.get(person);
  if (!known) {
    known = { skeleton: skeletonOf(nameOf(person)), doubtful: doubtful(person.displayName) };
    compared.set(person, known);
  }
  return known;
}

/**
 * Returns the uids of the users in a list whose names could be mistaken for another's. Their usernames are shown,
 * too.
 */
export function mistakable(people: Iterable<User>): ReadonlySet<string> {
  const found = new Set<string>();
  const first = new Map<string, User>();
  for (const person of people) {
    const { skeleton, doubtful } = compare(person);
    if (doubtful) found.add(person.uid);
    const other = first.get(skeleton);
    if (!other) first.set(skeleton, person);
    else if (other.uid !== person.uid) found.add(other.uid).add(person.uid);
  }
  return found;
}
