import type { Readable } from "../observable";
import type { Outcome, Problem } from "./outcome";
import type { User } from "./user";

/**
 * The progress of a message. It only moves forward: `waiting` (in the outbox of this device), `sent` (queued),
 * `delivered` (stored by a device of the recipient), `read`. `refused`: the message will not be sent; see {@link
 * Refusal}. Messages of the other user are always `delivered` or `read`.
 */
export type MessageState = "waiting" | "sent" | "delivered" | "read" | "refused";

export interface Refusal {
  readonly code: string;
  /** The server's sentence, for developers: the view shows its text for the code. */
  readonly message: string;
}

/** The message that a reply refers to. */
export interface Quote {
  readonly key: string;
  /** Null if the original is not on this device (yet). */
  readonly mine: boolean | null;
  /** Empty if the original was deleted. */
  readonly body: string | null;
}

export interface Message {
  /** Identifies the message within its conversation. Stays the same from the moment of typing. */
  readonly key: string;
  readonly mine: boolean;
  /**
   * Up to 8,000 code points from a stranger. Show it as text, isolated (`dir=auto`), and allow line breaks anywhere.
   */
  readonly body: string;
  /** When it was sent, according to the sender's device. While it is waiting: when it was typed. */
  readonly time: number;
  /** When the server accepted it, if that differs from `time` by more than 10 minutes. Otherwise null. */
  readonly acceptedTime: number | null;
  readonly state: MessageState;
  /** When it was delivered, for the description of the ticks. Null if not known. */
  readonly deliveredTime: number | null;
  readonly refusal: Refusal | null;
  readonly quote: Quote | null;
  /** Its edit or deletion, and its reactions. Missing if there are none. */
  readonly changes?: {
    /** Empty `body`. */
    readonly deleted: boolean;
    /** When it was edited last. 0: the edit was not sent yet. Null: never. */
    readonly edited: number | null;
    readonly reactions: readonly { readonly emoji: string; readonly mine: boolean }[];
    /** An own change, which is shown as applied, waits in the outbox. */
    readonly waiting: boolean;
    /** It was deleted here, and that can be undone. */
    readonly undo: boolean;
  };
  /** Why the last change that was made here was reverted. Missing after {@link Conversation.change}. */
  readonly reverted?: Refusal & { readonly kind: string };
}

/** A change that a user can make to a sent message. Only its sender can edit or delete it. */
export type OwnChange =
  | { readonly kind: "edit"; readonly body: string }
  /** For everyone. Takes effect after 5 s, until which it can be undone. A message that was never sent goes at once. */
  | { readonly kind: "delete" }
  | { readonly kind: "undo" }
  /** Replaces the user's reaction. "": withdraws it. */
  | { readonly kind: "react"; readonly emoji: string }
  /** Removes {@link Message.reverted}. */
  | { readonly kind: "dismiss" };

export interface Timeline {
  /**
   * Oldest first, in the order that all devices share. An unchanged message is the same object as before. Loaded
   * messages stay until the conversation is closed.
   */
  readonly items: readonly Message[];
  /** True until the stored messages were read and, if there were none, the first page was loaded. */
  readonly loading: boolean;
  /** An older page is being loaded. */
  readonly loadingOlder: boolean;
  /** There are no older messages. */
  readonly complete: boolean;
  /** Why the last attempt to load from the server failed. Null after a successful one. */
  readonly problem: Problem | null;
  /**
   * The key of the first message that was unread when the conversation was opened. The "new messages" line is above it.
   * Null if there is none. It moves down, or away, when the user answers or another device reads further.
   */
  readonly firstUnread: string | null;
  /**
   * The code of the refusal for which the waiting messages of this conversation wait ("answer_awaited", "inbox_full" …).
   * Null if nothing waits, or only for the connection.
   */
  readonly held: string | null;
  /** The keys of the messages with a star. The same set as before if nothing has changed. */
  readonly starred: ReadonlySet<string>;
}

export interface Draft {
  readonly text: string;
  readonly replyTo: Quote | null;
}

/** One open conversation. */
export interface Conversation {
  readonly id: string;
  readonly user: Readable<User>;
  readonly timeline: Readable<Timeline>;
  /** The other user is typing. Becomes false 6 s after the last hint. */
  readonly typing: Readable<boolean>;
  /** Messages of the other user above the read mark. */
  readonly unread: Readable<number>;
  /** Kept on this device and shared by its tabs. */
  readonly draft: Readable<Draft>;

  /**
   * Loads the page before the oldest item. Does nothing while one is being loaded, or when there are no older messages.
   */
  loadOlder(): Promise<void>;
  /**
   * Loads older pages until the message is among the items. False: it is not in this conversation, or loading failed.
   */
  reveal(key: string): Promise<boolean>;
  /**
   * Puts a message into the outbox and clears the draft. The value is the message's key. The message shows at once and
   * is sent when possible. Problems (nothing was stored): "body_empty", "body_too_long", "body_invalid",
   * "storage_full".
   */
  send(body: string, replyTo?: string): Promise<Outcome<string>>;
  /** Sends a refused message again, as a new one. The value is the key of that. */
  retry(key: string): Promise<Outcome<string>>;
  /** Removes a refused message from this device. */
  remove(key: string): Promise<void>;
  /**
   * Sends the current text of a message to others, each as a new message of this user without a quote. Drafts stay.
   * Problems (nothing was stored): "message_gone" (it was deleted), "storage_full".
   */
  forward(key: string, to: readonly string[]): Promise<Outcome>;
  /**
   * Changes a message: at once on this device, and for everyone when possible. It does nothing where it makes no sense,
   * as for a deleted message. Problems (nothing was stored): as for {@link send}.
   */
  change(key: string, change: OwnChange): Promise<Outcome>;
  /** Changes the draft, which is stored a moment later. `replyTo` is the key of a message of this conversation, or null. */
  setDraft(text: string, replyTo: string | null): void;
  /** Call it on each key. Sends the other user a typing hint at most every 3 s. */
  noteTyping(): void;
  /** Records that everything up to and including this message was on screen. The mark never moves back. */
  markRead(key: string): void;
  /** Closes this handle. Its values do not change any more. */
  close(): void;
}
