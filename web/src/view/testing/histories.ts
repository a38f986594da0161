/** The messages of each conversation of the fake model. They are made when they are first needed. */
import type { Message } from "../../model";
import { number } from "./options";
import { history, people, showcase } from "./people";
import { requestOf } from "./requests";

/** The id of the conversation with a user, whose uid sorts after that of this one. */
export const conversationOf = (uid: string): string => `meAbC~${uid}`;
export const indexOf = (uid: string): number => people.findIndex((p) => p.uid === uid);

const histories = new Map<string, Message[]>();

/** Returns the messages with the user `uid`, who is at `index` in the list of people. Oldest first. */
export function historyOf(uid: string, index: number): Message[] {
  const known = histories.get(uid);
  if (known) return known;
  const made = madeHistory(index);
  histories.set(uid, made);
  return made;
}

function madeHistory(index: number): Message[] {
  const request = requestOf(index);
  if (request) return request;
  if (index === 0) return showcase();
  if (index === 1) return history(number("messages", 5000), 12);
  if (index === 6) return [];
  return history(30, index % 4 === 2 ? index : 0);
}
