/**
 * Message requests: conversations in which only the other user has written. Until this user accepts or writes, they are
 * not shown among the chats, cause no notifications, and their read marks are not sent. The choices `accept` and `remove`
 * are settings, from which ./settings updates the row of the conversation.
 */
import type { ConversationRow } from "./rows";

/** Returns the newest message of a conversation, unless the user has removed it with the request. */
export function shownPreview({ preview, removed = 0 }: ConversationRow): ConversationRow["preview"] {
  return preview && preview.at > removed ? preview : null;
}

/** Whether the conversation is a request. */
export function isRequest(row: ConversationRow): boolean {
  return row.answered === false && shownPreview(row) !== null;
}
