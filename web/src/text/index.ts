import { en, type Text } from "./en";

/** The words of the language in use. */
export const text: Text = en;

export type { Text };
