/** What tabs of one account tell each other over their channel. A tab may run another version of this program: what cannot be read is ignored. */
import { Fields, Malformed } from "../../protocol/fields";
import type { ConnectionState } from "../../net/connection";
import type { Presence } from "../interface/chat";
import { type Change, readChange } from "../store/change";

export type TabMessage =
  /** Who leads? The leader answers with `state`. */
  | { readonly kind: "ask" }
  /** The leader: how the connection stands. */
  | { readonly kind: "state"; readonly state: ConnectionState }
  /** A new leader: all say `here`. */
  | { readonly kind: "roll" }
  /** A tab that does not lead: whom it watches, and whether it is visible. */
  | { readonly kind: "here"; readonly tab: string; readonly watch: readonly string[]; readonly visible: boolean }
  | { readonly kind: "gone"; readonly tab: string }
  /** `n` counts the changes of a tab: who misses one reads everything again. */
  | { readonly kind: "change"; readonly tab: string; readonly n: number; readonly change: Change }
  | { readonly kind: "presence"; readonly uid: string; readonly presence: Presence }
  | { readonly kind: "typing"; readonly uid: string }
  /** To the leader: this person types to `to`. */
  | { readonly kind: "type"; readonly to: string }
  | { readonly kind: "try" };

/** Null where it is none. */
export function readTabMessage(value: unknown): TabMessage | null {
  try {
    const f = new Fields("tab message", value);
    const kind = f.text("kind");
    switch (kind) {
      case "ask":
      case "roll":
      case "try":
        return { kind };
      case "state":
        return { kind, state: readState(f.object("state")) };
      case "here":
        return {
          kind,
          tab: f.text("tab"),
          watch: f.list("watch").filter((u) => typeof u === "string"),
          visible: f.bool("visible"),
        };
      case "gone":
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
      case "typing":
        return { kind, uid: f.text("uid") };
      case "type":
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
      return { state, until: f.number("until"), ...readSince(f) };
    default:
      throw new Malformed("unknown connection state");
  }
}
