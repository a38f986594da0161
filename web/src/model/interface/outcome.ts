/** Why something did not work. The view turns it into words (view/problems.ts). */
export interface Problem {
  /** Stable, `lower_snake_case`; for code that must branch. "offline" where the network failed. */
  readonly code: string;
  /**
   * The server's own sentence, for codes that the view has no words for; empty
   * where the model found the problem itself.
   */
  readonly message: string;
  /** For forms: field name (`email`, `password`, `username`, `display_name`) → the server's sentence, empty where `code` says it all. */
  readonly fields: Readonly<Record<string, string>>;
  /** After this many milliseconds the same may work; null where trying again does not help by itself. */
  readonly retryAfterMs: number | null;
}

/** What came of an action. */
export type Outcome<T = void> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };
