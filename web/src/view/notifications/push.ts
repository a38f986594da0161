import type { Chat } from "../../model";
import { PushRegistration } from "../../model/push/registration";

export { announce } from "./announce";

const registrations = new WeakMap<Chat, PushRegistration>();

/** Returns the registration of this browser for pushes of a user. */
export function pushOf(chat: Chat): PushRegistration {
  let found = registrations.get(chat);
  if (!found) registrations.set(chat, (found = new PushRegistration(chat.late)));
  return found;
}
