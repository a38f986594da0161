import { inLanguage } from "./language";

const english = {
  nav: {
    resize: "Resize the list",
  },

  common: {
    cancel: "Cancel",
    save: "Save",
    undo: "Undo",
    copied: "Copied",
    copyFailed: "This browser did not allow copying. Select the text and copy it by hand.",
  },

  conversation: {
    find: "Search this chat",
    remove: "Delete",

    unknownPerson: (name: string) => `There is nobody called “${name}” here.`,
    unknownPersonDo: "Find someone",
    self: "This is you. You cannot write to yourself.",

    /** In place of the message field. */
    blocked: (name: string) => `You blocked ${name}.`,
    unblock: "Unblock",
    unblockedDone: (name: string) => `${name} can write to you again.`,
    gone: "This account no longer exists.",
    request: "Message request",
    requestHint: (name: string) =>
      `Until you accept, ${name} does not see when you are online, or that you have read this.`,
    accept: "Accept",
    block: "Block",
    accepted: (name: string) => `${name} is now in your chats.`,
    requestRemoved: (name: string) => `The request of ${name} was deleted.`,
    blockedDone: (name: string) => `${name} was blocked.`,
  },
} as const;

/** The texts that several screens need, none of which is part of the first load. The rules are those of en.ts. */
export const laterText = inLanguage("later", english);
