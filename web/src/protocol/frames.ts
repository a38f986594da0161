/**
 * The WebSocket protocol chat.v1: the frames, their fields and their limits. The twin of Go's package realtime/wire.
 * Both are tested against the same golden frames (realtime/wire/testdata/frames).
 */
import type { Fields } from "./fields";
import { type ChatMessage, MAX_BODY, type Micros, type SavedMessage } from "./chat";

/** The value of Sec-WebSocket-Protocol. */
export const SUBPROTOCOL = "chat.v1";

export interface Limits {
  /** Code points in a body. */
  readonly body: number;
  /** Users in a watch frame. */
  readonly watch: number;
  /** Sockets of one user on one instance. The oldest is closed beyond that. */
  readonly sockets: number;
  /** Messages, and their bytes, that wait for a user who has not answered yet. */
  readonly strangerMessages: number;
  readonly strangerBytes: number;
  /** New people that a user may write to in one day (UTC). */
  readonly newPeople: number;
  /** Whether the server accepts changes of messages (`changes` of the welcome). */
  readonly changes: boolean;
}

/** The limits of this version. A server sends its own in `welcome`. */
export const LIMITS: Limits = {
  body: MAX_BODY,
  watch: 100,
  sockets: 10,
  strangerMessages: 5,
  strangerBytes: 65_536,
  newPeople: 20,
  changes: false,
};

/** One of the receiver's own messages or changes. */
export interface MessageRef {
  readonly id: string;
  readonly at: Micros;
}

/** A choice of the user about a conversation or a message, which counts on all of the user's devices. */
export interface Setting {
  readonly conversation: string;
  /** The key of the message (`star`). Empty otherwise. */
  readonly message: string;
  /** Kinds of later versions are stored, but have no effect. */
  readonly kind: string;
  /** 0: off, 1: on; of `mute` the time until which it is on. */
  readonly value: Micros;
  readonly at: Micros;
  readonly id: string;
}

/** The durable part of the protocol. */
export type ChatEvent =
  /** For the recipient's devices. */
  | { readonly type: "message"; readonly message: ChatMessage }
  /** The same message, for the sender's own devices. */
  | { readonly type: "sent"; readonly message: ChatMessage }
  /**
   * A change of a message, for the recipient's devices (`change`) or the sender's own (`changed`). Its fields are checked
   * when it is applied, by ./changes, which is loaded then.
   */
  | { readonly type: "change" | "changed"; readonly change: Fields }
  /**
   * The content under which a message is saved, for the devices of both users. It replaces any other content that was
   * sent under the same id later.
   */
  | { readonly type: "corrected"; readonly message: SavedMessage }
  | {
      readonly type: "delivered";
      readonly conversation: string;
      readonly messages: readonly MessageRef[];
      readonly changes: readonly MessageRef[];
      readonly delivered_at: Micros;
    }
  /** Queued messages and changes that will never be delivered. */
  | {
      readonly type: "refused";
      readonly conversation: string;
      readonly messages: readonly MessageRef[];
      readonly changes: readonly MessageRef[];
      readonly code: string;
      readonly message: string;
    }
  /** `by` has seen everything up to `at`. */
  | { readonly type: "read"; readonly conversation: string; readonly by: string; readonly at: Micros }
  /** For the user's own devices. */
  | { readonly type: "setting"; readonly setting: Setting }
  /** From a later version: its cursor counts, the rest is ignored. */
  | { readonly type: "unknown" };

/** Whether the server keeps an event until it is acknowledged. The twin of wire.Waits. */
export function waits({ type }: Pick<ChatEvent, "type">): boolean {
  return type === "message" || type === "change";
}

export type ClientFrame =
  | {
      readonly type: "hello";
      readonly token: string;
      readonly device: string;
      readonly cursor: string;
      /** The user works with a window of this device; see `looking` below. */
      readonly looking?: boolean;
      /**
       * A visit that only fetches what waits, while nobody uses the device. It does not join presence, gets no hints, and
       * ends after a minute at the latest.
       */
      readonly background?: boolean;
    }
  | {
      readonly type: "send";
      readonly id: string;
      readonly to: string;
      readonly body: string;
      readonly at: Micros;
      readonly reply_to?: string;
    }
  /** Only to a server that offers changes ({@link Limits.changes}). */
  | {
      readonly type: "change";
      readonly id: string;
      readonly to: string;
      readonly at: Micros;
      readonly of: { readonly id: string; readonly from: string; readonly at: Micros };
      readonly kind: string;
      readonly body?: string;
      readonly emoji?: string;
    }
  | { readonly type: "ack"; readonly cursor: string }
  | { readonly type: "read"; readonly conversation: string; readonly at: Micros }
  | { readonly type: "typing"; readonly to: string }
  /** Whether a window of this device is visible and has the focus. Sent when that changes, not in a background visit. */
  | { readonly type: "looking"; readonly looking: boolean }
  | { readonly type: "watch"; readonly users: readonly string[] }
  | { readonly type: "token"; readonly token: string }
  | { readonly type: "ping" };

export interface Welcome {
  readonly type: "welcome";
  readonly uid: string;
  /** The server's clock. */
  readonly now: Micros;
  /** False: events may be missing between the cursor of the hello and the events that follow. */
  readonly resumed: boolean;
  readonly limits: Limits;
}

export interface ErrorFrame {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
  /** The message that the error refers to. Null if it is about the socket as a whole. */
  readonly id: string | null;
  /** Null: final. */
  readonly retry_after_ms: number | null;
}

export type ServerFrame =
  | Welcome
  | { readonly type: "event"; readonly cursor: string; readonly event: ChatEvent }
  | { readonly type: "caught_up"; readonly cursor: string }
  | { readonly type: "sent"; readonly id: string; readonly accepted_at: Micros }
  | { readonly type: "presence"; readonly user: string; readonly online: boolean; readonly last_seen: Micros | null }
  /** The names, the picture or the badge of a user, or of the own account, have changed. */
  | { readonly type: "profile"; readonly user: string }
  | { readonly type: "typing"; readonly from: string }
  | { readonly type: "goaway"; readonly reason: string; readonly within_ms: number }
  | ErrorFrame
  | { readonly type: "pong" }
  /** From a later version: ignored. */
  | { readonly type: "unknown" };
