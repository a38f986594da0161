/** The emoji of reactions: one table, which the server has too. */
import table from "./emoji.json";

const emoji = new Set(table.emoji.split(" "));

/** Whether the text is exactly one emoji of the table. */
export function validEmoji(text: string): boolean {
  return emoji.has(text);
}
