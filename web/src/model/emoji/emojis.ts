/** The emoji that the client offers, with their English names. Loaded when somebody looks for one. */
import names from "./names.json";

export interface Emoji {
  readonly sign: string;
  /** The names that can be typed between colons. */
  readonly codes: readonly string[];
  readonly name: string;
  /** Whether it has variants of skin tone; see {@link toned}. */
  readonly tones: boolean;
}

export interface EmojiGroup {
  readonly key: string;
  readonly emoji: readonly Emoji[];
}

/** The tones of skin. "": the emoji without a tone. */
export const TONES = ["", "🏻", "🏼", "🏽", "🏾", "🏿"] as const;

/** The words by which an emoji is found, apart from its codes: those of its name and codes, then other ones. */
const words = new Map<Emoji, { readonly named: readonly string[]; readonly other: readonly string[] }>();

const wordsOf = (text: string): string[] => text.toLowerCase().split(/[^\p{L}\p{N}+]+/u);

function read(line: string): Emoji {
  const [sign = "", tones, codes = "", name = "", other = ""] = line.split("|");
  const emoji = { sign, codes: codes.split(" "), name, tones: tones !== "" };
  words.set(emoji, { named: [...wordsOf(name), ...wordsOf(codes)], other: wordsOf(other) });
  return emoji;
}

export const groups: readonly EmojiGroup[] = names.groups.map(({ key, emoji }) => ({ key, emoji: emoji.map(read) }));

/** Returns an emoji with a tone of skin. Must agree with build/emoji.mjs. */
export function toned({ sign, tones }: Emoji, tone: string): string {
  if (!tones || tone === "") return sign;
  return sign.replace(/\p{Emoji_Modifier_Base}\ufe0f?/gu, (base) => base.replace("\ufe0f", "") + tone);
}

/** Returns the emoji of a whole code, such as "tada". */
export function byCode(code: string): Emoji | undefined {
  const wanted = code.toLowerCase();
  for (const emoji of words.keys()) if (emoji.codes.includes(wanted)) return emoji;
  return undefined;
}

/**
 * Returns up to `limit` emoji that `query` may mean, the likeliest first: by the whole code, the beginning of a code,
 * and the beginnings of words.
 */
export function findEmoji(query: string, limit: number): readonly Emoji[] {
  const code = query
    .trim()
    .toLowerCase()
    .replace(/[\s-]+/gu, "_");
  const wanted = wordsOf(query).filter((word) => word !== "");
  if (wanted.length === 0) return [];
  const ranked: Emoji[][] = [[], [], [], []];
  for (const [emoji, { named, other }] of words) {
    const begins = (list: readonly string[], word: string): boolean => list.some((known) => known.startsWith(word));
    const rank = emoji.codes.includes(code)
      ? 0
      : begins(emoji.codes, code)
        ? 1
        : wanted.every((word) => begins(named, word))
          ? 2
          : wanted.every((word) => begins(named, word) || begins(other, word))
            ? 3
            : -1;
    ranked[rank]?.push(emoji);
  }
  return ranked.flat().slice(0, limit);
}
