import type * as Formatting from "./formatting";
import type { Segment } from "./markup";

/** Matches every body that may contain an address (a sign between other characters, or several digits) or formatting. */
const POSSIBLE = /[^\s.][.:@][^\s.]|(?:\d[ .\-/()]{0,2}){6}|[*_~`][^\s*_~`]|^(?:>|[-*•]|\d{1,4}[.)]|```|\\)/mu;

let formatting: typeof Formatting | null = $state.raw(null);
let loading = false;

/**
 * Returns the code that finds and shows links and formatting, if a body may need it. It is not part of the first load:
 * until it is there, everything is plain text.
 */
export function rich(body: string): typeof Formatting | null {
  if (!POSSIBLE.test(body)) return null;
  if (!formatting && !loading) void load();
  return formatting;
}

async function load(): Promise<void> {
  loading = true;
  try {
    formatting = await import("./formatting");
  } catch {
    loading = false; // the next message tries again
  }
}

/** Splits a text that is being written into its formatted parts. Returns null if it has no formatting. */
export function written(body: string): readonly Segment[] | null {
  const code = rich(body);
  const parts = code?.segments(code.marked(body)) ?? [];
  return parts.some(({ kinds }) => kinds.includes("sign")) ? parts : null;
}
