import type { Chat } from "../../model";
import { Searches } from "../../model/search/search";

const searches = new WeakMap<Chat, Searches>();

/** Returns the searches of a signed-in user, which share one index. */
export function searchesOf(chat: Chat): Searches {
  let known = searches.get(chat);
  if (!known) {
    known = new Searches(chat.late);
    searches.set(chat, known);
  }
  return known;
}

/** Reads the stored messages while the user begins to type. */
export function prepare(chat: Chat): void {
  searchesOf(chat).prepare();
}
