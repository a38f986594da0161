import type { Chat } from "../../model";
import { PushRegistration } from "../../model/push/registration";
import { Sleep } from "../../model/tabs/sleep";

export { announce } from "./announce";

const registrations = new WeakMap<Chat, PushRegistration>();

/** Returns the registration of this browser for pushes of a user. While there is one, the browser may sleep. */
export function pushOf(chat: Chat): PushRegistration {
  let found = registrations.get(chat);
  if (!found) {
    found = new PushRegistration(chat.late);
    new Sleep(chat.late, found);
    registrations.set(chat, found);
  }
  return found;
}
