/** The state that the parts of the fake model share: the user, the connection, the list and the open conversations. */
import type { ConnectionStatus, ConversationList, ConversationSummary, Me, Message, Timeline, User } from "../../model";
import { Value } from "../../model/observable";
import { FakeChoices } from "./choices";
import { conversationOf, historyOf, indexOf } from "./histories";
import { number, params } from "./options";
import { people } from "./people";
import { FakeRequests, requestOf, sorted } from "./requests";
import { FakeStore } from "./store";

export const me = new Value<Me>({
  uid: "meAbC",
  username: "ada",
  displayName: "Ada Brandt",
  email: "ada@example.org",
  admin: params.has("admin"),
  warned: params.has("warned"),
  newestDevice: params.has("new-device") ? "3" : "",
  unverified: params.has("unverified"),
  createdAt: Date.now() - number("age", 4e9),
});
export const blocked = new Value<readonly User[] | null>([]);
export const connection = new Value<ConnectionStatus>(
  params.has("offline")
    ? { state: "offline", since: Date.now() - 6000, nextTryAt: Date.now() + 9000 }
    : { state: params.has("replaced") ? "replaced" : "online" },
);
export const list = new Value<ConversationList>({ ...sorted([], []), loading: true, more: false, problem: null });

export const choices = new FakeChoices(
  (n) => conversationOf(people[n]?.uid ?? ""),
  (conversation) => {
    const starred = choices.starred(conversation);
    const uid = conversation.split("~")[1] ?? "";
    opened.get(uid)?.timeline.update((t) => ({
      ...t,
      starred,
      items: requests.shown(conversation, t.items),
    }));
    store.changed(conversation, []);
    refresh();
  },
);
export const requests = new FakeRequests(choices);
/** The conversations that are open, by the uid of the other user. */
export const opened = new Map<string, { timeline: Value<Timeline>; typing: Value<boolean>; unread: Value<number> }>();

export const store: FakeStore = new FakeStore("meAbC", choices, () =>
  people
    .slice(0, number("chats", 14))
    .map((person, i) => ({ id: conversationOf(person.uid), other: person.uid, messages: historyOf(person.uid, i) })),
);

function summaries(): ConversationSummary[] {
  if (params.has("empty")) return [];
  return people.slice(0, Math.min(people.length, number("chats", 14))).flatMap((person, i) => {
    const id = conversationOf(person.uid);
    const all = historyOf(person.uid, i);
    const last = requests.shown(id, all).at(-1);
    if (!last && all.length > 0) return []; // a request that was removed
    return {
      id,
      user: person,
      request: requests.is(i, id, all),
      unread: choices.read.has(id) ? 0 : i === 1 ? number("unread", 12) : i % 4 === 2 ? i : 0,
      ...choices.of(id),
      typing: i === 3,
      draft: i === 4 ? "I wanted to ask whether" : "",
      preview: last
        ? {
            body: last.body,
            mine: last.mine,
            state: i === 0 ? "waiting" : last.state,
            time: i < 3 ? Date.now() - i * 3_000_000 : Date.now() - i * 40_000_000,
          }
        : null,
    } satisfies ConversationSummary;
  });
}

/** Makes the list anew, after a change of what it shows. */
export function refresh(): void {
  list.set({ ...sorted(summaries(), blocked.get() ?? []), loading: false, more: false, problem: null });
}

/** A message arrives in the conversation with `uid`. */
export function receive(uid: string, received: Message): void {
  historyOf(uid, indexOf(uid)).push(received);
  store.changed(conversationOf(uid), [received.key]);
  opened.get(uid)?.timeline.update((t) => ({ ...t, items: [...t.items, received] }));
  if (requestOf(indexOf(uid))) refresh(); // it may return
}
