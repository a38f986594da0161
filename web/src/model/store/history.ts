/** Applies answers of the HTTP functions to the store. */
import { messageKey, type Micros, otherMember, type SavedMessage } from "../../protocol/chat";
import type { Before, ListedConversation, PublicUser } from "../../net/archive";
import { moveMyRead } from "./readMarks";
import { applySaved, isPreview, previewOf, type RuleContext } from "./rules";
import { applySetting } from "./settings";
import type { ConversationRow, Gap, UserRow } from "./rows";
import { emptyConversation, type WriteTx } from "./tx";

/** A page of `GET /messages`, newest last. */
export interface HistoryPage {
  readonly conversation: string;
  /** The page ends before this place. Null: it ends with the newest message. */
  readonly before: Place | null;
  readonly messages: readonly SavedMessage[];
  /** There are older messages. */
  readonly more: boolean;
}

export type Place = Before;

export async function applyListed(tx: WriteTx, context: RuleContext, listed: ListedConversation): Promise<void> {
  const other = otherMember(listed.id, context.uid);
  if (other === null) return;
  const row = (await tx.conversation(listed.id)) ?? emptyConversation(listed.id, other);
  const mine = listed.read[context.uid] ?? 0;
  const preview = listed.preview && { ...listed.preview };
  const shown = preview && (await tx.message(listed.id, messageKey(preview)));
  // The changes of a message may not be saved yet.
  if (preview && shown?.changes) preview.text = previewOf(shown);
  const newer = preview !== null && (row.preview === null || preview.at > row.preview.at || isPreview(row, preview));
  const answered = row.answered || listed.answered;
  await moveMyRead(
    tx,
    {
      ...row,
      answered,
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
  if (listed.user && listed.user.uid === other) await applyUser(tx, context, listed.user);
  for (const setting of listed.settings) await applySetting(tx, context, setting);
}

/** Stores the names and the picture of a user. Known names stay when the user has been deleted. */
export async function applyUser(tx: WriteTx, context: RuleContext, user: PublicUser): Promise<void> {
  const known = await tx.user(user.uid);
  const row: UserRow = {
    uid: user.uid,
    username: user.deleted ? (known?.username ?? "") : user.username,
    displayName: user.deleted ? (known?.displayName ?? "") : user.displayName,
    ...(user.deleted ? { deleted: true as const } : {}),
    ...(user.admin && !user.deleted ? { admin: true as const } : {}),
    picture: user.picture ?? "",
    loadedAt: context.now,
  };
  const same =
    known?.username === row.username &&
    known.displayName === row.displayName &&
    known.deleted === row.deleted &&
    known.admin === row.admin &&
    known.picture === row.picture;
  if (!same || known.loadedAt < context.now - 60_000) await tx.putUser(row);
}

/**
 * Applies a page of history. If the page overlaps the loaded part, or is the newest page, the loaded part grows down to
 * the page's oldest message. `gap` is the gap that was known when the page was requested.
 */
export async function applyPage(tx: WriteTx, context: RuleContext, page: HistoryPage, gap: Gap): Promise<void> {
  for (const message of page.messages) {
    if (message.conversation === page.conversation) await applySaved(tx, context, message);
  }
  const other = otherMember(page.conversation, context.uid);
  if (other === null) return;
  const row = (await tx.conversation(page.conversation)) ?? emptyConversation(page.conversation, other);
  const loaded = loadedPart(row, gap);
  const oldest = page.messages[0]?.at ?? page.before?.at ?? null;
  // Live messages extend the loaded part, so the newest page is always adjacent to it.
  if (page.before !== null && (loaded.from === null || page.before.at < loaded.from)) return;
  await tx.putConversation({
    ...row,
    loadedFrom: oldest === null ? loaded.from : Math.min(loaded.from ?? oldest, oldest),
    complete: loaded.complete || !page.more,
    ...(page.before === null ? { checked: gap.n, checkedAt: context.now } : {}),
  });
}

/**
 * Returns the part of a conversation, from its end down, that is on this device without a gap. A part that was loaded
 * before the latest gap does not count.
 */
export function loadedPart(row: ConversationRow, gap: Gap): { from: Micros | null; complete: boolean } {
  if (row.checked < gap.n) return { from: null, complete: false };
  return { from: row.loadedFrom, complete: row.complete };
}
