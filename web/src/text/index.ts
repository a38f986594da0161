import { en, type Text } from "./en";

/** The texts in the language of the client. */
export const text: Text = en;

export type { Text };
