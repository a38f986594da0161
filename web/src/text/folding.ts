/** The folding rule of names, as the server applies it to lists and searches (functions/store/fold.go). */
import table from "./folding.json";

const QUOTE = new RegExp(`[${table.quotes}]`, "gu");
const QUOTES = new Set(table.quotes);
const PLAIN = new Map([...Object.entries(table.letters), ...Array.from(table.dashes, (dash) => [dash, "-"] as const)]);
const ASCII = /^[\0-\x7f]*$/;
const BEYOND_ASCII = /[^\0-\x7f]/gu;

/**
 * Returns the plain spelling of a name: without compatibility forms, accents, invisible characters and quotes, in lower
 * case with full case folding, with one kind of dash, and with white space collapsed. "Łukasz O’Neil" becomes "lukasz
 * oneil".
 */
export function fold(name: string): string {
  const kept = name.replace(QUOTE, "");
  return (ASCII.test(kept) ? kept.toLowerCase() : foldLetters(kept)).replace(/\s+/gu, " ").trim();
}

function foldLetters(name: string): string {
  return name
    .normalize("NFKD")
    .replace(/[\p{Mn}\p{Cf}]/gu, "")
    .replace(QUOTE, "")
    .replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
    .replace(BEYOND_ASCII, foldLetter);
}

function foldLetter(c: string): string {
  // Upper case first, so that letters with several lower-case forms become the same.
  const lower = c.toLowerCase();
  const plain = PLAIN.get(lower) ?? lower.toUpperCase().toLowerCase();
  return QUOTES.has(plain) ? "" : (PLAIN.get(plain) ?? plain);
}
