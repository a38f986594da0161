import { inLanguage } from "./language";
import { plurals } from "./plural";

const plural = plurals("en");

const english = {
  /** As in en.ts, which a worker need not load. */
  app: "Phoenix Chat",
  unseen: (n: number) => plural(n, { one: "You have a new message", other: `You have ${n} new messages` }),
} as const;

/** The texts of notifications while no page is open. The rules are those of en.ts. */
export const pushText = () => inLanguage("push", english);
