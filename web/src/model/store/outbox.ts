/**
 * The outbox: the user's own messages from typing until they are delivered, seen in history or refused. Its rows are
 * ordinary messages with a `queue`, so any evidence of delivery removes them.
 */
import { conversationId, messageKey } from "../../protocol/chat";
import { lateRules, isPreview, type RuleContext, touched, withNewestPreview } from "./rules";
import { isChange, type MessageRow, type Queued, WAITING } from "./rows";
import { emptyConversation, transmitted, type WriteTx } from "./tx";

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
 * device has seen in the conversation, and does not change again unless no server can have accepted it (see ./thaw). Returns null if the message has left the outbox meanwhile.
 */
export async function freeze(tx: WriteTx, context: RuleContext, id: string): Promise<Queued | null> {
  const row = await tx.queued(id);
  if (!row || row.queue === undefined) return null;
  if (transmitted(row)) return row;
  if (isChange(row)) return await lateRules(tx).freezeChange(tx, context, row);
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
