/**
 * Facts about messages that this device does not have: which are to be loaded, and which refusals are remembered until
 * their message arrives.
 */
import type { Backfill } from "./rows";
import type { RuleContext, WriteTx } from "./tx";

/**
 * `delivered` usually arrives within moments of `sent`. A backfill runs only if the message is still missing after
 * this.
 */
const BACKFILL_AFTER_MS = 3_000;
/** Refusals of messages that are not on this device are kept for this long, and at most this many of them. */
const REFUSALS_LAST_MS = 31 * 24 * 3_600_000;
const MAX_REFUSALS = 500;

/** Remembers a fact, unless a later one of its kind is known. */
export async function noteBackfill(
  tx: WriteTx,
  context: RuleContext,
  backfill: Omit<Backfill, "since" | "due" | "tries">,
): Promise<void> {
  const known = await tx.backfill(backfill.key);
  if (known && known.at >= backfill.at) return;
  await tx.putBackfill({
    ...backfill,
    since: context.now,
    tries: 0,
    ...(backfill.kind === "refused" ? {} : { due: context.now + BACKFILL_AFTER_MS }),
  });
  if (backfill.kind === "refused" && (await tx.countRefusals()) > MAX_REFUSALS) await forgetRefusals(tx, context);
}

/**
 * Deletes refusals of messages that never arrived here: those too old for the server to accept the message (DESIGN §3),
 * and the oldest beyond {@link MAX_REFUSALS}.
 */
export async function forgetRefusals(tx: WriteTx, context: RuleContext): Promise<void> {
  if ((await tx.countRefusals()) === 0) return;
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
