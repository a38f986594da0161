import type { Chat } from "../../model";
import { Pictures } from "../../model/chat/pictures";

const opened = new WeakMap<Chat, Pictures>();

/** Returns the pictures of a chat. All avatars share them. */
export function picturesOf(chat: Chat): Pictures {
  const known = opened.get(chat) ?? new Pictures(chat.late);
  opened.set(chat, known);
  return known;
}
