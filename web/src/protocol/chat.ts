/**
 * Messages and conversations: the TypeScript twin of Go's package realtime/chat. The limits are those of this version.
 * A server sends its own in `welcome`.
 */

import type { Fields } from "./fields";

/** Microseconds since the epoch. A number holds them exactly until the year 2255. */
export type Micros = number;

/** Code points in a body, unless the server sent another limit. */
export const MAX_BODY = 8000;

/** A message as it is transmitted. Within its conversation it is identified by {@link messageKey}. Sort key: (at, key). */
export interface ChatMessage {
  readonly id: string;
  readonly conversation: string;
  readonly from: string;
  readonly to: string;
  readonly body: string;
  readonly at: Micros;
  readonly accepted_at: Micros;
  /** The key of the message that it answers. */
  readonly reply_to?: string;
}

/** A saved message. */
export interface SavedMessage extends ChatMessage {
  readonly delivered_at: Micros;
  /** The sum of its changes, which `body` already includes. ./changes reads and checks it. */
  readonly changes?: Fields;
}

const UID = /^[A-Za-z0-9_-]{1,128}$/;
const MESSAGE_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

export function validUid(uid: string): boolean {
  return UID.test(uid);
}

/** Whether `id` is a UUIDv7 in its canonical lower-case form. */
export function validMessageId(id: string): boolean {
  return MESSAGE_ID.test(id);
}

/**
 * Returns what identifies a message within its conversation. The id alone does not: it is chosen by the sender, and
 * another user may choose the same one. Ids have one length, so keys sort like (id, from).
 */
export function messageKey({ id, from }: Pick<ChatMessage, "id" | "from">): string {
  return `${id}.${from}`;
}

/** Returns the id of the conversation of `a` and `b`, in any order. */
export function conversationId(a: string, b: string): string {
  // Compared by code units: uids are ASCII, so this is Go's byte order.
  return a < b ? `${a}~${b}` : `${b}~${a}`;
}

/** Returns the other member of `conversation`, or null if it is not a conversation of `uid`. */
export function otherMember(conversation: string, uid: string): string | null {
  const [a, b, ...rest] = conversation.split("~");
  if (a === undefined || b === undefined || rest.length > 0 || !validUid(a) || !validUid(b) || a >= b) return null;
  if (a === uid) return b;
  if (b === uid) return a;
  return null;
}

/** Counts the code points of `text`, the unit of the body limit. */
function codePoints(text: string): number {
  let n = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0xd800 && unit < 0xdc00 && i + 1 < text.length) {
      const next = text.charCodeAt(i + 1);
      if (next >= 0xdc00 && next < 0xe000) i++;
    }
    n++;
  }
  return n;
}

export type BodyFault = "body_empty" | "body_too_long" | "body_invalid";

// Control characters except tab, line feed and carriage return, as in chat.CheckBody.
// eslint-disable-next-line no-control-regex -- finding them is its purpose
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;
// As in realtime/chat/visible.go.
const NOTHING = /^[\u{16fe4}\p{White_Space}\p{Default_Ignorable_Code_Point}\u2800\ufff9-\ufffb\u{1d159}]*$/u;
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/** Reports whether a text has nothing that a reader can see, such as zero-width spaces and fillers. */
export function nothingVisible(text: string): boolean {
  return NOTHING.test(text);
}

/** Checks a body against the rules of chat.CheckBody. Returns null if it is valid. */
export function checkBody(body: string, limit = MAX_BODY): BodyFault | null {
  if (nothingVisible(body)) return "body_empty";
  if (LONE_SURROGATE.test(body)) return "body_invalid";
  if (body.length > limit && codePoints(body) > limit) return "body_too_long";
  if (CONTROL.test(body)) return "body_invalid";
  return null;
}

/**
 * Cleans a typed or pasted text so that {@link checkBody} does not call it invalid: removes control characters, and
 * replaces half of a surrogate pair by U+FFFD. It does not change anything that a reader can see.
 */
export function cleanBody(body: string): string {
  return body.replace(new RegExp(CONTROL, "g"), "").replace(new RegExp(LONE_SURROGATE, "g"), "\ufffd");
}
