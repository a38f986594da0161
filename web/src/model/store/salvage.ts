import type { Row } from "../../platform/database";
import { moveMyRead } from "./readMarks";
import { changeRules, touched } from "./rules";
import type { ChangeRow, ConversationRow, DraftRow, StoredMessage } from "./rows";
import { emptyConversation, type WriteTx } from "./tx";

/**
 * Stores what only this device has of rows that were in memory: the outbox with its changes, refused messages, drafts
 * and unsent read marks. `rows` returns the rows of a store. The server sends the others again.
 */
export async function salvage(tx: WriteTx, rows: (store: string) => readonly Row[]): Promise<void> {
  for (const { id, myRead, readUnsent } of rows("conversations") as readonly ConversationRow[]) {
    const row = await tx.conversation(id);
    if (row && readUnsent !== undefined && myRead > row.myRead) await moveMyRead(tx, row, myRead, readUnsent);
  }
  let last = (await tx.meta("queue"))?.last ?? 0;
  for (const row of rows("messages") as readonly StoredMessage[]) {
    const { conversation: id, typedAt } = row;
    if (typedAt === null || row.status === "delivered" || (await tx.message(id, row.key))) continue;
    await tx.putMessage(row);
    last = Math.max(last, row.queue ?? 0);
    const known = (await tx.conversation(id)) ?? emptyConversation(id, row.to);
    const context = { uid: row.from, now: typedAt, serverNow: row.at ?? typedAt * 1000 };
    await tx.putConversation(touched(context, known, row));
  }
  for (const row of rows("changes") as readonly ChangeRow[]) {
    if (row.queue === undefined || (await tx.change(row.id))) continue;
    await changeRules(tx).storeChange(tx, row);
    last = Math.max(last, row.queue);
  }
  await tx.putMeta({ name: "queue", last });
  for (const row of rows("drafts") as readonly DraftRow[])
    if (row.at > ((await tx.draft(row.conversation))?.at ?? 0)) await tx.putDraft(row);
}
