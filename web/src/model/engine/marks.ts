/**
 * Sends the user's own read marks until the server shows them. On a full disk they wait, because messages that are not
 * acknowledged are not delivered and so cannot be read.
 */
import type { Link } from "../../net/link";
import type { Cancel } from "../../platform/platform";
import type { EngineParts } from "./ports";

/** Scrolling moves a mark often. It is sent at most this often per conversation. */
const EVERY_MS = 300;
/** A mark that the server does not show is sent again after this long, doubling to the maximum. */
const RESEND_MS = 5_000;
const MAX_RESEND_MS = 5 * 60_000;

/** Returns the pause after a mark was sent `tries` times. */
function resendAfter(tries: number): number {
  return Math.min(MAX_RESEND_MS, RESEND_MS * 2 ** (tries - 1));
}

interface Mark {
  readonly at: number;
  readonly tries: number;
  /** When the mark was sent last, in ms by the monotonic clock. */
  readonly sentAt: number;
}

export class ReadMarks {
  private readonly parts: EngineParts;
  private link: Link | null = null;
  /** The marks sent on this link. */
  private readonly sent = new Map<string, Mark>();
  private timer: Cancel | null = null;
  private pumping = false;
  private again = false;

  constructor(parts: EngineParts) {
    this.parts = parts;
  }

  attach(link: Link): void {
    this.link = link;
    this.sent.clear();
    this.wake();
  }

  detach(link: Link): void {
    if (this.link === link) this.link = null;
  }

  stop(): void {
    this.link = null;
    this.timer?.();
  }

  wake(): void {
    if (this.pumping) {
      this.again = true;
      return;
    }
    void this.pump();
  }

  private async pump(): Promise<void> {
    this.pumping = true;
    try {
      do {
        this.again = false;
        await this.round();
      } while (this.again);
    } catch (err) {
      this.parts.platform.report("read marks could not be read", err);
      this.wakeAfter(RESEND_MS);
    } finally {
      this.pumping = false;
    }
  }

  private async round(): Promise<void> {
    if (!this.link || this.parts.store.full) return;
    const rows = await this.parts.store.read((tx) => tx.unsentReads());
    if (!this.link) return;
    const now = this.parts.platform.clock.monotonic();
    let next = Number.POSITIVE_INFINITY;
    for (const row of rows) {
      const last = this.sent.get(row.id);
      const repeated = last !== undefined && last.at >= row.myRead;
      const tries = repeated ? last.tries : 0;
      const wait = repeated ? resendAfter(tries) : EVERY_MS;
      const due = last ? last.sentAt + wait : now;
      if (due > now) {
        next = Math.min(next, due);
        continue;
      }
      this.link.send({ type: "read", conversation: row.id, at: row.myRead });
      this.sent.set(row.id, { at: row.myRead, tries: tries + 1, sentAt: now });
      next = Math.min(next, now + resendAfter(tries + 1));
    }
    if (next !== Number.POSITIVE_INFINITY) this.wakeAfter(next - now);
  }

  private wakeAfter(ms: number): void {
    this.timer?.();
    this.timer = this.parts.platform.clock.after(ms, () => this.wake());
  }
}
