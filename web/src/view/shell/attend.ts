import { untrack } from "svelte";
import type { Attention, Chat } from "../../model";
import { copyMessages } from "../conversation/copied";
import { printConversation } from "../conversation/printed";
import { keepFocus } from "../focus";
import { keepPush } from "../notifications/keepPush";

/** Starts what a screen does beside showing the chat. Returns a function that ends it. */
export function attend(chat: Chat, attention: Attention): () => void {
  const ends = [keepFocus(), copyMessages(chat), printConversation(chat), untrack(() => keepPush(chat, attention))];
  return () => {
    for (const end of ends) end();
  };
}
