/**
 * The outbox: the user's own messages from typing until they are delivered, seen in history or refused. Its rows are
 * ordinary messages with a `queue`, so any evidence of delivery removes them.
 */
import { conversationId, messageKey, type Micros } from "../../protocol/chat";
import { changeRules, isPreview, type RuleContext, touched, withNewestPreview } from "./rules";
import { isChange, type MessageRow, type Queued, WAITING } from "./rows";
import { emptyConversation, transmitted, type WriteTx } from "./tx";

/** Behind this many messages of others, an own one cannot be the newest. */
const LOOK_BACK = 50;

export interface NewMessage {
  readonly id: string;
  readonly to: string;
  readonly body: string;
  readonly replyTo: string | null;
}

/** Puts a message into the outbox. */
export async function enqueue(tx: WriteTx, context: RuleContext, message: NewMessage): Promise<void> {
  const conversation = conversationId(context.uid, message.to);
  const queue = await tx.nextQueue();
  const row: MessageRow = {
    id: message.id,
    key: messageKey({ id: message.id, from: context.uid }),
    conversation,
    from: context.uid,
    to: message.to,
    body: message.body,
    replyTo: message.replyTo,
    at: null,
    place: WAITING + queue,
    status: "waiting",
    acceptedAt: null,
    deliveredAt: null,
    refusal: null,
    typedAt: context.now,
    queue,
  };
  await tx.putMessage(row);
  const known = (await tx.conversation(conversation)) ?? emptyConversation(conversation, message.to);
  await tx.putConversation(touched(context, known, row));
  tx.changes.toDo("send");
}

/**
 * Sets the `at` of a message that is about to be transmitted for the first time. It is later than everything that this
 * device has seen in the conversation, and does not change again unless no server can have accepted it (see {@link
 * thaw}). Returns null if the message has left the outbox meanwhile.
 */
export async function freeze(tx: WriteTx, context: RuleContext, id: string): Promise<Queued | null> {
  const row = await tx.queued(id);
  if (!row || row.queue === undefined) return null;
  if (transmitted(row)) return row;
  if (isChange(row)) return await changeRules(tx).freezeChange(tx, context, row);
  const conversation = (await tx.conversation(row.conversation)) ?? emptyConversation(row.conversation, row.to);
  const at = Math.max(context.serverNow, conversation.newest + 1, conversation.newestOwn + 1);
  const frozen: MessageRow = { ...row, at, place: at };
  await tx.putMessage(frozen);
  const { preview: shown } = conversation;
  const preview = shown && isPreview(conversation, row) ? { ...shown, at } : shown;
  const next = { ...conversation, newestOwn: at, recent: at, preview };
  // A message that arrived after this one was typed may have taken the preview, although this one comes after it.
  const outdated = shown !== null && shown.at <= at && !isPreview(conversation, row);
  await tx.putConversation(outdated ? await withNewestPreview(tx, next) : next);
  return frozen;
}

/**
 * Takes back the `at` of a message that no server can have accepted, and of the messages that wait behind it, so that
 * the next transmission sets new ones in the same order. Afterwards the taken times count no more as seen in the
 * conversation. Returns false if the message is not waiting, so that its `at` must stay.
 */
export async function thaw(tx: WriteTx, context: RuleContext, id: string): Promise<boolean> {
  const first = await tx.queued(id);
  if (first?.status !== "waiting" || first.queue === undefined) return false;
  for (const row of await tx.outbox()) {
    if (row.conversation !== first.conversation || row.status !== "waiting") continue;
    if (row.queue === undefined || row.queue < first.queue || !transmitted(row)) continue;
    const thawed = { at: null, place: WAITING + row.queue };
    if (isChange(row)) await changeRules(tx).storeChange(tx, { ...row, ...thawed });
    else await tx.putMessage({ ...row, ...thawed });
  }
  const conversation = await tx.conversation(first.conversation);
  if (!conversation) return true;
  const { serverNow } = context;
  const { preview } = conversation;
  await tx.putConversation({
    ...conversation,
    newestOwn: await newestAccepted(tx, context, first.conversation),
    recent: Math.min(conversation.recent, serverNow),
    preview: preview && { ...preview, at: Math.min(preview.at, serverNow) },
  });
  tx.changes.toDo("send");
  return true;
}

/** Returns the newest `at` of an own message that a server has accepted, as far as it can matter for the next one. */
async function newestAccepted(tx: WriteTx, context: RuleContext, conversation: string): Promise<Micros> {
  const newest = await tx.messagesBefore(conversation, { place: WAITING, key: "" }, LOOK_BACK);
  return newest.find((r) => r.from === context.uid && (r.status === "sent" || r.status === "delivered"))?.at ?? 0;
}

/** Records why the outbox of a conversation waits (see ConversationRow.held). */
export async function hold(tx: WriteTx, id: string, code: string): Promise<void> {
  const conversation = await tx.conversation(id);
  if (conversation && conversation.held !== code) await tx.putConversation({ ...conversation, held: code });
}

/** Removes a refused message from this device. Returns null if it is not a refused message. */
export async function remove(tx: WriteTx, id: string, key: string): Promise<MessageRow | null> {
  const row = await tx.message(id, key);
  if (row?.status !== "refused") return null;
  await tx.deleteMessage(row);
  const conversation = await tx.conversation(id);
  if (conversation && isPreview(conversation, row)) await tx.putConversation(await withNewestPreview(tx, conversation));
  return row;
}
