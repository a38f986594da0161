import type { Readable } from "../observable";
import type { AdminCalls } from "./admin";
import type { Conversation } from "./conversation";
import type { Outcome, Problem } from "./outcome";
import type { Person } from "./person";

/** The signed-in person. */
export interface Me extends Person {
  readonly email: string;
  readonly admin: boolean;
  /** When the account was made; null while not yet loaded. */
  readonly createdAt: number | null;
}

export interface ProfileChange {
  readonly displayName?: string;
  readonly username?: string;
}

/**
 * What to tell about the link to the server: `online`; `connecting` (a gap of
 * less than 5 s, or the first connection: show nothing); `offline` (longer:
 * one calm line with "Try now").
 */
export type ConnectionStatus =
  | { readonly state: "online" }
  | { readonly state: "connecting" }
  | {
      readonly state: "offline";
      readonly since: number;
      /** When the next try starts; null while one is under way or while the browser says that there is no network. */
      readonly nextTryAt: number | null;
    };

/**
 * Where this device keeps messages: `durable`; `memory` (the browser denies
 * storage: what waits is lost when the tab is closed); `full` (nothing more
 * can be stored: new messages are not taken until there is room).
 */
export type StorageState = "durable" | "memory" | "full";

export interface Presence {
  /** Null while not known: show nothing. */
  readonly online: boolean | null;
  readonly lastSeen: number | null;
}

/** A line in the list of chats. */
export interface ConversationSummary {
  readonly id: string;
  readonly person: Person;
  /** The newest message; null for a conversation that has only a draft. */
  readonly preview: {
    readonly body: string;
    readonly mine: boolean;
    readonly state: "waiting" | "sent" | "delivered" | "read" | "refused";
    readonly time: number;
  } | null;
  /** Messages of the other that nobody has seen here; show "99+" above 99. */
  readonly unread: number;
  /** The start of an unsent draft; empty where there is none. */
  readonly draft: string;
  readonly typing: boolean;
}

export interface ConversationList {
  /** Newest first. */
  readonly items: readonly ConversationSummary[];
  /** True until what is kept on this device was read and, on a first visit, the first page was loaded. */
  readonly loading: boolean;
  /** There may be older ones on the server: see {@link Chat.moreConversations}. */
  readonly more: boolean;
  /** Why the list could not be loaded from the server; null when it could. */
  readonly problem: Problem | null;
}

export interface PeopleList {
  readonly items: readonly Person[];
  readonly loading: boolean;
  readonly more: boolean;
  readonly problem: Problem | null;
}

/** A search in the directory, as somebody types. */
export interface DirectorySearch {
  readonly people: Readable<PeopleList>;
  /** Searches for `query` (a prefix of a name; "" is everyone), 150 ms after the last call. Older answers are dropped. */
  search(query: string): void;
  /** Loads the next page, if there is one and none is under way. */
  more(): void;
  /** Tries again after a problem. */
  retry(): void;
  close(): void;
}

/** Everything for one signed-in person. Ends with signing out. */
export interface Chat {
  readonly uid: string;
  readonly me: Readable<Me>;
  readonly connection: Readable<ConnectionStatus>;
  readonly storage: Readable<StorageState>;
  /** What to add to this device's clock for the server's, in ms; 0 while not known. All times here are by the server's. */
  readonly clockOffset: Readable<number>;
  /** Code points that the server takes in a message. */
  readonly bodyLimit: Readable<number>;
  readonly conversations: Readable<ConversationList>;
  readonly unreadTotal: Readable<number>;
  /** Own messages that no server has yet; what signing out would lose. */
  readonly waitingTotal: Readable<number>;
  /** Null unless this person administers the chat. */
  readonly admin: Readable<AdminCalls | null>;

  /** Connects at once instead of waiting for the next try. */
  tryNow(): void;
  moreConversations(): void;
  directory(): DirectorySearch;
  person(uid: string): Readable<Person>;
  /** Resolves a username (as in an address of the client) to a person; a problem with code "not_found" where there is none. */
  personByUsername(username: string): Promise<Outcome<Person>>;
  /** Presence is watched while somebody is subscribed; at most 100 people at once, the latest subscribers first. */
  presence(uid: string): Readable<Presence>;
  /** Opens the conversation with `uid`. Close it when its screen goes; opening it several times is fine. */
  conversation(uid: string): Conversation;

  updateProfile(change: ProfileChange): Promise<Outcome>;
  /** Whose messages this person refuses, by name; null while not yet known. Shared by all devices. */
  readonly blocked: Readable<readonly Person[] | null>;
  /** Sends from `uid` are refused from now on; what was said stays. They are not told. */
  block(uid: string): Promise<Outcome>;
  unblock(uid: string): Promise<Outcome>;
  /** All own data as one JSON file. */
  exportData(): Promise<Outcome<Blob>>;
  /**
   * Closes the socket, wipes this account's data from this browser in all tabs and signs out. Refuses with code "unsent" while
   * messages wait, unless `evenIfUnsent`.
   */
  signOut(options?: { evenIfUnsent?: boolean }): Promise<Outcome>;
  /** Deletes the account and what is its own, then signs out here. `password` proves that it is you. */
  leave(password: string): Promise<Outcome>;
}
