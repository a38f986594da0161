import type { Micros } from "../../protocol/chat";
import type { MessageChanges } from "./changes";
import type { RuleContext, WriteTx } from "./tx";

/** Behind this many messages of others, an own one cannot be the newest. */
const LOOK_BACK = 50;

/**
 * Takes back the `at` of a message that no server can have accepted, and of the messages that wait behind it, so that
 * the next transmission sets new ones in the same order. Afterwards the taken times count no more as seen in the
 * conversation. Returns false if the message is not waiting, so that its `at` must stay.
 */
export async function thaw(late: MessageChanges, tx: WriteTx, context: RuleContext, id: string): Promise<boolean> {
  const first = await tx.queued(id);
  if (first?.status !== "waiting" || first.queue === undefined) return false;
  for (const row of await tx.outbox()) {
    if (row.conversation !== first.conversation || row.status !== "waiting") continue;
    if (row.queue === undefined || row.queue < first.queue || row.place >= late.base.WAITING) continue;
    const thawed = { at: null, place: late.base.WAITING + row.queue };
    if ("kind" in row) await late.storeChange(tx, { ...row, ...thawed });
    else await tx.putMessage({ ...row, ...thawed });
  }
  const conversation = await tx.conversation(first.conversation);
  if (!conversation) return true;
  const { serverNow } = context;
  const { preview } = conversation;
  await tx.putConversation({
    ...conversation,
    newestOwn: await newestAccepted(late, tx, context, first.conversation),
    recent: Math.min(conversation.recent, serverNow),
    preview: preview && { ...preview, at: Math.min(preview.at, serverNow) },
  });
  tx.changes.toDo("send");
  return true;
}

/** Returns the newest `at` of an own message that a server has accepted, as far as it can matter for the next one. */
async function newestAccepted(
  late: MessageChanges,
  tx: WriteTx,
  context: RuleContext,
  conversation: string,
): Promise<Micros> {
  const newest = await tx.messagesBefore(conversation, { place: late.base.WAITING, key: "" }, LOOK_BACK);
  return newest.find((r) => r.from === context.uid && (r.status === "sent" || r.status === "delivered"))?.at ?? 0;
}
