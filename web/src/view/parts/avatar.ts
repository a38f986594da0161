/**
 * Avatars of users without a picture: initials on a color that depends only on the user's id, so that it is the same on
 * every device and survives a new name. Lightness and chroma come from the theme (tokens.css), so that the contrast of
 * every hue meets AA.
 */

/** Hues in degrees, spread so that each can be told from the next. Pure red is reserved for errors. */
export const hues = [42, 68, 96, 128, 156, 186, 216, 246, 276, 306, 332, 18] as const;

/** The number of tones of each hue; tokens.css has their lightness and chroma. */
export const TONES = 4;

/** The color of an avatar: a hue in degrees and one of the tones. */
export interface AvatarColor {
  readonly hue: number;
  readonly tone: number;
}

/**
 * Returns the color of a user from their id. Of the neighbors in a list, 2.5 % have colors that look alike
 * (avatar.test.ts), where 1 in 48 is what chance gives to 48 colors.
 */
export function colorOf(id: string): AvatarColor {
  let hash = 2166136261; // FNV-1a
  for (let i = 0; i < id.length; i++) {
    hash ^= id.charCodeAt(i);
    hash = Math.imul(hash, 16777619);
  }
  const n = (hash >>> 0) % (hues.length * TONES);
  return { hue: hues[n % hues.length] ?? 42, tone: Math.floor(n / hues.length) };
}

const letter = /[\p{L}\p{N}]/u;

/**
 * Returns the initials of the first and the last word of a name. A name without letters (emoji, punctuation) gives its
 * first character, an empty one "?".
 */
export function initialsOf(name: string): string {
  const words = name
    .normalize("NFC")
    .split(/\s+/u)
    .map((word) => Array.from(word).find((c) => letter.test(c)))
    .filter((c) => c !== undefined);
  const first = words[0];
  if (first === undefined) return firstGrapheme(name.trim()) || "?";
  const last = words.length > 1 ? words[words.length - 1] : "";
  return (first + (last ?? "")).toLocaleUpperCase();
}

const segmenter = typeof Intl.Segmenter === "function" ? new Intl.Segmenter() : undefined;

/** Cuts a character to 8 code units, so that one with a hundred marks stays small. */
function firstGrapheme(name: string): string {
  if (!segmenter) return Array.from(name)[0] ?? "";
  for (const { segment } of segmenter.segment(name))
    return segment.length <= 8 ? segment : (Array.from(segment)[0] ?? "");
  return "";
}
