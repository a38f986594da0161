/**
 * Finds addresses in a body. Only http and https become links, and only where
 * the scheme or "www." is written: no guess turns a word into an address.
 */

export type Piece = { readonly text: string; readonly href?: string; readonly host?: string };

// What can follow the scheme. Bidirectional controls and invisible characters
// end an address: they would make it read otherwise than it leads.
const candidate =
  /(?:https?:\/\/|www\.)[^\s<>"“”«»\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+/giu;
const closers: Readonly<Record<string, string>> = { ")": "(", "]": "[", "}": "{" };

/** Splits a body into plain text and links, in order; joined, the texts are the body. */
export function pieces(body: string): Piece[] {
  const out: Piece[] = [];
  let end = 0;
  for (const match of body.matchAll(candidate)) {
    const start = match.index;
    if (start < end || (start > 0 && /[\p{L}\p{N}@/._-]/u.test(body.charAt(start - 1)))) continue;
    const written = trimmed(match[0]);
    const url = parsed(written);
    if (!url) continue;
    if (start > end) out.push({ text: body.slice(end, start) });
    out.push({ text: written, href: url.href, host: url.host });
    end = start + written.length;
  }
  if (end < body.length || out.length === 0) out.push({ text: body.slice(end) });
  return out;
}

/** Without the punctuation that belongs to the sentence; a closing bracket stays when its opening one is inside. */
function trimmed(address: string): string {
  // How many more of each kind are opened than closed, kept while the end moves: one pass, whatever is written.
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
    } else if (!/[.,;:!?'’…*_~`|]/u.test(last)) break;
  }
  return address.slice(0, end);
}

function parsed(written: string): URL | undefined {
  const scheme = /^https?:/iu.test(written);
  try {
    const url = new URL(scheme ? written : `https://${written}`);
    if (url.protocol !== "http:" && url.protocol !== "https:") return undefined;
    // "https://bank.example@evil.example" reads as the first and leads to the second.
    if (url.username !== "" || url.password !== "") return undefined;
    if (!url.hostname.includes(".") && url.hostname !== "localhost") return undefined;
    return url;
  } catch {
    return undefined;
  }
}
