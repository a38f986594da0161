/** Conversion of errors to problems that can be shown. */
import { SignInEnded } from "../net/connection";
import { ApiProblem } from "../net/problem";
import { Outdated } from "../platform/code";
import { StorageFull, StorageLost } from "../platform/database";
import { NetworkError } from "../platform/platform";
import type { Outcome, Problem } from "./interface/outcome";

const CODES = [
  [SignInEnded, "signed_out"],
  [StorageFull, "storage_full"],
  [StorageLost, "storage_lost"],
  [Outdated, "outdated"],
  [NetworkError, "offline"],
] as const;

/** Returns a problem that this client found itself. The view has the text for it. */
export function failed(code: string): { readonly ok: false; readonly problem: Problem } {
  return { ok: false, problem: { code, message: "", fields: {}, retryAfterMs: null } };
}

/** Converts an error to a problem. Throws unexpected errors again. */
export function problemOf(err: unknown): Problem {
  if (err instanceof ApiProblem) {
    return { code: err.code, message: err.message, fields: err.fields, retryAfterMs: err.retryAfterMs };
  }
  for (const [kind, code] of CODES) if (err instanceof kind) return failed(code).problem;
  throw err;
}

/** Runs an action. An expected rejection becomes a problem. */
export async function outcome<T>(action: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { ok: true, value: await action() };
  } catch (err) {
    return { ok: false, problem: problemOf(err) };
  }
}
