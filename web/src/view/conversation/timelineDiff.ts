/** What a list needs to know to keep its place when its items change. */
export interface Change {
  /** How many came before the first known item. */
  readonly before: number;
  /** How many came after the last known item. */
  readonly after: number;
  /** The same ids in the same places. */
  readonly same: boolean;
}

interface Known {
  readonly id: string;
}

/** Compares two lists of items with stable ids. Costs little where nothing or only an end changed. */
export function timelineDiff(old: readonly Known[], now: readonly Known[]): Change {
  const first = old[0];
  const last = old[old.length - 1];
  if (!first || !last) return { before: 0, after: now.length, same: now.length === 0 };
  let before = 0;
  while (before < now.length && now[before]?.id !== first.id) before++;
  if (before === now.length) before = 0; // the first one is gone: nothing to hold on to
  let after = 0;
  while (after < now.length && now[now.length - 1 - after]?.id !== last.id) after++;
  if (after === now.length) after = 0;
  let same = now.length === old.length;
  for (let i = 0; same && i < now.length; i++) same = now[i] === old[i] || now[i]?.id === old[i]?.id;
  return { before, after, same };
}
