import type { MessageState } from "../interface/conversation";
import type { ConversationRow, MessageRow } from "../store/rows";

/** Returns the state of a message to show, from its row and the read marks. */
export function stateOf(row: MessageRow, conversation: Pick<ConversationRow, "myRead" | "otherRead">): MessageState {
  switch (row.status) {
    case "waiting":
    case "sent":
    case "refused":
      return row.status;
    case "delivered":
      return (row.at ?? 0) <= conversation.otherRead ? "read" : "delivered";
    case "received":
      return (row.at ?? 0) <= conversation.myRead ? "read" : "delivered";
  }
}
