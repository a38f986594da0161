import { inLanguage } from "./language";

const english = {
  /** The menu of a chat. */
  actions: (name: string) => `Actions for the chat with ${name}`,
  pin: "Pin",
  unpin: "Unpin",
  muteHour: "Mute for 1 hour",
  muteHours: "Mute for 8 hours",
  muteAlways: "Mute always",
  unmute: "Unmute",
  mutedUntil: (when: string) => `Muted until ${when}`,
  archive: "Archive",
  archived: (name: string) => `The chat with ${name} is archived.`,
  unarchive: "Move back to the chats",
  markUnread: "Mark as unread",
  markRead: "Mark as read",
  block: (name: string) => `Block ${name}`,
  blockHint: "They can no longer write to you. They are not notified.",
  star: "Star",
  unstar: "Remove the star",

  starred: "Starred messages",
  starredNone: "No message has a star. Give one from the menu of a message.",
  showAll: "Show all chats",

  /**
   * The sentence for each code of a choice that was not stored, or of a person that was not blocked. The client knows the
   * server's limits.
   */
  problems: {
    blocked_full: "You have blocked as many people as possible. Unblock somebody first.",
    pins_full: "You have pinned as many chats as possible. Unpin one first.",
    stars_full: "You have starred as many messages as possible. Remove a star first.",
  },
} as const;

/** The texts of choices about chats and messages. The rules are those of en.ts. */
export const choiceText = inLanguage("choices", english);
