import type { Problem } from "../model";
import { text } from "../text";

/** Every code that this client has words for. */
const known: Readonly<Record<string, string>> = text.problems;

/** What to tell of a problem: our words for its code, else the server's own sentence, else that something went wrong. */
export function problemWords(problem: Pick<Problem, "code" | "message">): string {
  if (Object.hasOwn(known, problem.code)) return known[problem.code] ?? "";
  return problem.message || text.problems.unexpected;
}

/** What to tell beside a form's field; empty where the problem is not about it. */
export function fieldWords(problem: Problem, field: string): string {
  const said = Object.hasOwn(problem.fields, field) ? problem.fields[field] : undefined;
  if (said === undefined) return "";
  return said || problemWords(problem);
}
