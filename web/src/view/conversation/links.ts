/**
 * Finds addresses in a message body: web addresses, with a scheme or without, email addresses and phone numbers. Loaded
 * when a message may contain one (see ./rich.svelte.ts).
 */
import { COUNTRIES, GENERIC, INTERNATIONAL, LIKE_FILES } from "./domains";

export type Piece = { readonly text: string; readonly href?: string; readonly host?: string };

interface Found {
  readonly start: number;
  readonly text: string;
  readonly href: string;
  readonly host?: string;
}

/** Scripts without spaces between words. An address may follow a letter of them directly. */
export const SPACELESS =
  "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}" +
  "\u30fc\uff70"; // marks of long vowels, which Unicode assigns to no single script
/** Characters after which no word begins. */
const WITHIN = "[\\p{L}\\p{N}\\p{M}_@/.\\-]";
/** The start of a word. Searches begin only there, so that each run of characters is scanned once. */
const BEGIN = `(?<!${WITHIN})`;
/**
 * The same, or any place after a character of a script without spaces. Only for patterns that end soon after it or match,
 * because a search begins at each of these places.
 */
const BEGIN_IN_TEXT = `(?<!${WITHIN}(?<![${SPACELESS}]))`;
/**
 * A character of an address after its scheme. Of the punctuation outside of ASCII, only dashes, the middle dot and the
 * apostrophe belong to addresses, and only within a word. Other signs end the address, such as the full stops and
 * brackets of East Asian, Arabic and Indic scripts. Invisible characters end it, too, because they could make it look
 * different from its target.
 */
const INSIDE =
  "(?:[^\\s\\p{P}\\p{C}<>`|\uff5c\uff1c\uff1e]|[!#%&'()*,\\-./:;?@[\\\\\\]_{}`|]|[\\p{Pd}·’](?=[\\p{L}\\p{N}]))";
const PATH = `(?:[/?#]${INSIDE}*)?`;

