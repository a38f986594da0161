/**
 * The lines of JSON between this program and the Go process of a fault run (infra/fault/load/browser.go), which has the
 * network, the HTTP functions and the record. Both directions have one order each: a note about a transaction is written
 * before every frame that the engine sends because of it.
 */

import type { Changes } from "../src/protocol/changes";

/** A message in the form of the wire (realtime/chat). */
export interface WireMessage {
  readonly id: string;
  readonly conversation: string;
  readonly from: string;
  readonly to: string;
  readonly body: string;
  readonly at: number;
  readonly accepted_at: number;
  readonly reply_to?: string;
}

/** A change of a message in the form of the wire (chat.Change). */
export interface WireChange {
  readonly id: string;
  readonly conversation: string;
  readonly from: string;
  readonly to: string;
  /** 0: not transmitted yet. */
  readonly at: number;
  readonly of: { readonly id: string; readonly from: string; readonly at: number };
  readonly kind: string;
  readonly body?: string;
  readonly emoji?: string;
}

/** A message as a device shows it. `state` is empty for messages of others. */
export interface Line {
  readonly message: WireMessage;
  /** The changes that the body includes. */
  readonly changes?: Changes;
  readonly state: string;
  readonly refusal: string;
}

/** A conversation in the list of the device. */
export interface Summary {
  /** The preview, unless it is an own message that is not delivered. Null if there is none. */
  readonly newest: WireMessage | null;
  readonly unread: number;
  /** Read marks by uid. */
  readonly read: Readonly<Record<string, number>>;
  /** The user's own read mark is not confirmed yet. */
  readonly unsent: boolean;
}

/** An event on a device, in the form in which infra/client reports it (client.Note). */
export interface Note {
  readonly note:
    | "typed"
    | "frozen"
    | "shown"
    | "repeated"
    | "corrected"
    | "folded"
    | "retyped"
    | "dropped"
    | "state"
    | "read"
    | "up"
    | "down"
    | "moved"
    | "not_resumed";
  /** The code of a refusal, if the state is refused. */
  readonly refusal?: string;
  readonly message?: WireMessage;
  /** The sum of the changes of the message. */
  readonly changes?: Changes;
  /** The note is about this change, and not about a message. */
  readonly change?: WireChange;
  readonly state?: string;
  readonly from?: "event" | "history";
  readonly conversation?: string;
  readonly at?: number;
}

/** A call, an answer, or what happened on a socket. */
export interface Incoming {
  /** The number of a call that Go makes. It gets one {@link Outgoing} with the same number. */
  readonly call?: number;
  readonly do?: string;
  /** The number of a run of the app, and of a store. Go assigns them. */
  readonly app?: number;
  readonly store?: number;
  readonly uid?: string;
  readonly conversation?: string;
  readonly to?: string;
  readonly body?: string;
  readonly reply_to?: string;
  /** Of a change: the key of the message, what to do with it, and the body or the emoji. */
  readonly key?: string;
  readonly kind?: string;
  readonly content?: string;
  readonly at?: number;
  readonly whole?: boolean;
  readonly online?: boolean;
  readonly skew_ms?: number;
  readonly seed?: readonly number[];
  /** The number of another store. */
  readonly copy?: number;

  /** The number of a question that this program asked, with its answer. Without a status, there is no network. */
  readonly answer?: number;
  readonly status?: number;
  readonly text?: string;
  readonly retry_after?: string;
  readonly ends_ms?: number;

  /** The number of a socket, and what happened to it. */
  readonly socket?: number;
  readonly event?: "opened" | "text" | "closed";
  readonly code?: number;
}

export interface Outgoing extends Partial<Note> {
  readonly call?: number;
  readonly result?: unknown;
  readonly error?: string;
  readonly app?: number;

  readonly ask?: number;
  readonly what?: "token" | "http";
  readonly method?: string;
  readonly url?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;

  readonly socket?: number;
  readonly event?: "dial" | "send" | "close";
  readonly text?: string;
  readonly code?: number;

  /** A report of the app to its developers. */
  readonly report?: string;
}
