/** The signed-in account and its tokens: a port, so that no code above it depends on Firebase Auth. */
import type { Token } from "./connection";

export interface Account {
  readonly uid: string;
  readonly email: string;
}

/**
 * Methods reject with ApiProblem unless they say otherwise, and with the errors of `loadCode` if their own code could not
 * be loaded.
 */
export interface Identity {
  /** Returns the account that is signed in in this browser, or null. The server may have ended the sign-in meanwhile. */
  remembered(): Account | null;
  signIn(email: string, password: string): Promise<Account>;
  /** Forgets the sign-in in this browser, for all tabs. */
  signOut(): void;
  /**
   * Confirms the user's identity with the password, which is a new sign-in. Returns the token of the sign-in that it
   * replaces, or null if the server cannot tell the two apart.
   */
  reauthenticate(password: string): Promise<string | null>;
  /**
   * Returns an ID token of the account. If `fresh`, it is another one than the last call returned. Rejects with
   * SignInEnded if the sign-in is not valid any more.
   */
  token(fresh: boolean): Promise<Token>;
  /** Sends an email with a link. Succeeds for unknown addresses too. */
  sendReset(email: string): Promise<void>;
  /** Returns the email address of the account that the code from that email belongs to. */
  resetAddress(code: string): Promise<string>;
  /** Sets a new password with the code from that email. The value is the email address. */
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
