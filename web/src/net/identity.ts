/** The signed-in account and its tokens: a port, so that no code above it depends on Firebase Auth. */
import type { Token } from "./connection";

export interface Account {
  readonly uid: string;
  readonly email: string;
}

/**
 * Methods reject with ApiProblem unless they say otherwise, and with the errors of `loadCode` if their own code could not
 * be loaded. Those that take a password also take the `code` that an authenticator app shows. An account with a second
 * factor needs one ("code_needed", "code_wrong").
 */
export interface Identity {
  /** Returns the account that is signed in in this browser, or null. The server may have ended the sign-in meanwhile. */
  remembered(): Account | null;
  signIn(email: string, password: string, code?: string): Promise<Account>;
  /** Forgets the sign-in in this browser, for all tabs. */
  signOut(): void;
  /**
   * Confirms the user's identity with the password, which is a new sign-in. Returns the token of the sign-in that it
   * replaces, or null if the server cannot tell the two apart.
   */
  reauthenticate(password: string, code?: string): Promise<string | null>;
  /**
   * Returns an ID token of the account, and another one than `refused`, which a server does not accept, or not much
   * longer. Rejects with SignInEnded if the sign-in is not valid any more.
   */
  token(refused: string | null): Promise<Token>;
  /** Loads the calls about emails with links. */
  mail(): Promise<MailCalls>;
  /** Loads the calls about second factors. */
  factors(): Promise<FactorCalls>;
}

/** A secret for an authenticator app, which is not in use yet. */
export interface NewFactor {
  /** In base32. */
  readonly secret: string;
  /** Opaque text of the server, which it needs to finish. */
  readonly session: string;
}

/**
 * The calls with which the signed-in user adds an authenticator app. Both need a sign-in of the last minutes
 * ("sign_in_again"). Methods reject with ApiProblem and SignInEnded.
 */
export interface FactorCalls {
  /** Returns a new secret. Problems: "email_unverified", "factor_exists". */
  start(): Promise<NewFactor>;
  /**
   * Makes sign-ins need the codes of the app, of which `code` is one. It ends all sign-ins and is a new one. Returns the
   * token of the one that it replaces, or null as for {@link Identity.reauthenticate}. Problems: "code_wrong",
   * "code_late" (the secret is too old).
   */
  finish(factor: NewFactor, code: string): Promise<string | null>;
}

/** The purposes of the codes in the links of emails. */
export type MailKind = "verify" | "change" | "reset" | "recover";

/** The code of a link, as the server knows it. */
export interface MailCode {
  readonly kind: MailKind;
  /** The address of the account: after the code is applied, for `change` and `recover`. */
  readonly email: string;
  /** The address that is replaced, for `change` and `recover`. May be empty. */
  readonly before: string;
}

/**
 * The calls about emails with links. The server sends each email. Methods reject with ApiProblem, and those that need
 * the sign-in also with SignInEnded. The code "code_ended" stands for a code that was used, has expired or never existed.
 */
export interface MailCalls {
  /** Sends an email with a code to choose a new password. Succeeds for unknown addresses too. */
  sendReset(email: string): Promise<void>;
  /** Sends an email with a code that verifies the address of the signed-in account. Few are allowed ("too_many"). */
  sendVerification(): Promise<void>;
  /**
   * Sends an email to `email` with a code that makes it the address of the signed-in account. `password` is that of the
   * account, and `code` one of its authenticator app, if it has one.
   */
  sendChange(email: string, password: string, code?: string): Promise<void>;
  /** Returns what a code is for, and leaves it valid. */
  read(code: string): Promise<MailCode>;
  /** Applies a code of any kind but `reset`. */
  apply(code: string): Promise<void>;
  /** Sets a new password with a code of the kind `reset`. The value is the email address. */
  confirmReset(code: string, password: string): Promise<string>;
}

/** The configuration of the identity provider, from /config.json. */
export interface IdentityConfig {
  readonly apiKey: string;
  /** Set only for local development. */
  readonly emulatorUrl: string | null;
}

/** Builds the {@link Identity}. `config` rejects with ApiProblem if the configuration cannot be loaded now. */
export type IdentityFactory = (config: () => Promise<IdentityConfig>) => Identity;
