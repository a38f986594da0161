/** The data of one user on this device: the rows and the shape of the database. */
import type { ListedConversation } from "../../net/archive";
import type { OwnProfile } from "../../net/own";
import type { Changes } from "../../protocol/changes";
import type { Micros } from "../../protocol/chat";
import type { Limits, Setting } from "../../protocol/frames";
import type { Shape } from "../../platform/database";
import type { Quiet } from "../push/quiet";

/** The progress of a message. `received`: a message of another user. */
export type RowStatus = "waiting" | "sent" | "delivered" | "refused" | "received";

/**
 * A place beyond every `at`, for messages that were not transmitted yet: WAITING plus their typing order. (2^52 µs is
 * the year 2112.)
 */
export const WAITING = 2 ** 52;

export interface MessageRow {
  readonly id: string;
  /** Identifies the message within its conversation; see messageKey. */
  readonly key: string;
  readonly conversation: string;
  readonly from: string;
  readonly to: string;
  /** The text to show: with all changes, own ones that wait included. Empty if the message was deleted. */
  readonly body: string;
  /** The key of the message that it answers. */
  readonly replyTo: string | null;
  /** Set by the first transmission. Null before. */
  readonly at: Micros | null;
  /** Sort key, with `key`: `at`, or a place after everything else while there is no `at`. */
  readonly place: number;
  readonly status: RowStatus;
  readonly acceptedAt: Micros | null;
  readonly deliveredAt: Micros | null;
  readonly refusal: { readonly code: string; readonly message: string } | null;
  /** When it was typed on this device, in ms. Null for messages that were received or loaded. */
  readonly typedAt: number | null;
  /** Place in the outbox. Set only while the message is in the outbox: not delivered, not in history, not refused. */
  readonly queue?: number;
  /**
   * When an event brought it, in µs by the server's clock. Missing for messages that were typed here, and once history
   * or a correction has shown what is saved under the key.
   */
  readonly heard?: Micros;
  /** The sum of the changes that `body` has. Missing if there are none. */
  readonly changes?: Changes;
  /**
   * The body to send again, if changes that a server has are in `body` already: another device may have edited or
   * deleted a message that Redis then lost. Set only in the outbox.
   */
  readonly original?: string;
  /** The message without the user's own undelivered changes. Missing if there are none. */
  readonly settled?: {
    readonly body: string;
    readonly changes: Changes;
    /** No server has one of them yet. */
    readonly waiting: boolean;
    /** One of them is a deletion that was not transmitted yet, so it can be undone. */
    readonly undo: boolean;
  };
  /** Why the last change that was made here has no effect. */
  readonly unchanged?: { readonly kind: string; readonly code: string; readonly message: string };
}

/** A change that the user has made. It has a row until it is delivered or refused, or has no effect any more. */
export interface ChangeRow {
  readonly id: string;
  readonly conversation: string;
  readonly from: string;
  readonly to: string;
  /** The message. `at` is a guess until the change is transmitted. */
  readonly of: { readonly id: string; readonly from: string; readonly at: Micros };
  /** The path of the message. */
  readonly path: string;
  readonly kind: string;
  readonly body?: string;
  readonly emoji?: string;
  /** As for messages. */
  readonly at: Micros | null;
  readonly place: number;
  readonly status: "waiting" | "sent";
  /** Place in the outbox, among the messages. Missing for changes that another device has made. */
  readonly queue?: number;
  /** Not to be transmitted before this time, in ms, so that it can be undone. */
  readonly notBefore?: number;
}

/** A row of the outbox. */
export type Queued = MessageRow | ChangeRow;

export function isChange(row: Queued): row is ChangeRow {
  return "kind" in row;
}

/** The primary key of a message in the database. Two users, or two conversations, may have messages of one id. */
export function messagePath(conversation: string, key: string): string {
  return `${conversation}/${key}`;
}

/** The rows that the database holds. */
export interface StoredMessage extends MessageRow {
  readonly path: string;
}

