/** Why sockets end: the close codes of chat.v1 (the table is in realtime/problem) and what a client does about each. */

export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  /** Never opened, or the network went away without a word. */
  abnormal: 1006,
  /** A token that does not verify, a disabled user, a wrong Origin, a rate. The error frame before it says which. */
  policy: 1008,
  tooBig: 1009,
  internal: 1011,
  tryLater: 1013,
  /** The token has ended. */
  tokenEnded: 4401,
} as const;

/** What the end of a socket asks for. */
export type Remedy =
  /** Connect again, with the usual backoff. */
  | { readonly kind: "retry"; readonly notBeforeMs: number }
  /** Connect again with a token fetched anew. */
  | { readonly kind: "fresh-token" }
  /** The account may not connect any more. */
  | { readonly kind: "end"; readonly reason: "disabled" | "deleted" };

/**
 * What to do after a socket closed with `code`, whose last `error` frame
 * without an id said `errorCode` ("" for none) and how long to wait.
 */
export function remedyFor(code: number, errorCode: string, retryAfterMs: number | null): Remedy {
  switch (errorCode) {
    case "account_disabled":
      return { kind: "end", reason: "disabled" };
    case "account_deleted":
      return { kind: "end", reason: "deleted" };
    case "unauthenticated":
    case "token_ended":
      return { kind: "fresh-token" };
  }
  if (code === CloseCode.tokenEnded) return { kind: "fresh-token" };
  // A rate, an Origin or a frame that was not understood: the same at once would end the same.
  const notBeforeMs = code === CloseCode.policy || code === CloseCode.tooBig ? 5_000 : 0;
  return { kind: "retry", notBeforeMs: Math.max(notBeforeMs, retryAfterMs ?? 0) };
}
