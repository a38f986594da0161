import { inLanguage } from "./language";

const english = {
  part: "Earlier messages are not included. To print them, scroll up first until they are loaded.",
} as const;

/** The texts of a conversation on paper. The rules are those of en.ts. */
export const printedText = inLanguage("printed", english);
