/** The inboxes of the fake server: the events of each user, which wait until a device has acknowledged them. */
import { type ChatEvent, waits } from "../../protocol/frames";

export interface Entry {
  readonly n: number;
  readonly event: Record<string, unknown>;
}

export const awaitsAck = (event: Record<string, unknown>): boolean => waits(event as Pick<ChatEvent, "type">);

/** Returns the index of the first entry after `n`. */
function firstAfter(entries: readonly Entry[], n: number): number {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((entries[middle]?.n ?? 0) > n) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Events that an inbox keeps beyond those that it must keep. */
const RETAINED = 5;

/** The inbox of one user. */
export class Inbox {
  private entries: Entry[] = [];
  /** Events up to this may be missing. */
  floor: number;
  /** Messages up to this are acknowledged and on their way to the archive. */
  private acked: number;
  /** Sender and id of the messages that are not acknowledged yet, with their content. */
  readonly pending = new Map<string, string>();

  /** `last` is the number of the newest entry of all inboxes. */
  constructor(last: number) {
    this.floor = last;
    this.acked = last;
  }

  append(entry: Entry): void {
    this.entries.push(entry);
  }

  /** The number of the newest entry. */
  get top(): number {
    return this.entries[this.entries.length - 1]?.n ?? this.floor;
  }

  /** Returns the entries after `n`. */
  after(n: number): Entry[] {
    return this.entries.slice(firstAfter(this.entries, n));
  }

  /** Acknowledges everything up to `n`. Returns the events that waited for it. */
  acknowledge(n: number): Record<string, unknown>[] {
    const events = this.entries.filter((e) => e.n > this.acked && e.n <= n && awaitsAck(e.event)).map((e) => e.event);
    this.acked = Math.max(this.acked, n);
    return events;
  }

  /** Removes old entries, but only those below the first unacknowledged message. */
  trim(): void {
    const keepFrom = Math.min(this.acked, this.entries[this.entries.length - RETAINED]?.n ?? 0);
    const dropped = this.entries.filter((e) => e.n < keepFrom);
    this.entries = this.entries.filter((e) => e.n >= keepFrom);
    const lastDropped = dropped[dropped.length - 1];
    if (lastDropped) this.floor = lastDropped.n;
  }
}

/** The inboxes of all users. A cursor is `<epoch>:<number of an entry>`. */
export class Inboxes {
  private byUser = new Map<string, Inbox>();
  private last = 0;
  epoch = 1;

  of(uid: string): Inbox {
    let inbox = this.byUser.get(uid);
    if (!inbox) {
      inbox = new Inbox(this.last);
      this.byUser.set(uid, inbox);
    }
    return inbox;
  }

  append(uid: string, event: Record<string, unknown>): Entry {
    const inbox = this.of(uid);
    const entry = { n: ++this.last, event };
    inbox.append(entry);
    return entry;
  }

  /** Returns true if the inbox has every event after a cursor, so that a device can resume there. */
  canResume(uid: string, cursor: string): boolean {
    const inbox = this.of(uid);
    const [epoch = "", n = ""] = cursor.split(":");
    return (
      cursor !== "" &&
      Number(epoch) === this.epoch &&
      Number(n) >= inbox.floor &&
      Number(n) <= Math.max(inbox.top, this.last)
    );
  }

  /** Empties all inboxes. Cursors of before are of another epoch. */
  wipe(): void {
    this.epoch++;
    this.byUser = new Map();
  }
}
