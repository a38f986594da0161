import type { Problem } from "../model";
import { text } from "../text";
import { format } from "./format";

/** The text for each code that this client knows. */
const known: Readonly<Record<string, string>> = text.problems;

/** A pause that is shorter than this is "a moment". */
const MOMENT_MS = 90_000;

/** Returns the sentence for a problem: the client's for its code, else the server's, else a general one. */
export function problemText(
  problem: Pick<Problem, "code" | "message"> & { readonly retryAfterMs?: number | null },
): string {
  const wait = problem.retryAfterMs ?? 0;
  if (problem.code === "rate_limited" && wait > MOMENT_MS) return text.later(format.ahead(wait));
  if (Object.hasOwn(known, problem.code)) return known[problem.code] ?? "";
  return problem.message || text.problems.unexpected;
}

/** Returns the sentence to show at a field of a form; empty if the problem is not about that field. */
export function fieldText(problem: Problem, field: string): string {
  const message = Object.hasOwn(problem.fields, field) ? problem.fields[field] : undefined;
  if (message === undefined) return "";
  return message || problemText(problem);
}
