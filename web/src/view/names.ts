import type { Person } from "../model";
import { text } from "../text";

/** What shows nothing, or turns what stands around it: controls, formats (bidi overrides, joiners, tags), fillers, variation selectors but the emoji's. */
const UNSEEN =
  // eslint-disable-next-line no-misleading-character-class -- a set of single code points, marks among them
  /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0e\u{e0100}-\u{e01ef}]/gu;
/** Joiners that mean something: in scripts that join letters, and in emoji. */
const JOINS =
  /(?<=[\p{M}\p{L}\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f])(?<![\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Greek}])[\u200c\u200d]/gu;
/** The flags of England, Scotland and Wales are written in tags. */
const FLAG = /\u{1f3f4}[\u{e0020}-\u{e007e}]{2,6}\u{e007f}/gu;
/** More marks on one letter than any script needs. */
const STACKED = /(\p{M}{4})\p{M}+/gu;

/** A name as it is shown: without what cannot be seen, and with no more marks on a letter than a line has room for. Empty where nothing is left. */
export function shownName(name: string): string {
  const shown = withoutUnseen(name);
  // A joiner may have been kept for what is gone now, such as a filler that counts as a letter.
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

/** What to call somebody: their name, else their username, else a neutral word. */
export function nameOf(person: Person): string {
  return shownName(person.displayName) || person.username || text.chats.gone;
}

/** Letters of other scripts that look like Latin ones, each before the one that it looks like. */
const ALIKE = new Map(
  Array.from("аaеeоoрpсcуyхxіiјjѕsԁdһhԛqԝwкkмmтtвbнhгrпnиuαaοoρpνvτtυuιiκkεeηnχxγyωwօoսuհhոnցgϲcʏyɡgıiɑa").reduce<
    [string, string][]
  >((pairs, c, i, all) => {
    if (i % 2 === 1) pairs.push([all[i - 1] ?? "", c]);
    return pairs;
  }, []),
);

/** The same for names that look alike: for comparing, never for showing. */
export function lookOf(name: string): string {
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

/** Whether a name is made as one is that wants to pass for another: scripts mixed within a word, letters in disguise, or something unseen. */
export function doubtful(name: string): boolean {
  if (shownName(name) !== name.trim().replace(/\s+/gu, " ")) return true;
  if (/\p{L}/u.test(name) && name.normalize("NFC") !== name.normalize("NFKC")) return true; // 𝐌𝐢𝐫𝐚, Ｍｉｒａ
  return name.split(/[^\p{L}\p{M}]+/u).some((word) => SCRIPTS.filter((script) => script.test(word)).length > 1);
}

/** What is known of people that were compared before: lists change often, and names seldom. */
const compared = new WeakMap<Person, { readonly look: string; readonly doubtful: boolean }>();

function compare(person: Person): { readonly look: string; readonly doubtful: boolean } {
  let known = compared.get(person);
  if (!known) {
    known = { look: lookOf(nameOf(person)), doubtful: doubtful(person.displayName) };
    compared.set(person, known);
  }
  return known;
}

/** The uids of those in a list whose name could be taken for another's: their username is shown beside it. */
export function mistakable(people: Iterable<Person>): ReadonlySet<string> {
  const found = new Set<string>();
  const first = new Map<string, Person>();
  for (const person of people) {
    const { look, doubtful } = compare(person);
    if (doubtful) found.add(person.uid);
    const other = first.get(look);
    if (!other) first.set(look, person);
    else if (other.uid !== person.uid) found.add(other.uid).add(person.uid);
  }
  return found;
}
