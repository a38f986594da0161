import { daysBetween } from "../format";

/** The properties of a message that grouping needs. */
export interface Placed {
  readonly mine: boolean;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

/** The position of a message among its neighbors. */
export interface Place {
  /** The first message of its calendar day. */
  readonly day: boolean;
  /** Begins a run: messages of one user, each within five minutes of the previous one. */
  readonly first: boolean;
  /** Ends a run. The last message of a run shows the time. */
  readonly last: boolean;
}

/** Consecutive messages of one user within this time belong to one run, in ms. */
export const RUN = 5 * 60_000;

function together(a: Placed, b: Placed): boolean {
  return a.mine === b.mine && b.time - a.time <= RUN && daysBetween(a.time, b.time) === 0;
}

/**
 * Returns the position of one message. It needs only the neighbors, so that a list of 50,000 messages is grouped only
 * where it is visible. `divided` and `dividedAfter` say whether the line "New messages" is before or after the
 * message. A run ends at that line.
 */
export function place(
  previous: Placed | undefined,
  message: Placed,
  next: Placed | undefined,
  divided = false,
  dividedAfter = false,
): Place {
  return {
    day: !previous || daysBetween(previous.time, message.time) !== 0,
    first: divided || !previous || !together(previous, message),
    last: dividedAfter || !next || !together(message, next),
  };
}
