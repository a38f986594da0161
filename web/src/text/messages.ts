import { inLanguage } from "./language";
import { plurals } from "./plural";

const plural = plurals("en");

const english = {
  /** Why messages wait, by the code of the refusal; see Timeline.held. */
  held: {
    answer_awaited: (name: string, { strangerMessages }: { readonly strangerMessages: number }) =>
      `Waiting until ${name} answers. Before that, at most ${plural(strangerMessages, { one: "1 message", other: `${strangerMessages} messages` })} can be on the way.`,
    too_many_new_people: (name: string, { newPeople }: { readonly newPeople: number }) =>
      `Waiting until tomorrow, or until ${name} writes. You can write to ${plural(newPeople, { one: "1 new person", other: `${newPeople} new people` })} a day.`,
    inbox_full: (name: string) => `Waiting until ${name} has received the messages before.`,
    outbox_full: () => "Waiting until more of your other messages have arrived.",
    at_ahead: () => "Waiting, because the clock of this device is ahead.",
  },
  react: "React",
  /** `emoji` as the screen reader says it. */
  reactWith: (emoji: string) => `React with ${emoji}`,
  withdraw: "Remove your reaction",
  reacted: (who: string, emoji: string) => `${who} reacted with ${emoji}`,
  changeWaits: "Waiting to be sent",
  edit: "Edit",
  editTitle: "Edit the message",
  editedAt: (when: string) => `Edited ${when}`,
  deleteForAll: "Delete for everyone",
  deletedForAll: "Deleted for everyone",
  /** Why a change was taken back, by its kind. */
  reverted: {
    edit: (why: string) => `Your edit was not accepted. ${why}`,
    delete: (why: string) => `It was not deleted. ${why}`,
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

/** The texts of what is shown beside messages and done with them. The rules are those of en.ts. */
export const messageText = inLanguage("messages", english);
