import type { Piece } from "./links";

/** Matches every body that may contain an address: a sign between other characters, or several digits. */
const POSSIBLE = /[^\s.][.:@][^\s.]|(?:\d[ .\-/()]{0,2}){6}/u;

let pieces: ((body: string) => Piece[]) | null = $state.raw(null);
let loading = false;

/**
 * Splits a body into plain text and links. The code that finds links is not part of the first load. Until it is there,
 * everything is plain text.
 */
export function linked(body: string): readonly Piece[] {
  if (!POSSIBLE.test(body)) return [{ text: body }];
  if (pieces) return pieces(body);
  if (!loading) void load();
  return [{ text: body }];
}

async function load(): Promise<void> {
  loading = true;
  try {
    pieces = (await import("./links")).pieces;
  } catch {
    loading = false; // the next message tries again
  }
}
