import { inLanguage } from "./language";
import { plurals } from "./plural";

const plural = plurals("en");

const english = {
  label: "Search results",
  messages: "Messages",
  /** `shown` is the number as the user reads it. */
  found: (n: number, shown: string) =>
    n === 0 ? "No results" : plural(n, { one: `${shown} result`, other: `${shown} results` }),
  none: (query: string) => `Nothing was found for “${query}”.`,
  moreChats: "Show more chats",
  morePeople: "Show more people",

  /** The position of a match, such as "3 of 57". */
  position: (at: string, all: string) => `${at} of ${all}`,
  earlier: "Earlier match",
  later: "Later match",
  close: "Close the search",

  /** `when` is a day or a time, or empty if it is not known. */
  loading: (when: string) =>
    when === "" ? "Searching older messages" : `Searching older messages, back to ${when} so far`,
  searched: (when: string) => (when === "" ? "Older messages were not searched." : `Searched back to ${when}`),
  done: "All messages were searched.",
  offline: "Offline. Only messages on this device are searched.",
  full: "This device has no space for older messages.",
  stop: "Stop",
  goOn: "Search further",
} as const;

/** The texts of the search, loaded with it. The rules are those of en.ts. */
export const searchText = inLanguage("search", english);
