import { daysBetween } from "../format";

/** What grouping needs to know of a message. */
export interface Placed {
  readonly mine: boolean;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

/** How a message stands among its neighbours. */
export interface Place {
  /** The first message of its calendar day. */
  readonly day: boolean;
  /** Begins a run: bubbles of one person, each within five minutes of the one before. */
  readonly first: boolean;
  /** Ends a run: here stands the time. */
  readonly last: boolean;
}

/** Messages of one person within this many milliseconds of each other stay together. */
export const RUN = 5 * 60_000;

function together(a: Placed, b: Placed): boolean {
  return a.mine === b.mine && b.time - a.time <= RUN && daysBetween(a.time, b.time) === 0;
}

/**
 * Places one message. It needs only the neighbours, so a list of 50,000 is
 * grouped for as many as are on screen. `divided` says whether a line ("New
 * messages") stands before the message, `dividedAfter` whether one stands after
 * it: a run ends there.
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
