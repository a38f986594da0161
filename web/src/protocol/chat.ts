/**
 * What a message and a conversation are: the TypeScript twin of Go's package
 * realtime/chat. Limits are those of this version; a server tells its own in `welcome`.
 */

/** Microseconds since the epoch; fits a number exactly until the year 2255. */
export type Micros = number;

/** Code points in a body, where the server has not said otherwise. */
export const MAX_BODY = 8000;

/** A message as it travels. Sort key: (at, id). */
export interface ChatMessage {
  readonly id: string;
  readonly conversation: string;
  readonly from: string;
  readonly to: string;
  readonly body: string;
  readonly at: Micros;
  readonly accepted_at: Micros;
  readonly reply_to?: string;
}

/** A saved message. */
export interface SavedMessage extends ChatMessage {
  readonly delivered_at: Micros;
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

/** The id of the conversation of `a` and `b`; the order does not matter. */
export function conversationId(a: string, b: string): string {
  // By code units: uids are ASCII, so this is Go's order of bytes.
  return a < b ? `${a}~${b}` : `${b}~${a}`;
}

/** Who the member `uid` talks to in `conversation`; null where it is no conversation of `uid`. */
export function otherMember(conversation: string, uid: string): string | null {
  const [a, b, ...rest] = conversation.split("~");
  if (a === undefined || b === undefined || rest.length > 0 || !validUid(a) || !validUid(b) || a >= b) return null;
  if (a === uid) return b;
  if (b === uid) return a;
  return null;
}

/** Code points in `text`, which is what bodies are measured in. */
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

// Control characters but tab, line feed and carriage return, as in chat.CheckBody.
// eslint-disable-next-line no-control-regex -- finding them is its purpose
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;
// Go's unicode.IsSpace, which strings.TrimSpace uses; JavaScript's trim also takes U+FEFF.
const ONLY_SPACE = /^[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*$/;
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/** Holds a body to the rules of chat.CheckBody; null where it keeps them. */
export function checkBody(body: string, limit = MAX_BODY): BodyFault | null {
  if (ONLY_SPACE.test(body)) return "body_empty";
  if (LONE_SURROGATE.test(body)) return "body_invalid";
  if (body.length > limit && codePoints(body) > limit) return "body_too_long";
  if (CONTROL.test(body)) return "body_invalid";
  return null;
}

/**
 * Makes a typed or pasted text one that {@link checkBody} does not call
 * invalid: control characters are dropped, half of a surrogate pair becomes
 * U+FFFD. Nothing a person can see is changed.
 */
export function cleanBody(body: string): string {
  return body.replace(new RegExp(CONTROL, "g"), "").replace(new RegExp(LONE_SURROGATE, "g"), "\ufffd");
}
