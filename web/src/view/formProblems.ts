import type { Problem } from "../model";
import { authText } from "../text/auth";
import { problemText as general } from "./problems";

/** Returns the sentence for a problem of a form, as {@link general} does. */
export function problemText(problem: Problem, more: Readonly<Record<string, string>> = {}): string {
  return general(problem, { ...authText.problems, ...more });
}

const refused: Readonly<Record<string, string>> = authText.refused;

/** Returns the sentence to show at a field of a form; empty if the problem is not about that field. */
export function fieldText(problem: Problem, field: string): string {
  if (!Object.hasOwn(problem.fields, field)) return "";
  if (problem.code !== "invalid_fields") return problemText(problem);
  const code = problem.fields[field] ?? "";
  if (Object.hasOwn(authText.problems, code)) return problemText({ ...problem, code });
  return (Object.hasOwn(refused, field) && refused[field]) || problemText(problem);
}
