/** Reading and writing of frames. */
import type { ChatMessage, SavedMessage } from "./chat";
import { Fields, Malformed } from "./fields";
import {
  type ChatEvent,
  type ClientFrame,
  type Limits,
  LIMITS,
  type MessageRef,
  type ServerFrame,
  type Setting,
} from "./frames";

/** Writes a frame of this client. */
export function encodeFrame(frame: ClientFrame): string {
  return JSON.stringify(frame);
}

/**
 * Reads a frame of a server. Throws Malformed if the text is not a frame, or lacks a required field. Types and fields
 * of later versions are ignored.
 */
export function decodeFrame(text: string): ServerFrame {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Malformed("frame is not valid JSON");
  }
  const f = new Fields("frame", value);
  const type = f.text("type");
  switch (type) {
    case "welcome": {
      return {
        type,
        uid: f.text("uid"),
        now: f.integer("now", 1),
        resumed: f.bool("resumed"),
        limits: { ...readLimits(f.object("limits")), changes: f.optionalBool("changes") },
      };
    }
    case "event":
      return { type, cursor: f.text("cursor"), event: decodeEvent(f.object("event")) };
    case "caught_up":
      return { type, cursor: f.text("cursor") };
    case "sent":
      return { type, id: f.text("id"), accepted_at: f.integer("accepted_at", 1) };
    case "presence":
      return { type, user: f.text("user"), online: f.bool("online"), last_seen: f.optionalInteger("last_seen") };
    case "profile":
      return { type, user: f.text("user") };
    case "typing":
      return { type, from: f.text("from") };
    case "goaway":
      return { type, reason: f.text("reason"), within_ms: f.integer("within_ms") };
    case "error":
      return {
        type,
        code: f.text("code"),
        message: f.text("message"),
        id: f.optionalText("id") || null,
        retry_after_ms: f.optionalInteger("retry_after_ms"),
      };
    case "pong":
      return { type };
    default:
      return { type: "unknown" };
  }
}

/** Reads the limits that this client uses. A server that does not send one of the newer limits has its usual value. */
function readLimits(f: Fields): Omit<Limits, "changes"> {
  const newer = (name: string, usual: number): number => (f.has(name) ? f.integer(name, 1) : usual);
  return {
    body: f.integer("body", 1),
    watch: f.integer("watch", 1),
    sockets: newer("sockets", LIMITS.sockets),
    strangerMessages: newer("stranger_messages", LIMITS.strangerMessages),
    strangerBytes: newer("stranger_bytes", LIMITS.strangerBytes),
    newPeople: newer("new_people", LIMITS.newPeople),
  };
}

function decodeEvent(f: Fields): ChatEvent {
  const type = f.text("type");
  switch (type) {
    case "message":
    case "sent":
      return { type, message: readMessage(f) };
    case "change":
    case "changed":
      return { type, change: f };
    case "corrected":
      return { type, message: readSaved(f) };
    case "delivered":
      return {
        type,
        conversation: f.text("conversation"),
        messages: readRefs(f.list("messages")),
        changes: readRefs(f.optionalList("changes")),
        delivered_at: f.integer("delivered_at", 1),
      };
    case "refused":
      return {
        type,
        conversation: f.text("conversation"),
        messages: readRefs(f.list("messages")),
        changes: readRefs(f.optionalList("changes")),
        code: f.text("code"),
        message: f.text("message"),
      };
    case "read":
      return { type, conversation: f.text("conversation"), by: f.text("by"), at: f.integer("at", 1) };
    case "setting":
      return { type, setting: readSetting(f) };
    default:
      return { type: "unknown" };
  }
}

function readRefs(list: readonly unknown[]): MessageRef[] {
  return list.map((entry) => {
    const ref = new Fields("message", entry);
    return { id: ref.text("id"), at: ref.integer("at", 1) };
  });
}

/** Reads a setting. `subject` is what it is about, if its fields do not say so. */
export function readSetting(f: Fields, subject?: Pick<Setting, "conversation" | "kind">): Setting {
  return {
    conversation: subject?.conversation ?? f.text("conversation"),
    message: f.optionalText("message"),
    kind: subject?.kind ?? f.text("kind"),
    value: f.integer("value"),
    at: f.integer("at", 1),
    id: f.text("id"),
  };
}

/** Reads the settings of a conversation, by kind. */
export function readSettings(f: Fields, conversation: string): Setting[] {
  return f.entries().map(([kind, choice]) => readSetting(new Fields("setting", choice), { conversation, kind }));
}

function readMessage(f: Fields): ChatMessage {
  const replyTo = f.optionalText("reply_to");
  return {
    id: f.text("id"),
    conversation: f.text("conversation"),
    from: f.text("from"),
    to: f.text("to"),
    body: f.textOrEmpty("body"),
    at: f.integer("at", 1),
    accepted_at: f.integer("accepted_at", 1),
    ...(replyTo === "" ? {} : { reply_to: replyTo }),
  };
}

/** Reads a message of history. */
export function readSavedMessage(value: unknown): SavedMessage {
  return readSaved(new Fields("message", value));
}

function readSaved(f: Fields): SavedMessage {
  return {
    ...readMessage(f),
    delivered_at: f.integer("delivered_at", 1),
    ...(f.has("changes") && { changes: f.object("changes") }),
  };
}
