import { untrack } from "svelte";
import type { Attention, Chat } from "../../model";
import { copyMessages } from "../conversation/copied";
import { printConversation } from "../conversation/printed";
import { keepFocus } from "../focus";
import { keepPush } from "../notifications/keepPush";
import { showWarnings } from "../report/showWarnings";

/** Starts what a screen does beside showing the chat. Returns a function that ends it. */
export function attend(chat: Chat, attention: Attention): () => void {
  const ends = [keepFocus(), copyMessages(chat), printConversation(chat)];
  ends.push(...untrack(() => [keepPush(chat, attention), showWarnings(chat)]));
  return () => {
    for (const end of ends) end();
  };
}