export interface ConversationRow {
  readonly id: string;
  /** The other member. */
  readonly other: string;
  /** Sort key of the list: the time of the last activity, in µs. */
  readonly recent: Micros;
  /** The newest `at` that a server has shown. A message of this device must come after it. */
  readonly newest: Micros;
  /** The newest `at` that this device has set itself. The next one must come after it, too. */
  readonly newestOwn: Micros;
  readonly preview: {
    readonly id: string;
    readonly from: string;
    readonly body: string;
    readonly at: Micros;
  } | null;
  /** Everything up to here was seen by this user, or by the other one. */
  readonly myRead: Micros;
  readonly otherRead: Micros;
  /** The newest own mark that the server has shown. */
  readonly readShown: Micros;
  /** Since when `myRead` is newer than `readShown`, in ms. Missing otherwise. */
  readonly readUnsent?: number;
  /** Messages of the other user above `myRead` that are on this device. */
  readonly unread: number;
  /** The server's last count of them, valid for marks up to `unreadMark`. Used when it is higher than `unread`. */
  readonly unreadThere: number;
  readonly unreadMark: Micros;
  /** The start of the part that this device has without a gap. Older pages are not loaded. Null: nothing is loaded. */
  readonly loadedFrom: Micros | null;
  /** The whole conversation is on this device. */
  readonly complete: boolean;
  /**
   * The number of the {@link Gap} for which the newest pages, down to the oldest message of the outbox, were loaded.
   */
  readonly checked: number;
  /** When the newest page was last loaded, in ms. */
  readonly checkedAt: number;
  /** The code of the refusal for which the outbox of this conversation waits. Missing if it does not wait for one. */
  readonly held?: string;
  /**
   * The user has written here, or has accepted the request of the other one. False: it is a request; see ./requests.
   * Missing: not known yet, which counts as true.
   */
  readonly answered?: boolean;
  /** The user has answered the request by a message or accepted it, and the server may not know it yet. */
  readonly accepting?: boolean;
  /** Nothing up to here is shown, because the user has deleted the request. Missing or 0: everything is. */
  readonly removed?: Micros;
}

export interface UserRow {
  readonly uid: string;
  readonly username: string;
  readonly displayName: string;
  /** Set only if the account does not exist any more. */
  readonly deleted?: true;
  /** Set only if the user was an admin then. */
  readonly admin?: true;
  /** The version of the picture. Empty or missing: none. */
  readonly picture?: string;
  /** When these names were loaded, in ms. */
  readonly loadedAt: number;
}

export interface DraftRow {
  readonly conversation: string;
  readonly text: string;
  /** The key of the message that it answers. */
  readonly replyTo: string | null;
  /** When the draft was changed, in ms. */
  readonly at: number;
}

/** A choice about a conversation or a message; see ./settings. */
export interface SettingRow extends Setting {
  readonly key: string;
  /** Since when the server has not answered it, in ms. Missing if it has. */
  readonly unsent?: number;
  /** The choice that counts if the server refuses this one. Missing if there was none. */
  readonly before?: Pick<Setting, "value" | "at" | "id">;
}

/**
 * Facts about messages that this device does not have. Except for `refused`, the message is to be loaded (a backfill). A `refused` row is only remembered until its message arrives.
 */
export interface Backfill {
  /** `delivered:`, `refused:` or `changed:` and the path of the message, or `read:<conversation>`. */
  readonly key: string;
  readonly kind: "delivered" | "refused" | "read" | "changed";
  readonly conversation: string;
  /** Empty for `read`. */
  readonly id: string;
  /** The `at` of the message, or of the read mark. */
  readonly at: Micros;
  readonly deliveredAt: Micros | null;
  readonly refusal: { readonly code: string; readonly message: string } | null;
  /** When the row was written, in ms. */
  readonly since: number;
  /** When to try next, in ms. Missing if nothing is to be loaded. */
  readonly due?: number;
  readonly tries: number;
  /** The changes of the message (`changed`). */
  readonly changes?: Changes;
}

