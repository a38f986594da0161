import type { Problem } from "../../model";
import { adminText } from "../../text/admin";
import { fieldText as ofForm, problemText as general } from "../formProblems";

/** Returns the sentence for a problem in the panel, as the forms do. */
export function problemText(problem: Problem): string {
  return general(problem, adminText.problems);
}

/** Returns the sentence to show at a field of a form in the panel; empty if the problem is not about that field. */
export function fieldText(problem: Problem, field: string): string {
  return field === "reason" && Object.hasOwn(problem.fields, field) ? adminText.reasonRefused : ofForm(problem, field);
}
