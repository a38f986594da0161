import type { Outcome, Problem } from "../../model";
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

/** Sentences to show: `error` at the field, and `problem` below the form. One of them is empty. */
export interface CodeFailure {
  readonly error: string;
  readonly problem: string;
}

/** Runs an action with a code as it was typed. Returns null if it is done. */
export async function tryCode(code: string, run: (code: string) => Promise<Outcome>): Promise<CodeFailure | null> {
  const error = codeFault(code);
  return error === "" ? codeFailure(await run(plain(code))) : { error, problem: "" };
}

/** Returns where to show the problem of an action with a code. Null: it is done. */
export function codeFailure(outcome: Outcome<unknown>): CodeFailure | null {
  if (outcome.ok) return null;
  const sentence = factorProblem(outcome.problem);
  const wrong = outcome.problem.code === "code_wrong" || outcome.problem.code === "recovery_code_wrong";
  return { error: wrong ? sentence : "", problem: wrong ? "" : sentence };
}
