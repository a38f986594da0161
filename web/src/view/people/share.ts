/** Reports whether sharing failed. A user who closes the share sheet has only changed their mind. */
export function problemOf(err: unknown): boolean {
  return !(err instanceof DOMException && err.name === "AbortError");
}

/**
 * Returns the text that another app has shared with this one (share_target in the manifest), and removes it from the
 * address, so that a reload does not share it again.
 */
export function takeShared(): string {
  return [...new Set(take("title", "text", "url"))].join("\n");
}

/** Reports whether the address asks to open the invitation, once. */
export function takeInvite(): boolean {
  return take("invite").length > 0;
}

/** Returns the values of parameters in the address of People, and removes them from it. */
function take(...names: readonly string[]): string[] {
  if (location.pathname !== "/people") return [];
  const query = new URLSearchParams(location.search);
  const values = names.map((name) => query.get(name)?.trim() ?? "").filter((value) => value !== "");
  for (const name of names) query.delete(name);
  if (values.length > 0)
    history.replaceState(history.state, "", `/people${query.size === 0 ? "" : `?${query.toString()}`}`);
  return values;
}
