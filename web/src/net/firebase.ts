/**
 * {@link Identity} on the browser library of Firebase Auth. It is loaded when somebody signs in or when a token is
 * needed. No screen waits for it.
 */
import { initializeApp } from "@firebase/app";
import {
  type Auth,
  browserLocalPersistence,
  confirmPasswordReset,
  connectAuthEmulator,
  EmailAuthProvider,
  initializeAuth,
  reauthenticateWithCredential,
  sendPasswordResetEmail,
  signInWithEmailAndPassword,
  type User,
  verifyPasswordResetCode,
} from "@firebase/auth";
import { SignInEnded, type Token } from "./connection";
import type { Account, Identity, IdentityConfig } from "./identity";
import { ApiProblem } from "./problem";

export function firebaseIdentity(config: IdentityConfig): Identity {
  const app = initializeApp({ apiKey: config.apiKey, projectId: config.projectId, authDomain: config.authDomain });
  const auth = initializeAuth(app, { persistence: browserLocalPersistence });
  if (config.emulatorUrl !== null) connectAuthEmulator(auth, config.emulatorUrl, { disableWarnings: true });
  return new FirebaseIdentity(auth);
}

class FirebaseIdentity implements Identity {
  private readonly auth: Auth;

  constructor(auth: Auth) {
    this.auth = auth;
  }

  async remembered(): Promise<Account | null> {
    await this.auth.authStateReady();
    return this.auth.currentUser && accountOf(this.auth.currentUser);
  }

  async signIn(email: string, password: string): Promise<Account> {
    return await withProblems(async () =>
      accountOf((await signInWithEmailAndPassword(this.auth, email.trim(), password)).user),
    );
  }

  async signOut(): Promise<void> {
    try {
      await this.auth.signOut();
    } catch {
      // Storage is denied, so nothing was remembered either.
    }
  }

  async reauthenticate(password: string): Promise<string | null> {
    return await withProblems(async () => {
      await this.auth.authStateReady();
      const user = this.auth.currentUser;
      if (!user?.email) throw new SignInEnded("ended");
      const old = await user.getIdTokenResult();
      await reauthenticateWithCredential(user, EmailAuthProvider.credential(user.email, password));
      // The server identifies a sign-in by its time, in whole seconds.
      return (await user.getIdTokenResult()).authTime === old.authTime ? null : old.token;
    });
  }

  async token(fresh: boolean): Promise<Token> {
    // Reads the stored sign-in and lets the server confirm it. If the network fails, the sign-in stays valid.
    await this.auth.authStateReady();
    const user = this.auth.currentUser;
    if (!user) throw new SignInEnded("ended");
    try {
      const value = await user.getIdToken(fresh);
      return { value, endsAt: endOf(user) };
    } catch (err) {
      throw ended(err) ?? problemOf(err);
    }
  }

  async sendReset(email: string): Promise<void> {
    try {
      await sendPasswordResetEmail(this.auth, email.trim());
    } catch (err) {
      // Nobody may learn whether the account exists.
      if (codeOf(err) !== "auth/user-not-found") throw problemOf(err);
    }
  }

  async confirmReset(code: string, password: string): Promise<string> {
    return await withProblems(async () => {
      const email = await verifyPasswordResetCode(this.auth, code);
      await confirmPasswordReset(this.auth, code, password);
      return email;
    });
  }
}

function accountOf(user: User): Account {
  return { uid: user.uid, email: user.email ?? "" };
}

/** When the library's token expires, by this device's clock, which may be wrong. */
function endOf(user: User): number {
  const { stsTokenManager } = user.toJSON() as { stsTokenManager?: { expirationTime?: unknown } };
  const at = stsTokenManager?.expirationTime;
  return typeof at === "number" ? at : Date.now() + 55 * 60_000;
}

async function withProblems<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (err) {
    if (err instanceof SignInEnded || err instanceof ApiProblem) throw err;
    throw problemOf(err);
  }
}

function codeOf(err: unknown): string {
  const code = (err as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}

/** Returns the end of the sign-in if `err` means that. */
function ended(err: unknown): SignInEnded | null {
  switch (codeOf(err)) {
    case "auth/user-disabled":
      return new SignInEnded("disabled");
    case "auth/user-not-found":
      return new SignInEnded("deleted");
    case "auth/user-token-expired":
    case "auth/invalid-user-token":
    case "auth/null-user":
      return new SignInEnded("ended");
    default:
      return null;
  }
}

/**
 * Code of the library → code of this client, and the form field that it is about. Any other code means that signing in
 * does not work right now.
 */
const PROBLEMS: Readonly<Record<string, readonly [code: string, field?: string]>> = {
  "auth/wrong-password": ["wrong_password"],
  "auth/user-not-found": ["wrong_password"],
  "auth/invalid-credential": ["wrong_password"],
  "auth/invalid-login-credentials": ["wrong_password"],
  "auth/missing-password": ["password_missing", "password"],
  "auth/invalid-email": ["email_invalid", "email"],
  "auth/missing-email": ["email_invalid", "email"],
  "auth/user-disabled": ["account_disabled"],
  "auth/too-many-requests": ["too_many"],
  "auth/expired-action-code": ["code_ended"],
  "auth/invalid-action-code": ["code_ended"],
  "auth/weak-password": ["password_weak", "password"],
  "auth/password-does-not-meet-requirements": ["password_weak", "password"],
};

function problemOf(err: unknown): ApiProblem {
  const code = codeOf(err);
  if (code === "auth/network-request-failed" || code === "auth/timeout")
    return new ApiProblem(0, "offline", "", { cause: err });
  const known = Object.hasOwn(PROBLEMS, code) ? PROBLEMS[code] : undefined;
  if (!known) return new ApiProblem(503, "sign_in_unavailable", "", { cause: err });
  const [ours, field] = known;
  return new ApiProblem(400, ours, "", { cause: err, ...(field === undefined ? {} : { fields: { [field]: "" } }) });
}
