/** The rules that are not part of the first load. */
import type { Row } from "../../platform/database";
import { MessageChanges } from "./changes";
import { salvage } from "./salvage";
import { thaw } from "./thaw";
import type { LateRules, RuleContext, WriteTx } from "./tx";

/** Refusals of messages that are not on this device are kept for this long. */
const REFUSALS_LAST_MS = 31 * 24 * 3_600_000;

export class Late extends MessageChanges implements LateRules {
  thaw(tx: WriteTx, context: RuleContext, id: string): Promise<boolean> {
    return thaw(this, tx, context, id);
  }

  salvage(tx: WriteTx, rows: (store: string) => readonly Row[]): Promise<void> {
    return salvage(this, tx, rows);
  }

  /**
   * Deletes refusals of messages that never arrived here: those too old for the server to accept the message (DESIGN
   * §3), and the oldest beyond a number of them.
   */
  async forgetRefusals(tx: WriteTx, context: RuleContext): Promise<void> {
    const { MAX_REFUSALS } = this.base;
    const kept = [];
    for (const backfill of await tx.refusals()) {
      // The absolute value also covers rows that were dated by a clock far ahead.
      if (Math.abs(context.now - backfill.since) > REFUSALS_LAST_MS) await tx.deleteBackfill(backfill.key);
      else kept.push(backfill);
    }
    if (kept.length <= MAX_REFUSALS) return;
    kept.sort((a, b) => a.since - b.since || a.at - b.at);
    // Deletes a tenth more than needed, so that this seldom runs.
    for (const backfill of kept.slice(0, kept.length - MAX_REFUSALS * 0.9)) await tx.deleteBackfill(backfill.key);
  }
}
