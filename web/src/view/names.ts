import type { User } from "../model";
import { text } from "../text";
import { shownName } from "../text/shownName";

export { shownName };

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
