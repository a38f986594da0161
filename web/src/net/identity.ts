/** The signed-in account and its tokens: a port, so that no code above it depends on Firebase Auth. */
import type { Token } from "./connection";

export interface Account {
  readonly uid: string;
  readonly email: string;
}

/** Methods reject with ApiProblem unless they say otherwise. */
export interface Identity {
  /**
   * Returns the account that this browser remembers, or null. Works offline. May ask the server whether it is still
   * valid.
   */
  remembered(): Promise<Account | null>;
  signIn(email: string, password: string): Promise<Account>;
  /** Forgets the sign-in in this browser. Never rejects, and works offline. */
  signOut(): Promise<void>;
  /**
   * Confirms the user's identity with the password, which is a new sign-in. Returns the token of the sign-in that it
   * replaces, or null if the server cannot tell the two apart.
   */
  reauthenticate(password: string): Promise<string | null>;
  /**
   * Returns an ID token of the account, a new one if `fresh`. Rejects with SignInEnded if the sign-in is not valid any
   * more.
   */
  token(fresh: boolean): Promise<Token>;
  /** Sends an email with a link. Succeeds for unknown addresses too. */
  sendReset(email: string): Promise<void>;
  /** Sets a new password with the code from that email. The value is the email address. */
  confirmReset(code: string, password: string): Promise<string>;
}

/** The configuration of the identity provider, from /config.json. */
export interface IdentityConfig {
  readonly apiKey: string;
  readonly projectId: string;
  readonly authDomain: string;
  /** Set only for local development. */
  readonly emulatorUrl: string | null;
}

/**
 * Loads the provider's library once the configuration is known. Rejects with ApiProblem if it cannot be loaded now. May
 * be called again.
 */
export type IdentityLoader = (config: IdentityConfig) => Promise<Identity>;
