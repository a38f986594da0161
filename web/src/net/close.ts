/** The close codes of chat.v1 (the table is in realtime/problem), and what a client does about each. */

export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  /** The socket never opened, or the network went away silently. */
  abnormal: 1006,
  /** An invalid token, a disabled user, a wrong Origin or a rate limit. The error frame before it says which. */
  policy: 1008,
  tooBig: 1009,
  internal: 1011,
  tryLater: 1013,
  /** The token has expired. */
  tokenEnded: 4401,
  /** The user has opened more sockets than one instance allows, and this one is the oldest. */
  replaced: 4409,
} as const;

/** The reaction to the end of a socket. */
export type Remedy =
  /** Connect again, with the usual backoff. */
  | { readonly kind: "retry"; readonly notBeforeMs: number }
  /** Connect again with a newly fetched token. */
  | { readonly kind: "fresh-token" }
  /**
   * Stay away for minutes, or until the user asks for this device. Connecting again would close another device's
   * socket, which would do the same.
   */
  | { readonly kind: "stand-aside" }
  /** The account may not connect any more. */
  | { readonly kind: "end"; readonly reason: "disabled" | "deleted" };

/**
 * Returns what to do after a socket was closed with `code`. `errorCode` and `retryAfterMs` come from its last `error`
 * frame without an id ("" and null if there was none).
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
    case "signed_out":
      // Not with a fresh one: the sign-in system may refuse it, and the page would not learn why.
      return { kind: "retry", notBeforeMs: 0 };
    case "socket_replaced":
      return { kind: "stand-aside" };
  }
  if (code === CloseCode.replaced) return { kind: "stand-aside" };
  if (code === CloseCode.tokenEnded) return { kind: "fresh-token" };
  // A rate limit, an Origin or a frame that the server rejected: an immediate retry would fail in the same way.
  const notBeforeMs = code === CloseCode.policy || code === CloseCode.tooBig ? 5_000 : 0;
  return { kind: "retry", notBeforeMs: Math.max(notBeforeMs, retryAfterMs ?? 0) };
}
