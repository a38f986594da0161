/**
 * The outbox: the user's own messages from typing until they are delivered, seen in history or refused. Its rows are
 * ordinary messages with a `queue`, so any evidence of delivery removes them.
 */
import { conversationId, type Micros } from "../../protocol/chat";
import { type RuleContext, touched } from "./rules";
import { type ConversationRow, type MessageRow, WAITING } from "./rows";
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
  tx.changes.toDo();
}

/**
 * Sets the `at` of a message that is about to be transmitted for the first time. It is later than everything that this
 * device has seen in the conversation, and never changes again. Returns null if the message has left the outbox
 * meanwhile.
 */
export async function freeze(tx: WriteTx, context: RuleContext, id: string): Promise<MessageRow | null> {
  const row = await tx.message(id);
  if (!row || row.queue === undefined) return null;
  if (transmitted(row)) return row;
  const conversation = (await tx.conversation(row.conversation)) ?? emptyConversation(row.conversation, row.to);
  const at = Math.max(context.serverNow, conversation.newest + 1);
  const frozen: MessageRow = { ...row, at, place: at };
  await tx.putMessage(frozen);
  const preview = conversation.preview?.id === id ? { ...conversation.preview, at } : conversation.preview;
  // Bypasses `touched`: the `at` of an own message always counts, even if a wrong clock put it far ahead.
  await tx.putConversation({ ...conversation, newest: at, recent: Math.max(conversation.recent, at), preview });
  return frozen;
}

/** Records why the outbox of a conversation waits (see ConversationRow.held). */
export async function hold(tx: WriteTx, id: string, code: string): Promise<void> {
  const conversation = await tx.conversation(id);
  if (conversation && conversation.held !== code) await tx.putConversation({ ...conversation, held: code });
}

/** Removes a refused message from this device. Returns null if `id` is not a refused message. */
export async function remove(tx: WriteTx, id: string): Promise<MessageRow | null> {
  const row = await tx.message(id);
  if (row?.status !== "refused") return null;
  await tx.deleteMessage(row);
  const conversation = await tx.conversation(row.conversation);
  if (conversation?.preview?.id === id) await tx.putConversation(await withNewestPreview(tx, conversation));
  return row;
}

async function withNewestPreview(tx: WriteTx, conversation: ConversationRow): Promise<ConversationRow> {
  const [newest] = await tx.messagesBefore(conversation.id, null, 1);
  if (!newest) return { ...conversation, preview: null };
  const at: Micros = newest.at ?? conversation.recent;
  return { ...conversation, preview: { id: newest.id, from: newest.from, body: newest.body.slice(0, 400), at } };
}
