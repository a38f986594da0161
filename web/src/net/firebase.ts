/** {@link Identity} on Firebase Auth's browser library. Loaded when it is needed: it is a quarter of all code. */
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
import type { Identity, IdentityConfig, SignedIn } from "./identity";
import { ApiProblem } from "./problem";

export async function loadFirebase(config: IdentityConfig): Promise<Identity> {
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

  async remembered(): Promise<SignedIn | null> {
    await this.auth.authStateReady();
    return this.auth.currentUser && personOf(this.auth.currentUser);
  }

  async signIn(email: string, password: string): Promise<SignedIn> {
    return await told(async () => personOf((await signInWithEmailAndPassword(this.auth, email.trim(), password)).user));
  }

  async signOut(): Promise<void> {
    try {
      await this.auth.signOut();
    } catch {
      // Storage is denied: then nothing was remembered either.
    }
  }

  async reauthenticate(password: string): Promise<void> {
    await told(async () => {
      await this.auth.authStateReady();
      const user = this.auth.currentUser;
      if (!user?.email) throw new SignInEnded("ended");
      await reauthenticateWithCredential(user, EmailAuthProvider.credential(user.email, password));
    });
  }

  async token(fresh: boolean): Promise<Token> {
    // Reads what is remembered, and asks the server whether it still stands; a failing network leaves it standing.
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
      // Whether there is such an account is nobody's business.
      if (codeOf(err) !== "auth/user-not-found") throw problemOf(err);
    }
  }

  async confirmReset(code: string, password: string): Promise<string> {
    return await told(async () => {
      const email = await verifyPasswordResetCode(this.auth, code);
      await confirmPasswordReset(this.auth, code, password);
      return email;
    });
  }
}

function personOf(user: User): SignedIn {
  return { uid: user.uid, email: user.email ?? "" };
}

/** When the token that the library holds ends, by this device's clock, right or wrong. */
function endOf(user: User): number {
  const { stsTokenManager } = user.toJSON() as { stsTokenManager?: { expirationTime?: unknown } };
  const at = stsTokenManager?.expirationTime;
  return typeof at === "number" ? at : Date.now() + 55 * 60_000;
}

async function told<T>(work: () => Promise<T>): Promise<T> {
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

/** The end of a sign-in, where `err` says so. */
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

const WRONG = "The e-mail address or the password is wrong.";

function problemOf(err: unknown): ApiProblem {
  const problem = (code: string, message: string, field?: string): ApiProblem =>
    new ApiProblem(400, code, message, { cause: err, ...(field === undefined ? {} : { fields: { [field]: message } }) });
  const code = codeOf(err);
  switch (code) {
    case "auth/wrong-password":
    case "auth/user-not-found":
    case "auth/invalid-credential":
    case "auth/invalid-login-credentials":
      return problem("wrong_password", WRONG);
    case "auth/missing-password":
      return problem("wrong_password", "Enter your password.", "password");
    case "auth/invalid-email":
    case "auth/missing-email":
      return problem("email_invalid", "This is not an e-mail address.", "email");
    case "auth/user-disabled":
      return problem("account_disabled", "This account has been disabled. Ask the operator of this chat.");
    case "auth/too-many-requests":
      return problem("too_many", "There were too many tries. Wait a few minutes and try again.");
    case "auth/expired-action-code":
    case "auth/invalid-action-code":
      return problem("code_ended", "This link was used before or has ended. Ask for a new one.");
    case "auth/weak-password":
    case "auth/password-does-not-meet-requirements":
      return problem("password_weak", "This password is too easy to guess. Choose a longer one.", "password");
    case "auth/network-request-failed":
    case "auth/timeout":
      return new ApiProblem(0, "offline", "The chat cannot be reached. Check your connection and try again.", { cause: err });
    default:
      return new ApiProblem(503, "sign_in_unavailable", "Signing in does not work right now. Try again in a moment.", { cause: err });
  }
}
