import type { Chat } from "../../model";
import { copyMessages } from "../conversation/copied";
import { printConversation } from "../conversation/printed";
import { keepFocus } from "../focus";

/** Starts what a screen does beside showing the chat. Returns a function that ends it. */
export function attend(chat: Chat): () => void {
  const ends = [keepFocus(), copyMessages(chat), printConversation(chat)];
  return () => {
    for (const end of ends) end();
  };
}
