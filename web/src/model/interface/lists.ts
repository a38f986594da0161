/** Lists that screens show: the conversations, and users that were searched for. */
import type { Readable } from "../observable";
import type { Problem } from "./outcome";
import type { User } from "./user";

/** A row in the list of conversations. */
export interface ConversationSummary {
  readonly id: string;
  readonly user: User;
  /** The newest message. Null for a conversation that has only a draft. */
  readonly preview: {
    /** Empty if the message was deleted. */
    readonly body: string;
    readonly mine: boolean;
    readonly state: "waiting" | "sent" | "delivered" | "read" | "refused";
    readonly time: number;
  } | null;
  /** Messages of the other user that were not seen on this device. Show "99+" above 99. */
  readonly unread: number;
  /** The user has marked it as unread, without regard to its messages. */
  readonly marked: boolean;
  readonly pinned: boolean;
  /** Its messages cause no notification until then, in ms by the server's clock. 0: not muted. Infinity: always. */
  readonly mutedUntil: number;
  /** It is in {@link ConversationList.archived}. */
  readonly archived: boolean;
  /** Only the other user has written, and this one has not accepted that. */
  readonly request: boolean;
  /** The start of an unsent draft. Empty if there is none. */
  readonly draft: string;
  readonly typing: boolean;
}

export interface ConversationList {
  /** The pinned ones first, then the newest. */
  readonly items: readonly ConversationSummary[];
  /**
   * Those that the user has archived, newest first. A newer message brings a conversation back into the list, unless it
   * is always muted.
   */
  readonly archived: readonly ConversationSummary[];
  /**
   * Those in which only the other user has written, newest first, without blocked users. They move to the others when
   * this user accepts or writes. A request that was removed returns with a newer message.
   */
  readonly requests: readonly ConversationSummary[];
  /** All conversations. */
  readonly all: readonly ConversationSummary[];
  /** True until the stored list was read and, on a first visit, the first page was loaded. */
  readonly loading: boolean;
  /** There may be older ones on the server: see {@link Chat.moreConversations}. */
  readonly more: boolean;
  /** Why the list could not be loaded from the server. Null if it could. */
  readonly problem: Problem | null;
}

export interface UserList {
  readonly items: readonly User[];
  readonly loading: boolean;
  readonly more: boolean;
  readonly problem: Problem | null;
}

/** A search in the directory while somebody types. */
export interface DirectorySearch {
  readonly users: Readable<UserList>;
  /**
   * Searches for `query` (a prefix of a name; "" finds everyone), 150 ms after the last call. Older answers are
   * dropped.
   */
  search(query: string): void;
  /** Loads the next page if there is one and none is being loaded. */
  more(): void;
  /** Tries again after a problem. */
  retry(): void;
  close(): void;
}
