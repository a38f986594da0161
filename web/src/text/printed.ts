/** The texts of a conversation on paper. The rules are those of en.ts. */
export const printedText = {
  part: "Earlier messages are not included. To print them, scroll up first until they are loaded.",
} as const;
