import type { Problem } from "../../model";
import { plain } from "../../model/secondFactor";
import { factorText } from "../../text/secondFactor";
import { problemText } from "../formProblems";

/** Returns what is wrong with a code as it was typed. Empty: nothing. */
export function codeFault(code: string): string {
  return /^\d{6}$/u.test(plain(code)) ? "" : factorText.codeForm;
}

/** Returns the sentence for a problem about a second factor. */
export function factorProblem(problem: Problem): string {
  return problemText(problem, factorText.problems);
}
