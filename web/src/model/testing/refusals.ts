/** The messages and changes that the fake server refuses, and a check of those that a client sends again. */
import { type ChatMessage, conversationId, messageKey } from "../../protocol/chat";
import type { FakeClock } from "../../platform/testing/clock";
import { messagePath } from "../store/rows";

/** The parts of the server that decide about a refusal. Tests set them while it runs; see ModelServer. */
interface Server {
  readonly clock: FakeClock;
  readonly faults: string[];
  readonly limits: { readonly ahead_ms: number };
  readonly redisDown: boolean;
  readonly refuse: (message: ChatMessage) => string | null;
  readonly refuseForNow: (message: ChatMessage) => readonly [code: string, retryAfterMs: number] | null;
}

/** The frame with which the server refuses a message or a change. */
interface Refusal {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
  readonly id: string;
  readonly retry_after_ms?: number;
}

export const pathOf = (m: ChatMessage): string => messagePath(m.conversation, messageKey(m));
/** Returns the part of a message that must be the same whenever a client sends it. */
export const contentOf = (m: ChatMessage): string => JSON.stringify([m.to, m.body, m.at, m.reply_to]);

export class Refusals {
  private readonly server: Server;
  /** The first content of each message and change that a client sent. Repeats must have the same. */
  private readonly contents = new Map<string, string>();

  constructor(server: Server) {
    this.server = server;
  }

  /** Returns the refusal of a message, or null to accept it. */
  ofMessage(message: ChatMessage): Refusal | null {
    const { id } = message;
    const content = contentOf(message);
    const aheadMs = message.at / 1000 - this.server.clock.now() - this.server.limits.ahead_ms;
    if (aheadMs > 0) {
      const pause = Math.min(Math.ceil(aheadMs), 3_600_000);
      // An instance whose clock is ahead may have accepted it, unless it is ahead of all of them.
      if (pause <= 10_000) this.contents.set(pathOf(message), content);
      return { type: "error", code: "at_ahead", message: "Later.", id, retry_after_ms: pause };
    }
    this.checkRepeat("message", pathOf(message), content);
    const refusal = this.server.refuse(message);
    if (refusal !== null) return { type: "error", code: refusal, message: "It cannot be sent.", id };
    const [code, pause] = this.server.refuseForNow(message) ?? [];
    if (code !== undefined) return { type: "error", code, message: "Not yet.", id, retry_after_ms: pause ?? 0 };
    return this.server.redisDown ? unavailable(id) : null;
  }

  /** Returns the refusal of a change, or null to accept it. `change` is the content of its frame. */
  ofChange(from: string, change: Readonly<Record<string, unknown>>): Refusal | null {
    const id = String(change["id"]);
    const aheadMs = Math.ceil(Number(change["at"]) / 1000 - this.server.clock.now() - this.server.limits.ahead_ms);
    if (aheadMs > 10_000) return { type: "error", code: "at_ahead", message: "Later.", id, retry_after_ms: aheadMs };
    const path = messagePath(conversationId(from, String(change["to"])), `${id}.${from}`);
    this.checkRepeat("change", path, JSON.stringify(change));
    return this.server.redisDown ? unavailable(id) : null;
  }

  private checkRepeat(kind: "message" | "change", path: string, content: string): void {
    const first = this.contents.get(path);
    if (first !== undefined && first !== content)
      this.server.faults.push(`${kind} ${path} was changed: ${first} → ${content}`);
    this.contents.set(path, content);
  }
}

const unavailable = (id: string): Refusal => ({
  type: "error",
  code: "unavailable",
  message: "Later.",
  id,
  retry_after_ms: 500,
});
