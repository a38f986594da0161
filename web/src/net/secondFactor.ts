/** The calls of Firebase Auth with which a user adds an authenticator app. Loaded with the settings. */
import type { FactorCalls } from "./identity";
import type { IdentityToolkit, Problems, SignIn } from "./identityToolkit";
import { confirmed } from "./passwordForms";

/** The sign-in of this browser. */
interface Present {
  token(): Promise<string>;
  /** Replaces the sign-in by the one that `signInAgain` returns, and returns its token, as `reauthenticate` does. */
  replace(signInAgain: (old: string, account: { readonly email: string }) => Promise<SignIn>): Promise<string | null>;
}

/** Returns the calls for the account that is signed in. */
export function factorCalls(toolkit: IdentityToolkit, present: Present): FactorCalls {
  const guarded = async <T>(call: Promise<T>): Promise<T> => {
    try {
      return await call;
    } catch (err) {
      throw toolkit.problemOf(err, PROBLEMS);
    }
  };
  return {
    async start() {
      const request = { idToken: await present.token(), totpEnrollmentInfo: {} };
      return await guarded(
        toolkit.account("mfaEnrollment:start", request, (f) => {
          const info = f.object("totpSessionInfo");
          return { secret: info.text("sharedSecretKey"), session: info.text("sessionInfo") };
        }),
      );
    },
    finish: ({ session: sessionInfo }, code) =>
      present.replace(async (idToken, { email }) => {
        const request = { idToken, totpVerificationInfo: { sessionInfo, verificationCode: code } };
        return await guarded(toolkit.account("mfaEnrollment:finalize", request, (f) => confirmed(toolkit, f, email)));
      }),
  };
}

const PROBLEMS: Problems = {
  CREDENTIAL_TOO_OLD_LOGIN_AGAIN: ["sign_in_again"],
  UNVERIFIED_EMAIL: ["email_unverified"],
  SECOND_FACTOR_EXISTS: ["factor_exists"],
  SECOND_FACTOR_LIMIT_EXCEEDED: ["factor_exists"],
  INVALID_CODE: ["code_wrong"],
  INVALID_SESSION_INFO: ["code_late"],
  SESSION_EXPIRED: ["code_late"],
  TOO_MANY_ATTEMPTS_TRY_LATER: ["too_many"],
};
