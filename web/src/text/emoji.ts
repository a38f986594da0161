import { inLanguage } from "./language";
import { plurals } from "./plural";

const plural = plurals("en");

const english = {
  picker: "Emoji",
  search: "Search emoji",
  tone: "Skin tone",
  /** The tones, from none to the darkest. */
  tones: ["Yellow", "Light", "Medium light", "Medium", "Medium dark", "Dark"],
  groups: "Groups of emoji",
  group: {
    "smileys-emotion": "Smileys and emotion",
    "people-body": "People and body",
    "animals-nature": "Animals and nature",
    "food-drink": "Food and drink",
    "travel-places": "Travel and places",
    activities: "Activities",
    objects: "Objects",
    symbols: "Symbols",
    flags: "Flags",
  } as Readonly<Record<string, string>>,
  found: "Emoji that were found",
  none: (query: string) => `No emoji was found for “${query}”.`,

  /** While the name of an emoji is typed in a message. */
  suggestions: "Emoji with this name",
  /** Spoken when they appear. */
  suggested: (n: number) =>
    plural(n, {
      one: "1 emoji. Enter inserts it.",
      other: `${n} emoji. The arrow keys choose one, Enter inserts it.`,
    }),
} as const;

/** The texts of the emoji, loaded with them. The rules are those of en.ts. */
export const emojiText = inLanguage("emoji", english);