const WEB = new RegExp(`${BEGIN_IN_TEXT}(?:https?:\\/\\/|www\\.)${INSIDE}+`, "giu");
/** A host that ends with letters and continues with another script: "https://example.orgを見て". */
const HOST_IN_TEXT = /^(?:https?:\/\/)?[^/?#:]*\.[a-z]{2,}(?=[^\0-\x7f])(?!\p{Script=Latin}|\p{M})/iu;
const MAILBOX = "\\p{L}\\p{N}!#$%&*+/=?^_{|}~\\-";
/** A part of the name before the "@", at most as long as the whole name may be. It may have an apostrophe in it. */
const ATOM = `(?:[${MAILBOX}]|(?<=\\p{L})['’](?=\\p{L})){1,64}`;
/** The same after text in a script without spaces, which is not a part of the name. */
const ATOM_IN_TEXT = `(?<=[${SPACELESS}])(?![${SPACELESS}])[${MAILBOX}]{1,64}`;
/** The name before the "@". Looked for first, so that a search ends soon where there is none. */
const NAMED = `(?=(?:mailto:)?[${MAILBOX}.'’]{1,64}@)`;
const EMAIL = new RegExp(
  `${NAMED}(?:(?<![${MAILBOX}.]|\\p{L}['’])(?:mailto:)?(?![${SPACELESS}]+[!-~])${ATOM}|${ATOM_IN_TEXT})(?:\\.${ATOM})*` +
    "@(?:[\\p{L}\\p{N}]+(?:-+[\\p{L}\\p{N}]+)*\\.)+" +
    "(?:[a-z][a-z0-9-]*[a-z](?![\\p{Script=Latin}\\p{N}_@-])|(?=[^\\0-\\x7f])\\p{L}[\\p{L}\\p{N}-]*\\p{L}(?![\\p{N}_@-]))",
  "giu",
);
const LATIN = "[\\p{Script=Latin}0-9]";
const ANY = "[\\p{L}\\p{M}\\p{N}]";
/** A host in Latin letters, and one that ends with a domain in another script, whose names may have letters of all. */
const HOSTS = [
  [BEGIN_IN_TEXT, `(?:${LATIN}+(?:-+${LATIN}+)*\\.)+[a-z][a-z0-9-]+(?![\\p{Script=Latin}\\p{N}_@-])`],
  // Labels have at most 63 characters.
  [BEGIN, `(?:${ANY}{1,63}(?:-+${ANY}{1,63})*\\.)+(?=[^\\0-\\x7f])[\\p{L}\\p{M}]{2,}(?![\\p{N}_@-])`],
] as const;
const DOMAINS = HOSTS.map(([begin, host]) => new RegExp(`${begin}(${host})(?::\\d{1,5})?(?!:?\\d)${PATH}`, "giu"));
/** With a country code, with a leading zero, or as written in North America. */
const PHONE =
  /(?<![\p{L}\p{N}_.,/:#+-])(?:(?:\+|\((?=\+\d{1,3}\))\+)[1-9](?:[ .\-/()]{0,2}\d){6,14}|(?<!\d )(?:\(?0[1-9]?\d?(?:[ \-/()]{0,3}\d){6,12}|(?:1[ .-])?\(?[2-9]\d\d\)?[ .-]\d{3}[ .-]\d{4}))(?![\p{L}\p{N}_]|[.,:/-]\d)/gu;
const DATE = /^\d{1,2}([./-])\d{1,2}\1\d{2,4}$/u;

const closers: Readonly<Record<string, string>> = { ")": "(", "]": "[", "}": "{" };

/** Splits a body into plain text and links, in order. The texts of the pieces, joined, are the body. */
export function pieces(body: string): Piece[] {
  const out: Piece[] = [];
  let end = 0;
  for (const { start, text, href, host } of all(body)) {
    if (start < end) continue;
    if (start > end) out.push({ text: body.slice(end, start) });
    out.push({ text, href, ...(host === undefined ? {} : { host }) });
    end = start + text.length;
  }
  if (end < body.length || out.length === 0) out.push({ text: body.slice(end) });
  return out;
}

/** Returns everything that looks like an address, by start; of several at one place, the surest comes first. */
function all(body: string): Found[] {
  const found: Found[] = [];
  const add = (start: number, text: string, href: string | undefined, host?: string): void => {
    if (href !== undefined) found.push(host === undefined ? { start, text, href } : { start, text, href, host });
  };
  /** Marks the characters of addresses, valid or not. What is within one is not an address by itself. */
  const taken = new Uint8Array(body.length);
  for (const { 0: match, index } of body.matchAll(WEB)) {
    const text = trimmed(HOST_IN_TEXT.exec(match)?.[0] ?? match);
    taken.fill(1, index, index + text.length);
    const url = parsed(text);
    add(index, text, url?.href, url?.host);
  }
  for (const { 0: match, index } of body.matchAll(EMAIL))
    if (taken[index] === 0) {
      taken.fill(1, index, index + match.length);
      add(index, match, `mailto:${match.replace(/^mailto:/iu, "")}`);
    }
  for (const pattern of DOMAINS)
    for (const { 0: match, 1: host = "", index } of body.matchAll(pattern)) {
      const text = trimmed(match);
      if (taken[index] !== 0 || !domainLike(host, text.length > host.length)) continue;
      taken.fill(1, index, index + text.length);
      const url = parsed(text);
      add(index, text, url?.href, url?.host);
    }
  for (const { 0: match, index } of body.matchAll(PHONE)) {
    const abroad = /^\(?\+/u.test(match);
    // In "+49 (0)30", the zero is for calls within the country.
    const digits = (abroad ? match.replace("(0)", "") : match).replace(/\D/gu, "");
    if (taken[index] === 0 && digits.length <= 15 && !DATE.test(match) && balanced(match))
      add(index, match, `tel:${abroad ? "+" : ""}${digits}`);
  }
  return found.sort((a, b) => a.start - b.start);
}

/** Reports whether a name without a scheme is an address: it ends with a domain that exists. */
function domainLike(host: string, more: boolean): boolean {
  const top = host.slice(host.lastIndexOf(".") + 1);
  // "him.It was" lacks a space and is not an address.
  if (top !== top.toLowerCase() && host !== host.toUpperCase()) return false;
  const name = top.toLowerCase();
  if (LIKE_FILES.has(name)) return more;
  return COUNTRIES.has(name) || GENERIC.has(name) || INTERNATIONAL.has(name) || name.startsWith("xn--");
}

function balanced(number: string): boolean {
  return number.split("(").length === number.split(")").length;
}

/** Removes punctuation at the end, except closing brackets whose opening brackets are part of the address. */
function trimmed(address: string): string {
  // Counts unclosed brackets of each kind, and updates the counts as the end moves, so that one pass is enough.
  const open: Record<string, number> = { "(": 0, "[": 0, "{": 0 };
  for (const c of address) {
    const opener = closers[c];
    if (opener !== undefined) open[opener] = (open[opener] ?? 0) - 1;
    else if (c in open) open[c] = (open[c] ?? 0) + 1;
  }
  let end = address.length;
  for (; end > 0; end--) {
    const last = address.charAt(end - 1);
    const opener = closers[last];
    if (opener !== undefined) {
      const balance = open[opener] ?? 0;
      if (balance >= 0) break;
      open[opener] = balance + 1;
    } else if (last in open) {
      open[last] = (open[last] ?? 0) - 1;
    } else if (!/[.,;:!?'’*_~`|\\]/u.test(last)) break;
  }
  return address.slice(0, end);
}

function parsed(written: string): URL | undefined {
  const scheme = /^https?:/iu.test(written);
  try {
    const url = new URL(scheme ? written : `https://${written}`);
    if (url.protocol !== "http:" && url.protocol !== "https:") return undefined;
    // "https://bank.example@evil.example" looks like the first host but leads to the second.
    if (url.username !== "" || url.password !== "") return undefined;
    if (/^\.|\.\./u.test(url.hostname)) return undefined;
    // "http://999" leads to 0.0.3.231.
    if (/^[\d.]+$/u.test(url.hostname) && !written.includes(url.hostname)) return undefined;
    // With a scheme, the name of a machine is an address as well: "http://intranet/".
    const machine = scheme && /^https?:\/\/[a-z]/iu.test(written) && /^[a-z][a-z0-9-]*[a-z0-9]$/u.test(url.hostname);
    if (!url.hostname.includes(".") && !url.hostname.startsWith("[") && !machine) return undefined;
    return url;
  } catch {
    return undefined;
  }
}
