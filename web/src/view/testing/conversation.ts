/** One open conversation of the fake model: its messages, and the actions of its user. */
import type { Conversation, Draft, Message, Timeline } from "../../model";
import { Value } from "../../model/observable";
import { changeMessage } from "./changes";
import { conversationOf, historyOf, indexOf } from "./histories";
import { held, number, ok, params, refused, wait } from "./options";
import { message, people, says } from "./people";
import { choices, connection, list, opened, receive, refresh, requests, store } from "./state";

const drafts = new Map<string, Value<Draft>>();
const PAGE = 50;

export function conversation(uid: string): Conversation {
  const index = indexOf(uid);
  const all = historyOf(uid, index);
  const unreadAtOpen = list.get().items.find((c) => c.user.uid === uid)?.unread ?? 0;
  const preload = params.has("all") ? all.length : PAGE;
  const timeline = new Value<Timeline>({
    items: requests.shown(conversationOf(uid), all.slice(-preload)),
    loading: false,
    loadingOlder: false,
    complete: all.length <= preload,
    problem: null,
    firstUnread: unreadAtOpen > 0 ? (all[all.length - unreadAtOpen]?.key ?? null) : null,
    held: params.get("held-for"),
    starred: choices.starred(conversationOf(uid)),
  });
  const typing = new Value(index === 3);
  const unread = new Value(unreadAtOpen);
  const draft =
    drafts.get(uid) ?? new Value<Draft>({ text: index === 4 ? "I wanted to ask whether" : "", replyTo: null });
  drafts.set(uid, draft);
  opened.set(uid, { timeline, typing, unread });
  const patch = (change: Partial<Timeline>): void => timeline.update((t) => ({ ...t, ...change }));
  const set = (key: string, change: Partial<Message>): void => {
    const i = all.findIndex((m) => m.key === key);
    const old = all[i];
    if (old) all[i] = { ...old, ...change };
    patch({ items: timeline.get().items.map((m) => (m.key === key ? { ...m, ...change } : m)) });
  };
  const add = (m: Message): void => {
    all.push(m);
    store.changed(conversationOf(uid), [m.key]);
    patch({ items: [...timeline.get().items, m] });
    refresh();
  };
  /** Lets the other user read a message, and answer it. */
  const deliver = async (key: string): Promise<void> => {
    await wait(250);
    set(key, { state: "sent" });
    await wait(500);
    set(key, { state: "delivered", deliveredTime: Date.now() });
    if (params.has("quiet")) return;
    await wait(900);
    typing.set(true);
    set(key, { state: "read" });
    await wait(2500);
    typing.set(false);
    add(message(false, says[all.length % says.length] ?? "", Date.now()));
  };
  return {
    id: conversationOf(uid),
    user: new Value(people[index] ?? { uid, username: "", displayName: "" }),
    timeline,
    typing,
    unread,
    draft,
    async loadOlder() {
      if (timeline.get().loadingOlder || timeline.get().complete) return;
      patch({ loadingOlder: true });
      if (params.has("held")) await new Promise<void>((resolve) => (held.release = resolve));
      else await wait(number("latency", 350));
      const have = timeline.get().items.length;
      patch({ items: all.slice(-(have + PAGE)), loadingOlder: false, complete: have + PAGE >= all.length });
    },
    async reveal(key) {
      await wait(200);
      const at = all.findIndex((m) => m.key === key);
      if (at < 0) return false;
      patch({ items: all.slice(Math.min(at, all.length - timeline.get().items.length)) });
      return true;
    },
    async send(body, replyTo) {
      draft.set({ text: "", replyTo: null });
      const quoted = all.find((m) => m.key === replyTo);
      const m = message(true, body, Date.now(), {
        state: "waiting",
        deliveredTime: null,
        quote: quoted ? { key: quoted.key, mine: quoted.mine, body: quoted.body } : null,
      });
      requests.answer(conversationOf(uid));
      add(m);
      if (connection.get().state === "online" && timeline.get().held === null) void deliver(m.key);
      return ok(m.key);
    },
    async retry(key) {
      set(key, { state: "waiting", refusal: null });
      return ok(key);
    },
    async remove(key) {
      const i = all.findIndex((m) => m.key === key);
      if (i >= 0) all.splice(i, 1);
      patch({ items: timeline.get().items.filter((m) => m.key !== key) });
    },
    async forward(key, to) {
      const body = all.find((m) => m.key === key)?.body ?? "";
      for (const one of to) receive(one, message(true, body, Date.now(), { state: "waiting", deliveredTime: null }));
      refresh();
      return ok(undefined);
    },
    async change(key, change) {
      if (params.has("unchangeable")) return refused("change_forbidden", "");
      const old = all.find((m) => m.key === key);
      // The model stores a change before the list shows it.
      setTimeout(() => {
        if (old) changeMessage(old, change, (to) => set(key, to));
        refresh();
      });
      return ok(undefined);
    },
    setDraft(text, replyTo) {
      const q = all.find((m) => m.key === replyTo);
      draft.set({ text, replyTo: q ? { key: q.key, mine: q.mine, body: q.body } : null });
    },
    noteTyping() {},
    markRead(key) {
      const i = all.findIndex((m) => m.key === key);
      unread.set(Math.min(unread.get(), all.slice(i + 1).filter((m) => !m.mine).length));
      list.update((l) => ({
        ...l,
        items: l.items.map((c) => (c.user.uid === uid ? { ...c, unread: unread.get() } : c)),
      }));
    },
    close() {
      opened.delete(uid);
    },
  };
}
