/** Who is signed in, and the tokens that prove it: a port, so that nothing above knows Firebase Auth. */
import type { Token } from "./connection";

export interface Account {
  readonly uid: string;
  readonly email: string;
}

/** Methods reject with ApiProblem unless they say otherwise. */
export interface Identity {
  /** Who this browser remembers, null where nobody. May ask the server whether that still stands; needs no network. */
  remembered(): Promise<Account | null>;
  signIn(email: string, password: string): Promise<Account>;
  /** Forgets the sign-in in this browser. Never rejects, and needs no network. */
  signOut(): Promise<void>;
  /** Proves anew that it is this user. */
  reauthenticate(password: string): Promise<void>;
  /** An ID token of the signed-in user; a new one with `fresh`. Rejects with SignInEnded where the sign-in does not stand any more. */
  token(fresh: boolean): Promise<Token>;
  /** Sends a letter with a link. Succeeds for unknown addresses too. */
  sendReset(email: string): Promise<void>;
  /** Sets a new password with the code of that letter; the value is the address. */
  confirmReset(code: string, password: string): Promise<string>;
}

/** What an identity provider is configured with, from /config.json. */
export interface IdentityConfig {
  readonly apiKey: string;
  readonly projectId: string;
  readonly authDomain: string;
  /** Set on one machine only. */
  readonly emulatorUrl: string | null;
}

/** Loads the provider's library, once the configuration is known. Rejects with ApiProblem where it cannot be loaded now; may be called again. */
export type IdentityLoader = (config: IdentityConfig) => Promise<Identity>;
