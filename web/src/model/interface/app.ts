import type { HttpApi } from "../../net/http";
import type { Identity } from "../../net/identity";
import type { Platform } from "../../platform/platform";
import type { Readable, Unsubscribe } from "../observable";
import type { Chat } from "./chat";
import type { Outcome, Problem } from "./outcome";

/**
 * Why nobody is signed in: `none` (never signed in, or signed out by choice), `ended` (the sign-in ended or was
 * revoked; the data stays), `signed-out` (on another device, by choice; the data is deleted), `disabled` and `deleted` (the account), `left` (the user deleted the account here), `replaced` (another tab
 * has signed in another account; this one shows it after a reload).
 */
export type SignedOutReason = "none" | "ended" | "signed-out" | "disabled" | "deleted" | "left" | "replaced";

/** The sign-in of this browser. */
export type Session =
  /** The saved sign-in is being read. This takes well below a second and works offline. */
  | { readonly state: "starting" }
  /**
   * The app cannot start: its configuration or its code could not be loaded and is not stored. Call {@link App.start}
   * again.
   */
  | { readonly state: "failed"; readonly problem: Problem }
  /** Pages at this address may not use the chat. `address`: where it can be used. */
  | { readonly state: "foreign"; readonly address: string }
  | { readonly state: "signed-out"; readonly reason: SignedOutReason }
  | { readonly state: "signed-in"; readonly chat: Chat };

/** Signing in. See model/signUp.ts for signing up. */
export interface Accounts {
  /**
   * On success, `session` is `signed-in`. The problem "code_needed" asks for the `code` that an authenticator app shows.
   */
  signIn(email: string, password: string, code?: string): Promise<Outcome>;
  /**
   * Loads the most common passwords of at least 8 characters, in lower case, which nobody may choose. Problems:
   * "offline", "outdated".
   */
  commonPasswords(): Promise<Outcome<ReadonlySet<string>>>;
  /**
   * Returns when the password was changed, in ms, after a sign-in has `ended` for that reason in this tab. Null if that is
   * not known.
   */
  passwordChangedAt(): Promise<Outcome<number | null>>;
  /** See model/mail.ts and model/secondFactor.ts. */
  readonly late: AccountParts;
}

/**
 * The parts that signing up, emails with links and second factors are built on. Their code is loaded when a screen needs
 * it.
 */
export interface AccountParts {
  readonly platform: Pick<Platform, "clock" | "http" | "notes" | "random" | "report"> & {
    readonly page: Pick<Platform["page"], "origin">;
  };
  readonly identity: Pick<Identity, "factors" | "mail" | "token">;
  readonly session: Readable<Session>;
  signIn(email: string, password: string, code?: string): Promise<Outcome>;
  /** Returns the HTTP API with the sign-in of this page. */
  http(): Pick<HttpApi, "text">;
  /** Shows that the server has ended the sign-in of this page. Stored data stays. */
  endSession(reason: "ended"): Promise<void>;
}

export type NotificationPermissionState = "unsupported" | "unasked" | "granted" | "denied";

/** A message that arrived while the app runs, or a reaction to an own message, for notifications and sounds. */
export interface Incoming {
  readonly conversation: string;
  /** The key of the message. */
  readonly key: string;
  /** The other user. */
  readonly from: string;
  /** The name of that user. */
  readonly name: string;
  readonly body: string;
  /** The emoji with which that user has reacted to the message, which is an own one. Empty for a new message. */
  readonly reaction: string;
  /** The user worked with no tab of this browser when it arrived: none was visible and focused. */
  readonly hidden: boolean;
}

export interface NoticeOptions {
  readonly title: string;
  readonly body: (about: Incoming) => string;
  readonly onOpen: () => void;
  /** Whether it makes no sound. Default: false. */
  readonly silent?: boolean;
}

/** Notifications and the badge. The view provides the texts. */
export interface Attention {
  readonly permission: Readable<NotificationPermissionState>;
  /**
   * True once a message arrived while the page was hidden and the user was never asked. The view then offers
   * notifications.
   */
  readonly offer: Readable<boolean>;
  /** Asks for permission. Call it only from a click. */
  ask(): Promise<NotificationPermissionState>;
  /** Withdraws the offer in this browser until the user asks in settings. */
  dismissOffer(): void;
  /**
   * Calls `run` once for each new message of another user, and for each reaction of another user to an own message, in
   * exactly one tab of this browser.
   */
  onIncoming(run: (message: Incoming) => void): Unsubscribe;
  /**
   * Shows a notification about a message or, without a sound, about a reaction, if permitted. It replaces an earlier one
   * of that kind and user. `body` returns its text, and is called again if the message or the reaction changes, which
   * makes no sound. It is withdrawn with the message or the reaction, at the sign-out, and once the message is read on
   * any device. That about a reaction is withdrawn when the user comes back to this page. `onOpen` runs when it is
   * clicked.
   */
  notify(about: Incoming, options: NoticeOptions): void;
  /** Sets the app badge if the platform has one. 0 clears it. */
  badge(count: number): void;
}

/** The root of the model. One per page. */
export interface App {
  readonly session: Readable<Session>;
  /** Whether this browser remembers an account. Predicts `session` before {@link start} has read the saved sign-in. */
  readonly remembers: boolean;
  readonly accounts: Accounts;
  readonly attention: Attention;
  /** Reads the saved sign-in and connects. Call it once at start, and again in a `failed` session. Never rejects. */
  start(): Promise<void>;
}
