/**
 * Messages between the tabs of one user over their channel. A tab may run another version of this program, so unknown
 * messages are ignored.
 */
import { Fields, Malformed } from "../../protocol/fields";
import type { ConnectionState } from "../../net/connection";
import type { Presence } from "../interface/chat";
import { type Change, readChange } from "../store/change";

export type TabMessage =
  /** Asks for the leader, which answers with `state`. */
  | { readonly kind: "who-leads" }
  /** From the leader: the state of the connection. */
  | { readonly kind: "state"; readonly state: ConnectionState }
  /** From a new leader: every other tab answers with `follower`. */
  | { readonly kind: "elected" }
  /** From a follower: the users that it watches, and whether it is visible and focused. */
  | { readonly kind: "follower"; readonly tab: string; readonly watch: readonly string[]; readonly visible: boolean }
  | { readonly kind: "tab-closed"; readonly tab: string }
  /** `n` counts the changes of a tab, so that a tab that misses one knows it and reads everything again. */
  | { readonly kind: "change"; readonly tab: string; readonly n: number; readonly change: Change }
  | { readonly kind: "presence"; readonly uid: string; readonly presence: Presence }
  | { readonly kind: "profile" | "typing"; readonly uid: string }
  /** To the leader: send `to` a typing hint. */
  | { readonly kind: "send-typing"; readonly to: string }
  /** To the leader: connect at once. */
  | { readonly kind: "try-now" }
  /** To the leader: send the server a new token. */
  | { readonly kind: "renew-token" };

/** Reads a message of another tab. Returns null for anything else. */
export function readTabMessage(value: unknown): TabMessage | null {
  try {
    const f = new Fields("tab message", value);
    const kind = f.text("kind");
    switch (kind) {
      case "who-leads":
      case "elected":
      case "try-now":
      case "renew-token":
        return { kind };
      case "state":
        return { kind, state: readState(f.object("state")) };
      case "follower":
        return {
          kind,
          tab: f.text("tab"),
          watch: f.list("watch").filter((u) => typeof u === "string"),
          visible: f.bool("visible"),
        };
      case "tab-closed":
        return { kind, tab: f.text("tab") };
      case "change": {
        const change = readChange((value as { change: unknown }).change);
        return change && { kind, tab: f.text("tab"), n: f.integer("n"), change };
      }
      case "presence": {
        const p = f.object("presence");
        return {
          kind,
          uid: f.text("uid"),
          presence: {
            online: p.has("online") ? p.bool("online") : null,
            lastSeen: p.has("lastSeen") ? p.number("lastSeen") : null,
          },
        };
      }
      case "profile":
      case "typing":
        return { kind, uid: f.text("uid") };
      case "send-typing":
        return { kind, to: f.text("to") };
      default:
        return null;
    }
  } catch (err) {
    if (err instanceof Malformed) return null;
    throw err;
  }
}

function readSince(f: Fields): { since?: number } {
  return f.has("since") ? { since: f.number("since") } : {};
}

function readState(f: Fields): ConnectionState {
  const state = f.text("state");
  switch (state) {
    case "stopped":
    case "live":
      return { state };
    case "connecting":
      return { state, ...readSince(f) };
    case "waiting":
      return {
        state,
        until: f.number("until"),
        ...readSince(f),
        ...(f.optionalBool("replaced") ? { replaced: true } : {}),
      };
    default:
      throw new Malformed("unknown connection state");
  }
}
