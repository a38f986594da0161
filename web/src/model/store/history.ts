/** What the HTTP functions tell, brought into what is stored. */
import { type Micros, otherMember, type SavedMessage } from "../../protocol/chat";
import type { Before, ListedConversation, PublicPerson } from "../../net/archive";
import { applySaved, type Here, moveMyRead } from "./rules";
import type { ConversationRow, Loss, PersonRow } from "./rows";
import { emptyConversation, type WriteTx } from "./tx";

/** A page of `GET /messages`, newest last. */
export interface HistoryPage {
  readonly conversation: string;
  /** The page ends before this place; null: with the newest message. */
  readonly before: Place | null;
  readonly messages: readonly SavedMessage[];
  /** There are older ones. */
  readonly more: boolean;
}

export type Place = Before;

export async function applyListed(tx: WriteTx, here: Here, listed: ListedConversation): Promise<void> {
  const other = otherMember(listed.id, here.uid);
  if (other === null) return;
  const row = (await tx.conversation(listed.id)) ?? emptyConversation(listed.id, other);
  const mine = listed.read[here.uid] ?? 0;
  const { preview } = listed;
  const newer = preview !== null && (row.preview === null || preview.at > row.preview.at);
  await moveMyRead(
    tx,
    {
      ...row,
      newest: Math.max(row.newest, listed.lastAt),
      recent: Math.max(row.recent, listed.lastAt),
      preview: newer ? { id: preview.id, from: preview.from, body: preview.text, at: preview.at } : row.preview,
      otherRead: Math.max(row.otherRead, listed.read[other] ?? 0),
      readShown: Math.max(row.readShown, mine),
      unreadThere: listed.unread,
      unreadMark: mine,
    },
    mine,
    null,
  );
  if (listed.person && listed.person.uid === other) await applyPerson(tx, here, listed.person);
}

/** Keeps names of a person. Names that were known stay when the person is gone. */
export async function applyPerson(tx: WriteTx, here: Here, person: PublicPerson): Promise<void> {
  const known = await tx.person(person.uid);
  const row: PersonRow = {
    uid: person.uid,
    username: person.deleted ? (known?.username ?? "") : person.username,
    displayName: person.deleted ? (known?.displayName ?? "") : person.displayName,
    ...(person.deleted ? { deleted: true as const } : {}),
    loadedAt: here.now,
  };
  const same =
    known?.username === row.username && known.displayName === row.displayName && known.deleted === row.deleted;
  if (!same || known.loadedAt < here.now - 60_000) await tx.putPerson(row);
}

/**
 * Applies a page of history. Where it joins what is loaded from above (or is
 * the newest page), the loaded part grows down to its oldest message.
 * `loss` is the one that was known when the page was asked for.
 */
export async function applyPage(tx: WriteTx, here: Here, page: HistoryPage, loss: Loss): Promise<void> {
  for (const message of page.messages) {
    if (message.conversation === page.conversation) await applySaved(tx, here, message);
  }
  const other = otherMember(page.conversation, here.uid);
  if (other === null) return;
  const row = (await tx.conversation(page.conversation)) ?? emptyConversation(page.conversation, other);
  const loaded = loadedPart(row, loss);
  const oldest = page.messages[0]?.at ?? page.before?.at ?? null;
  // Live messages join what is loaded, so the newest page extends it as any other does.
  if (page.before !== null && (loaded.from === null || page.before.at < loaded.from)) return;
  await tx.putConversation({
    ...row,
    loadedFrom: oldest === null ? loaded.from : Math.min(loaded.from ?? oldest, oldest),
    complete: loaded.complete || !page.more,
    ...(page.before === null ? { checked: loss.n, checkedAt: here.now } : {}),
  });
}

/** Which part of a conversation is on this device without a hole, down from its end: what was loaded before a loss does not count after it. */
export function loadedPart(row: ConversationRow, loss: Loss): { from: Micros | null; complete: boolean } {
  if (row.checked < loss.n) return { from: null, complete: false };
  return { from: row.loadedFrom, complete: row.complete };
}
