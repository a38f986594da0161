import type { Problem } from "../model";
import { text } from "../text";
import { format } from "./format";

/** A pause that is shorter than this is "a moment". */
const MOMENT_MS = 90_000;

/**
 * Returns the sentence for a problem, by its code: one of text.problems or of `more`, else a general one. The sentences
 * of the server are in one language, so they are not shown.
 */
export function problemText(
  problem: Pick<Problem, "code"> & { readonly retryAfterMs?: number | null },
  more: Readonly<Record<string, string>> = {},
): string {
  const wait = problem.retryAfterMs ?? 0;
  if (problem.code === "rate_limited" && wait > MOMENT_MS) return text.later(format.ahead(wait));
  const known: Readonly<Record<string, string>> = { ...text.problems, ...more };
  return (Object.hasOwn(known, problem.code) && known[problem.code]) || text.problems.unexpected;
}
