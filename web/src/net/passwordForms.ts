/**
 * The calls of Firebase Auth that forms make: signing in, and emails with links. A user who is signed in needs none of them
 * to connect, so they are loaded on demand. They import no other code: a chunk that shares modules with the first load
 * would split it.
 */
import type { Fields } from "../protocol/fields";
import type { Identity, MailCalls, MailCode, MailKind } from "./identity";
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

/** The server's names of the kinds of codes. */
const KINDS: Readonly<Record<string, MailKind>> = {
  VERIFY_EMAIL: "verify",
  VERIFY_AND_CHANGE_EMAIL: "change",
  PASSWORD_RESET: "reset",
  RECOVER_EMAIL: "recover",
};

/** Returns the calls about emails, for the account that is signed in with `identity`. */
export function mailCalls(toolkit: IdentityToolkit, identity: Pick<Identity, "token" | "remembered">): MailCalls {
  const call = async <T>(method: string, request: object, read: (f: Fields) => T): Promise<T> => {
    try {
      return await toolkit.account(method, request, read);
    } catch (err) {
      throw toolkit.problemOf(err, PROBLEMS);
    }
  };
  const send = (requestType: string, request: object): Promise<void> =>
    call("sendOobCode", { requestType, ...request, clientType: "CLIENT_TYPE_WEB" }, () => undefined);
  const readCode = (code: string): Promise<MailCode> =>
    call("resetPassword", { oobCode: code }, (f) => {
      const type = f.text("requestType");
      const kind = Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
      if (kind === undefined) throw toolkit.unavailable();
      const [email, other] = [f.text("email"), f.optionalText("newEmail")];
      // Until the code is applied, the address of a change is the new one.
      return kind === "change" ? { kind, email: other, before: email } : { kind, email, before: other };
    });

  return {
    async sendReset(email) {
      try {
        await send("PASSWORD_RESET", { email: email.trim() });
      } catch (err) {
        // Nobody may learn whether the account exists.
        if (!(err instanceof Error && toolkit.codeOf(err.cause) === "EMAIL_NOT_FOUND")) throw err;
      }
    },
    async sendVerification() {
      await send("VERIFY_EMAIL", { idToken: (await identity.token(null)).value });
    },
    async sendChange(email, password) {
      const account = identity.remembered();
      // The token of a sign-in that is used for this call only, because the server requires a recent one. The sign-in of
      // this device goes on, and no other service learns of the new one.
      const { uid, idToken } = await signIn(toolkit, account?.email ?? "", password);
      if (uid !== account?.uid) throw toolkit.unavailable();
      await send("VERIFY_AND_CHANGE_EMAIL", { idToken, newEmail: email.trim() });
    },
    read: readCode,
    async apply(code) {
      await call("update", { oobCode: code }, () => undefined);
    },
    async confirmReset(code, password) {
      const { email } = await readCode(code);
      await call("resetPassword", { oobCode: code, newPassword: password }, () => undefined);
      return email;
    },
  };
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
  CREDENTIAL_TOO_OLD_LOGIN_AGAIN: ["sign_in_again"],
  EMAIL_EXISTS: ["email_taken", "email"],
  INVALID_NEW_EMAIL: ["email_invalid", "email"],
  MISSING_NEW_EMAIL: ["email_invalid", "email"],
  EXPIRED_OOB_CODE: ["code_ended"],
  INVALID_OOB_CODE: ["code_ended"],
  PASSWORD_DOES_NOT_MEET_REQUIREMENTS: ["password_weak", "password"],
  WEAK_PASSWORD: ["password_weak", "password"],
};
