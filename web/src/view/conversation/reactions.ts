import type { Message } from "../../model";

/** Equal reactions to a message. */
export interface Counted {
  readonly emoji: string;
  readonly count: number;
  /** Whether the user is among those who have reacted with it. */
  readonly mine: boolean;
}

/** Returns the reactions, equal ones together, in the order of the first of each. */
export function countReactions(reactions: NonNullable<Message["changes"]>["reactions"]): readonly Counted[] {
  const by = new Map<string, Counted>();
  for (const { emoji, mine } of reactions) {
    const before = by.get(emoji);
    by.set(emoji, { emoji, count: (before?.count ?? 0) + 1, mine: mine || before?.mine === true });
  }
  return [...by.values()];
}

/** Whether something is shown below the bubble of the message for its changes. */
export function hasReactions({ mine, changes }: Message): boolean {
  return changes !== undefined && (changes.reactions.length > 0 || (changes.waiting && !mine));
}
