/** Turning what went wrong below into what can be shown. */
import { SignInEnded } from "../net/connection";
import { ApiProblem } from "../net/problem";
import { StorageFull, StorageLost } from "../platform/database";
import type { Outcome, Problem } from "./interface/outcome";

/** A problem that this client found itself: its words are the view's. */
export function failed(code: string): { readonly ok: false; readonly problem: Problem } {
  return { ok: false, problem: { code, message: "", fields: {}, retryAfterMs: null } };
}

/** What to tell a person of an error. Errors that nobody foresaw are thrown on. */
export function problemOf(err: unknown): Problem {
  if (err instanceof ApiProblem) {
    return { code: err.code, message: err.message, fields: err.fields, retryAfterMs: err.retryAfterMs };
  }
  if (err instanceof SignInEnded) {
    return { code: "signed_out", message: "", fields: {}, retryAfterMs: null };
  }
  if (err instanceof StorageFull) {
    return { code: "storage_full", message: "", fields: {}, retryAfterMs: null };
  }
  if (err instanceof StorageLost) {
    return { code: "storage_lost", message: "", fields: {}, retryAfterMs: null };
  }
  throw err;
}

/** Runs an action; what it rejects with becomes a problem. */
export async function outcome<T>(action: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { ok: true, value: await action() };
  } catch (err) {
    return { ok: false, problem: problemOf(err) };
  }
}
