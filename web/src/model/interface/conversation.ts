import type { Readable } from "../observable";
import type { Outcome, Problem } from "./outcome";
import type { Person } from "./person";

/**
 * Where a message is; it never goes backwards along this line: `waiting` (in
 * the outbox of this device), `sent` (queued), `delivered` (a device of the
 * recipient has it), `read`. `refused`: it will not be sent; see refusal.
 * Messages of the other are always `delivered` or `read`.
 */
export type MessageState = "waiting" | "sent" | "delivered" | "read" | "refused";

export interface Refusal {
  readonly code: string;
  /** The server's sentence, for codes that the view has no words for. */
  readonly message: string;
}

/** What a message answers. */
export interface Quote {
  readonly id: string;
  /** Null where the original is not on this device (yet). */
  readonly mine: boolean | null;
  readonly body: string | null;
}

export interface Message {
  /** Stable from the moment of typing to the end; use it as the key. */
  readonly id: string;
  readonly mine: boolean;
  /** Up to 8,000 code points from a stranger: show it as text, isolated (`dir=auto`), wrapped anywhere. */
  readonly body: string;
  /** When it was sent, by the sender's word; when it was typed while still waiting. */
  readonly time: number;
  /** When the server took it, where that differs from `time` by more than 10 minutes; else null. */
  readonly acceptedTime: number | null;
  readonly state: MessageState;
  /** When it was delivered, for the word behind the ticks; null where not known. */
  readonly deliveredTime: number | null;
  readonly refusal: Refusal | null;
  readonly quote: Quote | null;
}

export interface Timeline {
  /**
   * Oldest first, in the order that all devices share. A message that did not change is the same object as before. What is loaded stays until the
   * conversation is closed.
   */
  readonly items: readonly Message[];
  /** True until what is kept on this device was read and, where that is nothing, the first page was loaded. */
  readonly loading: boolean;
  /** An older page is being loaded. */
  readonly loadingOlder: boolean;
  /** There is nothing older. */
  readonly complete: boolean;
  /** Why the last attempt to load from the server failed; null after one that did not. */
  readonly problem: Problem | null;
  /** Where the "new messages" line stands: the first message unread when the conversation was opened; null where none. Stays until closed. */
  readonly firstUnread: string | null;
}

export interface Draft {
  readonly text: string;
  readonly replyTo: Quote | null;
}

/** One open conversation. */
export interface Conversation {
  readonly id: string;
  readonly person: Readable<Person>;
  readonly timeline: Readable<Timeline>;
  /** The other is typing; falls back by itself 6 s after the last sign. */
  readonly typing: Readable<boolean>;
  /** Messages of the other above the read mark. */
  readonly unread: Readable<number>;
  /** Kept on this device and shared by its tabs. */
  readonly draft: Readable<Draft>;

  /** Loads the page before the oldest item. Does nothing while one is under way or when complete. */
  loadOlder(): Promise<void>;
  /** Loads back until message `id` is among the items. False: it is not in this conversation, or could not be loaded. */
  reveal(id: string): Promise<boolean>;
  /**
   * Puts a message into the outbox; the value is its id. It shows at once and leaves when possible. Clears the draft. Problems (nothing was taken):
   * "body_empty", "body_too_long", "body_invalid", "storage_full".
   */
  send(body: string, replyTo?: string): Promise<Outcome<string>>;
  /** Sends a refused message again, as a new one. The value is the new id. */
  retry(id: string): Promise<Outcome<string>>;
  /** Removes a refused message from this device. */
  remove(id: string): Promise<void>;
  /** Changes the draft; stored a moment later. `replyTo` is a message id of this conversation, null for none. */
  setDraft(text: string, replyTo: string | null): void;
  /** Call on each key; says "typing" to the other at most every 3 s. */
  noteTyping(): void;
  /** Everything up to and including message `id` was on screen. Never moves back. */
  markRead(id: string): void;
  /** Ends this handle. Its values no longer change. */
  close(): void;
}
