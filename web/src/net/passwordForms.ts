/**
 * The calls of Firebase Auth that forms make: signing in, and emails with links. A user who is signed in needs none of them
 * to connect, so they are loaded on demand. They import no other code: a chunk that shares modules with the first load
 * would split it.
 */
import type { Fields } from "../protocol/fields";
import type { Identity, MailCalls, MailCode, MailKind } from "./identity";
import type { IdentityToolkit, Problems, SignIn } from "./identityToolkit";

/**
 * The answer to a right password: a sign-in, or what proves that the password was right and the ids of the authenticator
 * apps of the account, a code of which must confirm it.
 */
type PasswordAnswer =
  { readonly signIn: SignIn } | { readonly signIn: null; readonly pending: string; readonly apps: readonly string[] };

/** Sends a password. Rejects with Refused or ApiProblem. */
async function sendPassword(toolkit: IdentityToolkit, email: string, password: string): Promise<PasswordAnswer> {
  const request = { email, password, returnSecureToken: true, clientType: "CLIENT_TYPE_WEB" };
  return await toolkit.account("signInWithPassword", request, (f) => {
    if (f.has("mfaPendingCredential")) {
      const apps = toolkit.objects(f, "mfaInfo", (entry) => entry.object("totpInfo") && entry.text("mfaEnrollmentId"));
      return { signIn: null, pending: f.text("mfaPendingCredential"), apps };
    }
    const tokens = toolkit.tokens(f.text("idToken"), f.text("refreshToken"), f.text("expiresIn"));
    return { signIn: { uid: f.text("localId"), email: f.optionalText("email"), ...tokens } };
  });
}

/** Returns a new sign-in. Rejects with ApiProblem: "code_needed" if the account needs a code, and there is none. */
export async function signIn(
  toolkit: IdentityToolkit,
  email: string,
  password: string,
  code: string | undefined,
): Promise<SignIn> {
  try {
    const answer = await sendPassword(toolkit, email, password);
    if (answer.signIn) return answer.signIn;
    const { pending: mfaPendingCredential, apps } = answer;
    const [mfaEnrollmentId] = apps;
    // A kind of factor that this client does not have.
    if (mfaEnrollmentId === undefined) throw toolkit.unavailable();
    if (!code) throw toolkit.codeNeeded();
    const totpVerificationInfo = { verificationCode: code };
    const request = { mfaPendingCredential, mfaEnrollmentId, totpVerificationInfo };
    return await toolkit.account("mfaSignIn:finalize", request, (f) => confirmed(toolkit, f, email));
  } catch (err) {
    throw toolkit.problemOf(err, PROBLEMS);
  }
}

/** Reads the sign-in from an answer about a second factor, in which only the ID token has the uid. */
export function confirmed(toolkit: IdentityToolkit, f: Fields, email: string): SignIn {
  const idToken = f.text("idToken");
  const { sub, iat, exp } = claims(idToken);
  if (typeof sub !== "string") throw toolkit.unavailable();
  return { uid: sub, email, ...toolkit.tokens(idToken, f.text("refreshToken"), String(Number(exp) - Number(iat))) };
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
    async sendChange(email, password, code) {
      const account = identity.remembered();
      // The token of a sign-in that is used for this call only, because the server requires a recent one. The sign-in of
      // this device goes on, and no other service learns of the new one.
      const { uid, idToken } = await signIn(toolkit, account?.email ?? "", password, code);
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
  const { auth_time: at } = claims(idToken);
  return typeof at === "number" && Number.isSafeInteger(at) ? at : null;
}

/** Returns what an ID token says. Empty if it is damaged. */
function claims(idToken: string): Readonly<Record<string, unknown>> {
  try {
    const part = (idToken.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    return { ...(JSON.parse(atob(part)) as object) };
  } catch {
    return {};
  }
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
  INVALID_CODE: ["code_wrong"],
};
