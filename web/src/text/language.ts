/**
 * The language of the client. English is part of the program, and is shown where no other language fits. The catalog of
 * any other language is one chunk, which is loaded before anything is drawn, and only for its users.
 */

/** The form of a catalog in any language: the same keys, with other strings. */
export type Translated<T> = T extends string
  ? string
  : T extends (...args: infer A) => string
    ? (...args: A) => string
    : { readonly [K in keyof T]: Translated<T[K]> };

/** The catalogs of a language, by the name that each has in {@link inLanguage}. */
export type Catalogs = Readonly<Record<string, unknown>>;

/** The languages beside English, by their primary subtag (RFC 5646). */
const LANGUAGES: Readonly<Record<string, () => Promise<Catalogs>>> = {};

let loaded: Catalogs = {};
const waiting: (() => void)[] = [];

/**
 * Loads the first of the preferred languages that exists. If its code cannot be loaded, the client is in English. Call
 * it before anything is drawn.
 */
export async function loadLanguage(preferred: readonly string[], languages = LANGUAGES): Promise<void> {
  const tags = preferred.map((tag) => tag.toLowerCase().split("-")[0] ?? "");
  const chosen = tags.find((tag) => tag === "en" || Object.hasOwn(languages, tag)) ?? "en";
  loaded = (await languages[chosen]?.().catch(() => undefined)) ?? {};
  for (const apply of waiting) apply();
}

/** Returns the catalog of this name in the language of the client, for code that is loaded after the language. */
export function inLanguage<T>(name: string, english: T): Translated<T> {
  return (loaded[name] ?? english) as Translated<T>;
}

/** Calls `apply` when the language is known. For the catalog that is part of the program. */
export function onLanguage(apply: () => void): void {
  waiting.push(apply);
}
