import { inLanguage } from "./language";
import { plurals } from "./plural";

const plural = plurals("en");

const english = {
  earlier: "Loading earlier messages",
  earlierFailed: "Earlier messages could not be loaded.",
  jump: "Jump to the latest message",
  jumpUnread: (n: number) => plural(n, { one: `Jump to ${n} new message`, other: `Jump to ${n} new messages` }),
  reactWith: (emoji: string) => `React with ${emoji}`,
  reactMore: "React with another emoji",
  withdraw: (emoji: string) => `Remove your reaction ${emoji}`,
  copy: "Copy text",
  forward: "Forward",
  edit: "Edit",
  editTitle: "Edit the message",
  deleteForAll: "Delete for everyone",
  deletedForAll: "Deleted for everyone",
  removed: "Deleted from this device",
  deliveredAt: (when: string) => `Delivered ${when}`,
  read: "Read",
  /** The offer of notifications, after a message arrived while the page was hidden. */
  notify: {
    label: "Notifications",
    ask: "Should this browser notify you when a message arrives, also while the chat is closed?",
    yes: "Turn on notifications",
    no: "Not now",
  },
  spokenEdited: (who: string, text: string) => `${who} edited a message: ${text}`,
  spokenDeleted: (who: string) => `${who} deleted a message`,
  /** Why a change was taken back, by its kind. */
  reverted: {
    edit: (why: string) => `Your edit was not accepted. ${why}`,
    delete: (why: string) => `The message was not deleted. ${why}`,
    react: (why: string) => `Your reaction was not accepted. ${why}`,
  },
  /** The sentence for each code of a change that was refused. */
  problems: {
    change_invalid: "This change is not possible.",
    change_forbidden: "Only the sender can change a message.",
    change_too_early: "The clock of this device is wrong. Correct it and try again.",
    change_unknown: "The chat does not know this change. Reload the page.",
    emoji_invalid: "This emoji cannot be used.",
  },
} as const;

/** The texts of changes of messages, and of a conversation that is not at its end. The rules are those of en.ts. */
export const messageText = inLanguage("messages", english);
