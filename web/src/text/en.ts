import { plurals } from "./plural";

const plural = plurals("en");

/**
 * The texts that every screen may need. Those of single screens are in the files beside this one. Another language has
 * the same catalogs; see language.ts. Sentence case, plain,
 * second person, no exclamation marks. Messages say what happened and what to do. Dates and numbers come from Intl
 * (see view/format.ts), never from here.
 */
export const en = {
  app: "Phoenix Chat",
  language: "en",

  nav: {
    label: "Main",
    side: "Chats and people",
    chats: "Chats",
    people: "People",
    settings: "Settings",
    admin: "Admin",
    back: "Back",
    skip: "Skip to the conversation",
    yours: (name: string) => `Settings of ${name}`,
  },

  common: {
    close: "Close",
    clear: "Clear the search",
    retry: "Try again",
    more: "More",
    loading: "Loading",
    noFiles: "Files cannot be sent.",
    missing: "There is no page at this address.",
    missingDo: "Go to your chats",
    failed: "This could not be loaded.",
    outdated: "A newer version is ready.",
    outdatedDo: "Reload",
    broken: "Something went wrong here. Your messages are safe.",
    brokenDo: "Reload the page",
  },

  /**
   * The sentence for each problem code; see view/problems.ts. It also has the codes of messages that were not sent. The
   * forms have more, in auth.ts. No sentence of the server is shown.
   */
  problems: {
    outdated: "This page is from an earlier version of the chat. Reload it.",
    offline: "The chat cannot be reached. Check your connection and try again.",
    unavailable: "The chat cannot do this right now. Try again in a moment.",
    unexpected: "Something went wrong on our side. Try again.",
    internal: "Something went wrong on our side. Try again.",
    malformed: "The answer of the chat could not be read. Reload the page.",
    signed_out: "You have been signed out. Sign in again.",
    storage_full: "This device has no space left. Free some space, then try again.",
    storage_lost: "This browser cannot store anything right now. Reload the page.",
    message_gone: "This message is no longer here.",
    body_empty: "An empty message cannot be sent.",
    body_too_long: "This message is too long. Shorten it, or send it in parts.",
    body_invalid: "This message contains characters that cannot be sent.",
    account_disabled: "This account has been disabled. Ask the operator of this chat.",
    sign_in_unavailable: "Signing in is not available right now. Try again in a moment.",
    rate_limited: "This was too much at once. Wait a moment and try again.",
  },

  /** The problem "rate_limited" with a longer pause. */
  later: (when: string) => `This has been done too often for now. Try again ${when}.`,

  connection: {
    offline: "Offline. Your messages wait here.",
    tryNow: "Try now",
    trying: "Trying",
    replaced: (n: number) =>
      `Your chats are open in more than ${plural(n, { one: `${n} place`, other: `${n} places` })}, so they paused here.`,
    reconnect: "Use it here",
    storageOverflow:
      "This browser is out of space, so messages are kept only while this page is open. If many arrive, some wait on the server until there is room.",
    storageFull: "This browser is out of space. New messages wait on the server until there is room.",
    storageDenied: "This browser does not let this page store anything. Messages are kept only while it is open.",
  },

  /** Before anybody is signed in. */
  start: {
    signIn: "Sign in",
    signUp: "Sign up",
    reset: "Forgot your password?",
    starting: "Starting",
    startFailed: "The chat could not start.",
    foreign: "The chat cannot be used at this address.",
    foreignDo: "Open it at its own address:",
  },

  chats: {
    label: "Your chats",
    search: "Search chats, people and messages",
    empty: "You have no chats yet.",
    emptyDo: "Find someone",
    invite: "Invite someone",
    filter: "Filter",
    filters: { all: "All", requests: "Requests", unread: "Unread", archived: "Archived", starred: "Starred" },
    noUnread: "You have read everything.",
    /** Loads more of a list that shows some of the chats only. */
    older: "Look at older chats, too",
    pinned: "pinned",
    muted: "muted",
    markedUnread: "marked as unread",
    draft: "Draft:",
    you: "You:",
    typing: "typing",
    unreadSpoken: (n: number) => plural(n, { one: `${n} unread message`, other: `${n} unread messages` }),
    online: "online",
    /** The text of the ticks of a preview. */
    states: { waiting: "Waiting to be sent", sent: "Sent", delivered: "Delivered", read: "Read", failed: "Not sent" },
    pick: "Choose a chat, or start one.",
    gone: "Deleted account",
    /** The badge of an admin. */
    admin: "Admin",
  },

  conversation: {
    label: (name: string) => `Chat with ${name}`,
    messages: (name: string) => `Messages with ${name}`,
    details: (name: string) => `About ${name}`,
    showDetails: "Details",
    hideDetails: "Close details",
    online: "Online",
    lastSeen: (when: string) => `Last seen ${when}`,
    /** In place of the presence of the other user, while this device is offline. */
    noNetwork: "Waiting for the network",
    typing: (name: string) => `${name} is typing`,
    typingShort: "typing",
    start: (name: string) => `This is the start of your chat with ${name}.`,
    startMore: "Write the first message.",
    newMessages: "New messages",

    write: "Write a message",
    writeTo: (name: string) => `Write to ${name}`,
    send: "Send",
    emoji: "Emoji",
    sendHint: "Enter sends, Shift and Enter starts a new line",
    /** `shown` is the number as the user writes it. */
    left: (n: number, shown: string) =>
      plural(n, { one: `${shown} character left`, other: `${shown} characters left` }),
    over: (n: number, shown: string) =>
      plural(n, { one: `${shown} character too many`, other: `${shown} characters too many` }),

    you: "You",
    said: (who: string, time: string) => `${who}, ${time}`,
    acceptedAt: (when: string) => `Sent ${when}`,
    reply: "Reply",
    replyingTo: (name: string) => `Reply to ${name}`,
    replyYourself: "Reply to yourself",
    replyCancel: "Cancel the reply",
    quoted: (name: string) => `In reply to ${name}`,
    quotedGone: "This message is not available",
    quoteJump: "Show the original message",
    actions: "Actions for this message",
    showAll: "Show all",
    showLess: "Show less",

    waiting: "Waiting to be sent",
    sent: (time: string) => `Sent ${time}`,
    delivered: (time: string) => `Delivered ${time}`,
    read: "Read",
    notSent: "Not sent",
    deleted: "Message deleted",
    edited: "Edited",
    starred: "Starred",
    editedAt: (when: string) => `Edited ${when}`,
    changeWaits: "A change waits to be sent",
    reacted: (who: string, emoji: string) => `${who} reacted with ${emoji}`,
    both: (name: string) => `You and ${name}`,
    spokenNew: (who: string, text: string) => `${who}: ${text}`,
  },

  days: {
    today: "Today",
    yesterday: "Yesterday",
    justNow: "just now",
    todayAt: (time: string) => `today at ${time}`,
    yesterdayAt: (time: string) => `yesterday at ${time}`,
    on: (day: string) => `on ${day}`,
  },

  notifications: {
    title: (n: number, app: string) => `(${n > 99 ? "99+" : n}) ${app}`,
    place: (place: string, app: string) => `${place} · ${app}`,
  },
} as const;
