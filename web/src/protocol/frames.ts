/**
 * The WebSocket protocol chat.v1: the frames, their fields, their limits. The
 * twin of Go's package realtime/wire; both test against the same golden
 * frames (realtime/wire/testdata/frames).
 */
import type { ChatMessage, Micros } from "./chat";

/** The value of Sec-WebSocket-Protocol. */
export const SUBPROTOCOL = "chat.v1";

/** Users in one watch frame, where the server has not said otherwise. */
export const MAX_WATCH = 100;

export interface Limits {
  /** Code points in a body. */
  readonly body: number;
  /** Users in a watch frame. */
  readonly watch: number;
}

export interface MessageRef {
  readonly id: string;
  readonly at: Micros;
}

/** The durable part of the protocol. */
export type ChatEvent =
  /** For the recipient's devices. */
  | { readonly type: "message"; readonly message: ChatMessage }
  /** The same, for the sender's own devices. */
  | { readonly type: "sent"; readonly message: ChatMessage }
  | {
      readonly type: "delivered";
      readonly conversation: string;
      readonly messages: readonly MessageRef[];
      readonly delivered_at: Micros;
    }
  /** Queued messages that will never be delivered. */
  | {
      readonly type: "refused";
      readonly conversation: string;
      readonly messages: readonly MessageRef[];
      readonly code: string;
      readonly message: string;
    }
  /** `by` has seen everything up to `at`. */
  | { readonly type: "read"; readonly conversation: string; readonly by: string; readonly at: Micros }
  /** Of a later version: its cursor counts, the rest is passed over. */
  | { readonly type: "unknown" };

export type ClientFrame =
  | { readonly type: "hello"; readonly token: string; readonly device: string; readonly cursor: string }
  | {
      readonly type: "send";
      readonly id: string;
      readonly to: string;
      readonly body: string;
      readonly at: Micros;
      readonly reply_to?: string;
    }
  | { readonly type: "ack"; readonly cursor: string }
  | { readonly type: "read"; readonly conversation: string; readonly at: Micros }
  | { readonly type: "typing"; readonly to: string }
  | { readonly type: "watch"; readonly users: readonly string[] }
  | { readonly type: "token"; readonly token: string }
  | { readonly type: "ping" };

export interface Welcome {
  readonly type: "welcome";
  readonly uid: string;
  /** The server's clock. */
  readonly now: Micros;
  /** False: events may be missing between the cursor of the hello and what follows. */
  readonly resumed: boolean;
  readonly limits: Limits;
}

export interface ErrorFrame {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
  /** The message that it answers; null where it is about the socket as a whole. */
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
  | { readonly type: "typing"; readonly from: string }
  | { readonly type: "goaway"; readonly reason: string; readonly within_ms: number }
  | ErrorFrame
  | { readonly type: "pong" }
  /** Of a later version: passed over. */
  | { readonly type: "unknown" };
