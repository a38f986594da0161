import type * as Markup from "./markup";

/** Matches every body that may contain an address (a sign between other characters, or several digits) or formatting. */
const POSSIBLE = /[^\s.][.:@][^\s.]|(?:\d[ .\-/()]{0,2}){6}|[*_~`][^\s*_~`]|^(?:>|[-*•]|\d{1,4}[.)]|```|\\)/mu;

let markup: typeof Markup | null = $state.raw(null);
let loading = false;

/** Returns the code that finds links and formatting if a body may need it. It is not part of the first load. */
function needed(body: string): typeof Markup | null {
  if (!POSSIBLE.test(body)) return null;
  if (!markup && !loading) void load();
  return markup;
}

async function load(): Promise<void> {
  loading = true;
  try {
    markup = await import("./markup");
  } catch {
    loading = false; // the next message tries again
  }
}

/**
 * Splits a body, or if `cut` the beginning of one, into blocks with links and formatting. Everything is plain text until
 * the code that finds them is there.
 */
export function rich(body: string, cut = false): readonly Markup.Block[] {
  return needed(body)?.marked(body, cut) ?? [{ kind: "lines", content: [{ kind: "text", text: body }] }];
}

/** Splits a text that is being written into its formatted parts. Returns null if it has no formatting. */
export function written(body: string): readonly Markup.Segment[] | null {
  const code = needed(body);
  const parts = code?.segments(code.marked(body)) ?? [];
  return parts.some(({ kinds }) => kinds.includes("sign")) ? parts : null;
}
