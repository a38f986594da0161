import type { Change } from "../src/protocol/changes";
import type { ChangeOutcome } from "./notes";

/** Tells which events of messages repeat what a device shows already. */
export class Arrivals {
  /** The messages that the device shows. They outlive a run of the app. */
  private readonly shown: Set<string>;
  /** The messages whose event has arrived in this run of the app and that the device does not show yet. */
  private readonly waiting = new Set<string>();

  constructor(shown: Set<string>) {
    this.shown = shown;
  }

  /** Records that the event of a message has arrived. Returns whether it is a repeat. */
  arrive(path: string): boolean {
    if (this.shown.has(path)) return true;
    this.waiting.add(path);
    return false;
  }

  /**
   * Records that the device shows a message. Returns whether its event has arrived and waits to be stored, so that it
   * is a repeat now: history can bring a message while its event waits.
   */
  show(path: string, from: "event" | "history" | undefined): boolean {
    this.shown.add(path);
    return this.waiting.delete(path) && from === "history";
  }
}

/** The parts of a frame of the server that tell what arrives. */
export interface ServerLine {
  readonly type?: string;
  readonly resumed?: boolean;
  readonly cursor?: string;
  /** Of an error: the message or change, and whether the same frame may succeed later. */
  readonly id?: string;
  readonly code?: string;
  readonly retry_after_ms?: number;
  readonly event?: {
    readonly type: string;
    readonly code?: string;
    readonly changes?: readonly { readonly id: string }[];
  };
}

/** The changes of messages whose events have arrived, and what the server has said of own ones. */
export class ArrivedChanges {
  readonly outcomes = new Map<string, ChangeOutcome>();
  /** By cursor, in the order in which they arrived for the first time; null for events that are no change. */
  private readonly waiting = new Map<string, Change | null>();

  receive({ type, cursor, id, code, retry_after_ms, event }: ServerLine): void {
    if (type === "error" && id !== undefined && code !== undefined && retry_after_ms === undefined)
      this.settle(id, { delivered: false, code });
    if (cursor === undefined) return;
    const changes = event?.type === "change" || event?.type === "changed";
    // A second socket may bring an event that waits to be stored already, behind later ones of the first socket. The
    // first one to arrive is the first one to be stored.
    if (!this.waiting.has(cursor))
      this.waiting.set(cursor, type === "event" && changes ? (event as unknown as Change) : null);
    if (type !== "event" || !event) return;
    for (const { id: change } of event.changes ?? [])
      this.settle(
        change,
        event.type === "delivered" ? { delivered: true } : { delivered: false, code: event.code ?? "" },
      );
  }

  /** Takes out the changes that have arrived up to a cursor. */
  takeUpTo(cursor: string): Change[] {
    if (!this.waiting.has(cursor)) return [];
    const taken: Change[] = [];
    for (const [at, change] of this.waiting) {
      this.waiting.delete(at);
      if (change) taken.push(change);
      if (at === cursor) break;
    }
    return taken;
  }

  /** A delivery is final. A refusal that comes after it is void. */
  private settle(change: string, outcome: ChangeOutcome): void {
    if (this.outcomes.get(change)?.delivered !== true) this.outcomes.set(change, outcome);
  }
}
