/**
 * Invitations: the link of a user, and what a visitor who followed one sees. The name comes from the link alone, because
 * nobody may look up users without signing in.
 */
import { readNote, writeNote } from "./been";
import { type Place, href, parse } from "./places";

/** Returns the address that invites somebody to write to the user. */
export function invitationTo(username: string): string {
  return location.origin + href({ name: "chat", person: username });
}

const username = /^[a-z0-9][a-z0-9._-]{1,28}[a-z0-9]$/u;

/** Returns the username of the user who invited the visitor to `next`; null if that is no invitation. */
export function inviter(next: string): string | null {
  const place: Place = parse(next);
  return place.name === "chat" && username.test(place.person) ? place.person : null;
}

const nextKey = "phoenix.next";
/** A place is remembered for this long, in ms. The link in the email is valid for about as long. */
const NEXT_MS = 3_600_000;

/** Remembers the place to open after a password reset, because the link in the email opens a page of its own. */
export function rememberNext(next: string): void {
  writeNote(nextKey, next === "/" ? null : JSON.stringify({ next, at: Date.now() }));
}

/** Returns the place that was remembered, once; "/" if there is none. */
export function takeNext(): string {
  const text = readNote(nextKey);
  writeNote(nextKey, null);
  try {
    const value: unknown = JSON.parse(text ?? "null");
    if (typeof value !== "object" || value === null || !("next" in value) || !("at" in value)) return "/";
    const fresh = typeof value.at === "number" && Math.abs(Date.now() - value.at) < NEXT_MS;
    return fresh && typeof value.next === "string" && inviter(value.next) !== null ? value.next : "/";
  } catch {
    return "/";
  }
}
