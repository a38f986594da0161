/**
 * A face for everyone without a picture: initials, on a colour that follows
 * from the id alone, so that it is the same on every device and survives a new
 * name. Lightness and chroma come from the theme (tokens.css), so any hue keeps AA.
 */

/** Hues in degrees, spread so that neighbours are told apart; pure red is left to errors. */
export const hues = [42, 68, 96, 128, 156, 186, 216, 246, 276, 306, 332, 18] as const;

/** The hue of a person, from their id. */
export function hueOf(id: string): number {
  let hash = 2166136261; // FNV-1a
  for (let i = 0; i < id.length; i++) {
    hash ^= id.charCodeAt(i);
    hash = Math.imul(hash, 16777619);
  }
  return hues[(hash >>> 0) % hues.length] ?? 42;
}

const letter = /[\p{L}\p{N}]/u;

/**
 * One or two letters that stand for a name: of the first and the last word.
 * A name without letters (emoji, punctuation) gives its first character, an empty one "?".
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

/** At most 8 code units of it, so that a name of a hundred marks stays a dot of text. */
function firstGrapheme(name: string): string {
  if (!segmenter) return Array.from(name)[0] ?? "";
  for (const { segment } of segmenter.segment(name))
    return segment.length <= 8 ? segment : (Array.from(segment)[0] ?? "");
  return "";
}
