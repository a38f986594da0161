import type { Readable } from "../observable";
import type { AdminCalls } from "./admin";
import type { ConnectionStatus } from "./connection";
import type { Conversation } from "./conversation";
import type { LateParts } from "./late";
import type { ConversationList } from "./lists";
import type { Outcome } from "./outcome";
import type { StorageState } from "./storage";
import type { User } from "./user";

/** The signed-in user. */
export interface Me extends User {
  readonly email: string;
  readonly admin: boolean;
  /** The id of the last device where the user has signed in since they did so here. Empty if there is none. */
  readonly newestDevice?: string;
  /** The email address is not verified yet; see model/mail.ts. */
  readonly unverified?: boolean;
  /** An operator has warned the user, who has not confirmed it yet; see model/report.ts. */
  readonly warned?: boolean;
  /** When the account was created. Null until the profile is loaded. */
  readonly createdAt: number | null;
}

export interface ProfileChange {
  readonly displayName?: string;
  readonly username?: string;
}

/** Limits of the server that texts mention. */
export interface ChatLimits {
  /** The number of devices and browsers that one user can be connected with at once. */
  readonly sockets: number;
  /** The number of messages that wait for a user who has not answered yet. */
  readonly strangerMessages: number;
  /** The number of new people that a user may write to in one day. */
  readonly newPeople: number;
  /** Whether the server accepts changes of messages. Without it, they wait; offer none. */
  readonly changes: boolean;
}

export interface Presence {
  /** Null while not known: show nothing. */
  readonly online: boolean | null;
  readonly lastSeen: number | null;
}

/** Everything for one signed-in user. Ends with signing out. */
export interface Chat {
  readonly uid: string;
  readonly me: Readable<Me>;
  readonly connection: Readable<ConnectionStatus>;
  readonly storage: Readable<StorageState>;
  /**
   * The server's clock minus this device's clock, in ms. 0 while not known. All times here use the server's
   * clock.
   */
  readonly clockOffset: Readable<number>;
  /** The most code points that the server accepts in a message. */
  readonly bodyLimit: Readable<number>;
  readonly limits: Readable<ChatLimits>;
  readonly conversations: Readable<ConversationList>;
  readonly unreadTotal: Readable<number>;
  /** The user's messages that no server has yet. Signing out would lose them. */
  readonly waitingTotal: Readable<number>;
  /** Null unless this user is an admin. */
  readonly admin: Readable<AdminCalls | null>;

  /** Connects at once instead of waiting for the next attempt. */
  tryNow(): void;
  moreConversations(): void;
  /** See Directory and Pictures in model/chat. */
  readonly late: LateParts;
  user(uid: string): Readable<User>;
  /**
   * Finds a user by username (as in an address of the client). The problem has the code "not_found" if there is none.
   */
  userByUsername(username: string): Promise<Outcome<User>>;
  /**
   * Presence is watched while there is a subscriber, for at most 100 users at once. The latest subscribers come first.
   */
  presence(uid: string): Readable<Presence>;
  /** Opens the conversation with `uid`. Close it with its screen. It may be opened several times at once. */
  conversation(uid: string): Conversation;

  updateProfile(change: ProfileChange): Promise<Outcome>;
  /** The users whose messages this user refuses, by name. Null until loaded. Shared by all devices. */
  readonly blocked: Readable<readonly User[] | null>;
  /** Refuses messages from `uid` from now on. Older messages stay. The blocked user is not notified. */
  block(uid: string): Promise<Outcome>;
  unblock(uid: string): Promise<Outcome>;
  /** All of the user's data as one JSON file. */
  exportData(): Promise<Outcome<Blob>>;
  /**
   * Closes the socket, deletes this user's data from this browser in all tabs and signs out. Fails with the code
   * "unsent" while messages wait, unless `evenIfUnsent` is set.
   */
  signOut(options?: { evenIfUnsent?: boolean }): Promise<Outcome>;
  /**
   * Deletes the account and its data, then signs out here. `password` confirms the user's identity, with the `code` that
   * the authenticator app shows if the account has one. Problems: "wrong_password", "code_needed", "code_wrong".
   */
  leave(password: string, code?: string): Promise<Outcome>;
}
