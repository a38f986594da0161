import { en } from "./en";
import { inLanguage, onLanguage, type Translated } from "./language";

/** The shape that every language has. */
export type Text = Translated<typeof en>;

/** The texts in the language of the client. Read them when they are shown, not when a module is loaded. */
export let text: Text = en;
onLanguage(() => (text = inLanguage("text", en)));

export { loadLanguage } from "./language";
