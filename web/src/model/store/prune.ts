import type { WriteTx } from "./tx";

/** How many messages of each conversation stay when room is needed. */
const KEEP = 100;

/**
 * Makes room: of each conversation only the newest messages stay on this
 * device. What goes was delivered and is in history, from where it is loaded again when looked at; the outbox stays.
 */
export async function prune(tx: WriteTx, keep = KEEP): Promise<void> {
  for (const conversation of await tx.conversations()) {
    const kept = await tx.messagesBefore(conversation.id, null, keep);
    const last = kept[kept.length - 1];
    if (!last || kept.length < keep) continue;
    const old = await tx.messagesBefore(conversation.id, last, Number.MAX_SAFE_INTEGER);
    let dropped = 0;
    for (const row of old) {
      if (row.status !== "received" && row.status !== "delivered") continue;
      await tx.deleteMessage(row);
      dropped++;
    }
    if (dropped > 0 && last.at !== null)
      await tx.putConversation({ ...conversation, loadedFrom: last.at, complete: false });
  }
}
