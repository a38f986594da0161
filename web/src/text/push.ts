import { inLanguage } from "./language";
import { plurals } from "./plural";

const plural = plurals("en");

const english = {
  /** As in en.ts, which a worker need not load. */
  app: "Phoenix Chat",
  unseen: (n: number) => plural(n, { one: "You have a new message", other: `You have ${n} new messages` }),
  /** In place of a name. */
  hidden: "New message",
  reacted: (emoji: string, to: string) => `Reacted ${emoji} to “${to}”`,
  test: "Notifications work on this device",
} as const;

/** The texts of notifications, with or without an open page. The rules are those of en.ts. */
export const pushText = () => inLanguage("push", english);