/** A time when events may have been missed: `welcome` with `resumed: false`, or an unreadable frame. */
export interface Gap {
  /** The number of gaps so far. 0: none yet. */
  readonly n: number;
  /** When the last one was found, in ms. */
  readonly at: number;
  /** The same by the server's clock, in µs. */
  readonly foundAt: Micros;
  /** Nothing is missing up to this time, in µs by the server's clock. 0: this device has never received anything. */
  readonly since: Micros;
  /**
   * How many loads of this gap are done. The first one runs at once, the others 1, 5 and 15 min after it, because
   * missed messages may be saved late.
   */
  readonly loads: number;
  readonly tries: number;
  /** When to try next, in ms. Null when all are done. */
  readonly due: number | null;
}

export type MetaRow =
  /** The cursor of the last stored event, and the time when it was stored, in µs by the server's clock. */
  | { readonly name: "cursor"; readonly cursor: string; readonly at: Micros }
  /** The server's clock minus this device's clock, in ms. */
  | { readonly name: "clock"; readonly offset: number }
  /** The server's limits, from its last welcome. */
  | { readonly name: "limits"; readonly limits: Partial<Limits> }
  | { readonly name: "device"; readonly id: string }
  | { readonly name: "gap"; readonly gap: Gap }
  /** Written to test whether there is space again. */
  | { readonly name: "probe"; readonly at: number }
  | { readonly name: "queue"; readonly last: number }
  /** The cursor of the next page of the server's list of conversations. Null when the whole list is here. */
  | { readonly name: "list"; readonly next: string | null; readonly loaded: boolean }
  /**
   * The first replay of events on a new device. Until it is `live` and the list was loaded, events and marks of the past
   * are not shown: lists show `listed`, which the server returned. Null: not loaded yet. Empty if it cannot be loaded.
   */
  | { readonly name: "replay"; readonly live: boolean; readonly listed: readonly ListedConversation[] | null }
  | { readonly name: "profile"; readonly profile: OwnProfile }
  /** The newest device about whose sign-in the user has answered in this browser. */
  | { readonly name: "seenDevice"; readonly id: string }
  | PushRow;

/**
 * The registration of this browser for pushes, and what the service worker needs for its visits. It is deleted with the
 * database when the user signs out.
 */
export interface PushRow {
  readonly name: "push";
  /** The endpoint that the server has. Empty: none. */
  readonly endpoint: string;
  /** Our public key. */
  readonly key: string;
  /** Whether pushes have the text of messages. */
  readonly preview: boolean;
  readonly quiet: Quiet;
  /** The time zone that the server knows for `quiet`. */
  readonly zone: string;
  /** Whether notifications have no sound. */
  readonly silent: boolean;
  /** When the server was last told, in ms. */
  readonly at: number;
  /** Copies of the notes about the sign-in and the configuration, which a worker cannot read. */
  readonly signIn: string;
  readonly config: string;
  /** The endpoint through which a test has reached this browser. Missing or empty: none has. */
  readonly proved?: string;
  /** When the server was last asked for a test by itself, in ms. */
  readonly tested?: number;
}

export type ReplayRow = Extract<MetaRow, { name: "replay" }>;

export const SHAPE: Shape = {
  version: 6,
  // Version 3 gave messages another primary key.
  emptyBefore: 3,
  stores: {
    meta: { key: "name", indexes: {} },
    messages: {
      key: "path",
      indexes: {
        place: ["conversation", "place", "key"],
        queue: ["queue"],
        typed: ["id", "typedAt"],
        heard: ["heard"],
      },
    },
    changes: { key: "id", indexes: { queue: ["queue"], path: ["path"] } },
    conversations: { key: "id", indexes: { recent: ["recent", "id"], unsent: ["readUnsent"] } },
    users: { key: "uid", indexes: {} },
    drafts: { key: "conversation", indexes: {} },
    settings: { key: "key", indexes: { unsent: ["unsent"] } },
    backfills: { key: "key", indexes: { due: ["due"], conversation: ["conversation"] } },
  },
};

/** All stores, for transactions that apply events. */
export const ALL: readonly string[] = Object.keys(SHAPE.stores);
