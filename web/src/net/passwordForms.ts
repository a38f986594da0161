/**
 * The calls of Firebase Auth that forms make: signing in, and a new password. A user who is signed in needs none of them
 * to connect, so they are loaded on demand. They import no other code: a chunk that shares modules with the first load
 * would split it.
 */
import type { Fields } from "../protocol/fields";
import type { IdentityToolkit, Problems, SignIn } from "./identityToolkit";

/** A second factor of an account, such as an authenticator app. */
export interface Factor {
  readonly id: string;
  /** The name that its owner gave it. May be empty. */
  readonly name: string;
}

/**
 * The answer to a right password: a sign-in, or the second factors of the account, one of which must confirm it
 * (`mfaSignIn:start` and `mfaSignIn:finalize` with `pending`).
 */
export type PasswordAnswer =
  | { readonly state: "signed-in"; readonly signIn: SignIn }
  | { readonly state: "second-factor"; readonly pending: string; readonly factors: readonly Factor[] };

/** Sends a password. Rejects with Refused or ApiProblem. */
export async function sendPassword(toolkit: IdentityToolkit, email: string, password: string): Promise<PasswordAnswer> {
  const request = { email, password, returnSecureToken: true, clientType: "CLIENT_TYPE_WEB" };
  return await toolkit.account("signInWithPassword", request, (f) => {
    if (f.has("mfaPendingCredential")) {
      const factors = toolkit.objects(f, "mfaInfo", readFactor);
      return { state: "second-factor", pending: f.text("mfaPendingCredential"), factors };
    }
    const tokens = toolkit.tokens(f.text("idToken"), f.text("refreshToken"), f.text("expiresIn"));
    return { state: "signed-in", signIn: { uid: f.text("localId"), email: f.optionalText("email"), ...tokens } };
  });
}

/** Returns a new sign-in. Rejects with ApiProblem. */
export async function signIn(toolkit: IdentityToolkit, email: string, password: string): Promise<SignIn> {
  try {
    const answer = await sendPassword(toolkit, email, password);
    if (answer.state === "signed-in") return answer.signIn;
  } catch (err) {
    throw toolkit.problemOf(err, PROBLEMS);
  }
  // The client has no screen for a second factor.
  throw toolkit.unavailable();
}

/** Sends an email with a code for {@link confirmReset}. Succeeds for unknown addresses too. */
export async function sendReset(toolkit: IdentityToolkit, email: string): Promise<void> {
  const request = { requestType: "PASSWORD_RESET", email, clientType: "CLIENT_TYPE_WEB" };
  try {
    await toolkit.account("sendOobCode", request, () => undefined);
  } catch (err) {
    // Nobody may learn whether the account exists.
    if (toolkit.codeOf(err) !== "EMAIL_NOT_FOUND") throw toolkit.problemOf(err, PROBLEMS);
  }
}

/** Sets a new password with the code from that email, unless it is null. Returns the email address. */
export async function confirmReset(toolkit: IdentityToolkit, code: string, password: string | null): Promise<string> {
  try {
    const email = await toolkit.account("resetPassword", { oobCode: code }, (f) => f.text("email"));
    if (password !== null) {
      await toolkit.account("resetPassword", { oobCode: code, newPassword: password }, () => undefined);
    }
    return email;
  } catch (err) {
    throw toolkit.problemOf(err, PROBLEMS);
  }
}

/** Returns the time of the sign-in that an ID token belongs to, in seconds since the epoch. Null if it has none. */
export function authTime(idToken: string): number | null {
  try {
    const claims = atob((idToken.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"));
    const { auth_time: at } = JSON.parse(claims) as { readonly auth_time?: unknown };
    return typeof at === "number" && Number.isSafeInteger(at) ? at : null;
  } catch {
    return null;
  }
}

function readFactor(f: Fields): Factor {
  return { id: f.text("mfaEnrollmentId"), name: f.optionalText("displayName") };
}

const PROBLEMS: Problems = {
  EMAIL_NOT_FOUND: ["wrong_password"],
  INVALID_CREDENTIAL: ["wrong_password"],
  INVALID_LOGIN_CREDENTIALS: ["wrong_password"],
  INVALID_PASSWORD: ["wrong_password"],
  MISSING_PASSWORD: ["password_missing", "password"],
  INVALID_EMAIL: ["email_invalid", "email"],
  INVALID_IDENTIFIER: ["email_invalid", "email"],
  MISSING_EMAIL: ["email_invalid", "email"],
  USER_DISABLED: ["account_disabled"],
  RESET_PASSWORD_EXCEED_LIMIT: ["too_many"],
  TOO_MANY_ATTEMPTS_TRY_LATER: ["too_many"],
  EXPIRED_OOB_CODE: ["code_ended"],
  INVALID_OOB_CODE: ["code_ended"],
  PASSWORD_DOES_NOT_MEET_REQUIREMENTS: ["password_weak", "password"],
  WEAK_PASSWORD: ["password_weak", "password"],
};
