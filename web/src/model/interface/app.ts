import type { Readable, Unsubscribe } from "../observable";
import type { Chat } from "./chat";
import type { Outcome, Problem } from "./outcome";

/**
 * Why nobody is signed in: `none` (never, or by choice), `ended` (the sign-in
 * ended or was revoked), `disabled` and `deleted` (the account), `left` (the
 * person deleted their account here).
 */
export type SignedOutReason = "none" | "ended" | "disabled" | "deleted" | "left";

/** Who is using this browser. */
export type Session =
  /** The saved sign-in is being read. Lasts well below a second; works offline. */
  | { readonly state: "starting" }
  /** The app cannot start: its configuration or its code could not be loaded, and was not kept. Try {@link App.start} again. */
  | { readonly state: "failed"; readonly problem: Problem }
  | { readonly state: "signed-out"; readonly reason: SignedOutReason }
  | { readonly state: "signed-in"; readonly chat: Chat };

/** A form for a new account. */
export interface NewAccount {
  readonly email: string;
  readonly password: string;
  readonly username: string;
  readonly displayName: string;
}

/** Getting in. */
export interface Accounts {
  /** Creates the account and signs in: on success `session` is `signed-in`. Problems carry `fields`. */
  signUp(form: NewAccount): Promise<Outcome>;
  /** On success `session` is `signed-in`. */
  signIn(email: string, password: string): Promise<Outcome>;
  /** Sends a letter with a link. Succeeds for unknown addresses too, so that nobody can probe who is here. */
  resetPassword(email: string): Promise<Outcome>;
  /**
   * Sets a new password with the code of that letter (`oobCode` in the address /reset?oobCode=…). The value is the e-mail
   * address it belongs to. Problems: "code_ended" (used or older than an hour), "password_weak" with `fields`.
   */
  confirmReset(code: string, password: string): Promise<Outcome<{ readonly email: string }>>;
}

export type NotificationPermissionState = "unsupported" | "unasked" | "granted" | "denied";

/** A message that came in while the app runs, for notifications and sounds. */
export interface Incoming {
  readonly person: string;
  readonly name: string;
  readonly body: string;
  /** No tab of this browser was visible when it came. */
  readonly hidden: boolean;
}

/** Drawing attention outside the page. Texts are the view's. */
export interface Attention {
  readonly permission: Readable<NotificationPermissionState>;
  /** True once a message was received while hidden and nobody was asked yet: now is the time to offer notifications. */
  readonly offer: Readable<boolean>;
  /** Asks for permission; call it from a click only. */
  ask(): Promise<NotificationPermissionState>;
  /** Takes the offer back for this browser, until the person asks in settings. */
  dismissOffer(): void;
  /** Calls `run` in exactly one tab of this browser for each new message of somebody else, once. */
  onIncoming(run: (message: Incoming) => void): Unsubscribe;
  /** Shows a notification if permitted; a later one with the same `tag` replaces it. `onOpen` runs when it is clicked. */
  notify(options: { title: string; body: string; tag: string; onOpen: () => void }): void;
  /** Sets the app badge where the platform has one; 0 clears it. */
  badge(count: number): void;
}

/** The root of the model. One per page. */
export interface App {
  readonly session: Readable<Session>;
  /** Whether this browser remembers somebody: what `session` most likely becomes, known before it has begun. */
  readonly remembers: boolean;
  readonly accounts: Accounts;
  readonly attention: Attention;
  /** Reads the saved sign-in and connects. Call it once at start, and again from a `failed` session. Never rejects. */
  start(): Promise<void>;
}
