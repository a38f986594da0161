import type { WriteTx } from "./tx";

/** The number of messages per conversation that stay when the device runs out of space. */
const KEEP = 100;

/**
 * Frees space by keeping only the newest messages of each conversation on this device. The removed messages were
 * delivered and can be loaded from history again. The outbox stays.
 */
export async function prune(tx: WriteTx, keep = KEEP): Promise<void> {
  for (const conversation of await tx.conversations()) {
    const kept = await tx.messagesBefore(conversation.id, null, keep);
    const last = kept[kept.length - 1];
    if (!last || kept.length < keep) continue;
    const old = await tx.messagesBefore(conversation.id, last, Number.MAX_SAFE_INTEGER);
    let dropped = 0;
    for (const row of old) {
      if ((row.status !== "received" && row.status !== "delivered") || row.settled) continue;
      await tx.deleteMessage(row);
      dropped++;
    }
    if (dropped > 0 && last.at !== null)
      await tx.putConversation({ ...conversation, loadedFrom: last.at, complete: false });
  }
}
