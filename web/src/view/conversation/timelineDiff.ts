/** The changes of a list that matter for keeping its scroll position. */
export interface TimelineDiff {
  /** How many items were added before the first known one. */
  readonly before: number;
  /** How many items were added after the last known one. */
  readonly after: number;
  /** Whether the keys and their order are unchanged. */
  readonly same: boolean;
}

interface Known {
  readonly key: string;
}

/** Compares two lists of items with stable keys. It is fast if nothing, or only an end, has changed. */
export function diffTimelines(old: readonly Known[], now: readonly Known[]): TimelineDiff {
  const first = old[0];
  const last = old[old.length - 1];
  if (!first || !last) return { before: 0, after: now.length, same: now.length === 0 };
  let before = 0;
  while (before < now.length && now[before]?.key !== first.key) before++;
  if (before === now.length) before = 0; // the first known item was removed
  let after = 0;
  while (after < now.length && now[now.length - 1 - after]?.key !== last.key) after++;
  if (after === now.length) after = 0;
  let same = now.length === old.length;
  for (let i = 0; same && i < now.length; i++) same = now[i] === old[i] || now[i]?.key === old[i]?.key;
  return { before, after, same };
}
