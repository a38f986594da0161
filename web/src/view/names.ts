import type { Person } from "../model";
import { text } from "../text";

/** What to call somebody: their name, else their username, else a neutral word. */
export function nameOf(person: Person): string {
  return person.displayName.trim() || person.username || text.chats.gone;
}
