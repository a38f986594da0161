import { inLanguage } from "./language";
import { plurals } from "./plural";

const plural = plurals("en");

const english = {
  title: "Forward this message",
  search: "Search people",
  people: "People to forward it to",
  none: (query: string) => `Nobody called “${query}” was found.`,
  nobody: "Search for the people who should receive it.",
  /** The label of the button, when `n` people are chosen. */
  forward: (n: number) => plural(Math.max(1, n), { one: "Forward", other: `Forward to ${n} people` }),
  most: (n: number) => `A message can be forwarded to ${n} people at once.`,
  done: (n: number, name: string) => plural(n, { one: `Forwarded to ${name}`, other: `Forwarded to ${n} people` }),
} as const;

/** The texts of the dialog that forwards a message, loaded with it. The rules are those of en.ts. */
export const forwardText = inLanguage("forward", english);
