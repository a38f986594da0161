/** Why an action failed. The view turns it into words (view/problems.ts). */
export interface Problem {
  /** Stable, `lower_snake_case`, for code that must branch. "offline" if the network failed. */
  readonly code: string;
  /**
   * The server's own sentence, for developers: the view shows its text for the code. Empty if the model found the
   * problem itself.
   */
  readonly message: string;
  /**
   * For forms: field name (`email`, `password`, `username`, `display_name`) → the code of its fault, which is empty if
   * {@link code} says everything.
   */
  readonly fields: Readonly<Record<string, string>>;
  /** The same action may succeed after this many milliseconds. Null if repeating it does not help. */
  readonly retryAfterMs: number | null;
}

/** The result of an action. */
export type Outcome<T = void> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };
