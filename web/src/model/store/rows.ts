/** What one account keeps on this device: the rows and the shape of its database. */
import type { OwnProfile } from "../../net/own";
import type { Micros } from "../../protocol/chat";
import type { Limits } from "../../protocol/frames";
import type { Shape } from "../../platform/database";

/** Where a message is. `received`: somebody else's. */
export type RowStatus = "waiting" | "sent" | "delivered" | "refused" | "received";

/**
 * A place beyond every `at`, for messages that were not transmitted yet:
 * WAITING + the order in which they were typed. (2^52 µs is the year 2112.)
 */
export const WAITING = 2 ** 52;

export interface MessageRow {
  readonly id: string;
  readonly conversation: string;
  readonly from: string;
  readonly to: string;
  readonly body: string;
  readonly replyTo: string | null;
  /** Fixed at the first transmission; null before. */
  readonly at: Micros | null;
  /** Sort key, with id: `at`, or a place after everything while there is none. */
  readonly place: number;
  readonly status: RowStatus;
  readonly acceptedAt: Micros | null;
  readonly deliveredAt: Micros | null;
  readonly refusal: { readonly code: string; readonly message: string } | null;
  /** When it was typed here, in ms; null for messages that came from elsewhere. */
  readonly typedAt: number | null;
  /** Place in the outbox. Only while it is in the outbox: not delivered, not in history, not refused. */
  readonly queue?: number;
}

export interface ConversationRow {
  readonly id: string;
  /** The other member. */
  readonly other: string;
  /** Sort key of the list: when something last happened, in µs. */
  readonly recent: Micros;
  /** The newest `at` that this device knows of: what an own message must come after. */
  readonly newest: Micros;
  readonly preview: {
    readonly id: string;
    readonly from: string;
    readonly body: string;
    readonly at: Micros;
  } | null;
  /** Everything up to this was seen: by this user, by the other. */
  readonly myRead: Micros;
  readonly otherRead: Micros;
  /** The newest own mark that the server has shown. */
  readonly readShown: Micros;
  /** Only while `myRead` is newer than `readShown`: since when, in ms. */
  readonly readUnsent?: number;
  /** Messages of the other above `myRead` that are on this device. */
  readonly unread: number;
  /** The server's count of them when it was last asked, for marks up to `unreadMark`; counts where more of them are not on this device. */
  readonly unreadThere: number;
  readonly unreadMark: Micros;
  /** Everything from here on is on this device, so far as history can know: pages below are still to load. Null: nothing is. */
  readonly loadedFrom: Micros | null;
  /** Everything is. */
  readonly complete: boolean;
  /** The gap (see {@link Gap}) for which the newest pages, down to the oldest message of the outbox, were loaded. */
  readonly checked: number;
  /** When the newest page was last loaded, in ms. */
  readonly checkedAt: number;
}

export interface UserRow {
  readonly uid: string;
  readonly username: string;
  readonly displayName: string;
  /** Only for an account that is gone. */
  readonly deleted?: true;
  /** When this was loaded, in ms. */
  readonly loadedAt: number;
}

export interface DraftRow {
  readonly conversation: string;
  readonly text: string;
  readonly replyTo: string | null;
  /** When it was changed, in ms. */
  readonly at: number;
}

/**
 * Word about messages that this device does not have. `delivered` and
 * `read` are backfills: the message is to be loaded. `refused` is only remembered.
 */
export interface Backfill {
  /** `delivered:<id>`, `refused:<id>` or `read:<conversation>`. */
  readonly key: string;
  readonly kind: "delivered" | "refused" | "read";
  readonly conversation: string;
  /** Empty for `read`. */
  readonly id: string;
  /** Where the message stands (`delivered`), or up to where it was read. */
  readonly at: Micros;
  readonly deliveredAt: Micros | null;
  readonly refusal: { readonly code: string; readonly message: string } | null;
  /** When it was noted, in ms. */
  readonly since: number;
  /** When to try next, in ms; missing for what is not to be loaded. */
  readonly due?: number;
  readonly tries: number;
}

/** A time when events may have been missed: `welcome` with `resumed: false`. */
export interface Gap {
  /** Counts them; 0 is none yet. */
  readonly n: number;
  /** When the last one was, in ms. */
  readonly at: number;
  /** Up to when nothing was missed, in µs by the server's clock; 0: nothing was ever here. */
  readonly since: Micros;
  /**
   * How many of the loads that it asks for are done: the first is due at
   * once, then 1, 5 and 15 min after it began, since what was missed may have been saved late.
   */
  readonly loads: number;
  readonly tries: number;
  /** When to try next, in ms; null when all are done. */
  readonly due: number | null;
}

export type MetaRow =
  /** The last event stored here, and when that was, in µs by the server's clock. */
  | { readonly name: "cursor"; readonly cursor: string; readonly at: Micros }
  /** What to add to this device's clock for the server's, in ms. */
  | { readonly name: "clock"; readonly offset: number }
  /** What the server takes, as it last said. */
  | { readonly name: "limits"; readonly limits: Limits }
  | { readonly name: "device"; readonly id: string }
  | { readonly name: "gap"; readonly gap: Gap }
  /** Written to see whether there is room again. */
  | { readonly name: "probe"; readonly at: number }
  | { readonly name: "queue"; readonly last: number }
  /** Where the list of conversations goes on, on the server; null when it is all here. */
  | { readonly name: "list"; readonly next: string | null; readonly loaded: boolean }
  | { readonly name: "profile"; readonly profile: OwnProfile };

export const SHAPE: Shape = {
  version: 2,
  // Version 2 renamed stores and fields.
  emptyBefore: 2,
  stores: {
    meta: { key: "name", indexes: {} },
    messages: { key: "id", indexes: { place: ["conversation", "place", "id"], queue: ["queue"] } },
    conversations: { key: "id", indexes: { recent: ["recent", "id"], unsent: ["readUnsent"] } },
    users: { key: "uid", indexes: {} },
    drafts: { key: "conversation", indexes: {} },
    backfills: { key: "key", indexes: { due: ["due"], conversation: ["conversation"] } },
  },
};

/** Every store: what a transaction that applies events may touch. */
export const ALL: readonly string[] = Object.keys(SHAPE.stores);
