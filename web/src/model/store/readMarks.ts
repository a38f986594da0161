/** How far each user has read a conversation, and what is unread. */
import type { Micros } from "../../protocol/chat";
import { noteBackfill } from "./backfills";
import type { ConversationRow } from "./rows";
import { emptyConversation, type RuleContext, type WriteTx } from "./tx";

/** Applies a read mark that the server shows. */
export async function applyRead(
  tx: WriteTx,
  context: RuleContext,
  id: string,
  other: string,
  by: string,
  at: Micros,
): Promise<void> {
  const known = await tx.conversation(id);
  const row = known ?? emptyConversation(id, other);
  if (by === context.uid) await moveMyRead(tx, { ...row, readShown: Math.max(row.readShown, at) }, at, null);
  else if (at > row.otherRead) await tx.putConversation({ ...row, otherRead: at });
  // The message at the read mark exists. If it is not on this device, it is to be loaded.
  if ((await tx.messagesAt(id, at)).length === 0) {
    await noteBackfill(tx, context, {
      key: `read:${id}`,
      kind: "read",
      conversation: id,
      id: "",
      at,
      deliveredAt: null,
      refusal: null,
    });
  }
}

/**
 * Moves the user's own read mark up to `at` and counts the messages above it. The mark is unsent (`since`, in ms) until
 * the server has shown it.
 */
export async function moveMyRead(tx: WriteTx, row: ConversationRow, at: Micros, since: number | null): Promise<void> {
  const myRead = Math.max(row.myRead, at);
  const { readUnsent, ...rest } = row;
  const unread = myRead > row.myRead ? await countUnread(tx, row.id, myRead) : row.unread;
  const unsent = myRead > row.readShown ? (readUnsent ?? since ?? undefined) : undefined;
  if (unsent !== undefined) tx.changes.toDo("read");
  await tx.putConversation({ ...rest, myRead, unread, ...(unsent === undefined ? {} : { readUnsent: unsent }) });
}

/** Counts the messages of the other user above a read mark. */
export async function countUnread(tx: WriteTx, conversation: string, myRead: Micros): Promise<number> {
  return (await tx.messagesFrom(conversation, myRead + 1)).filter((m) => m.status === "received").length;
}

/** Returns the number of unread messages: those on this device or, if it is higher, the server's count. */
export function unreadOf(row: ConversationRow): number {
  return Math.max(row.unread, row.unreadMark >= row.myRead ? row.unreadThere : 0);
}
