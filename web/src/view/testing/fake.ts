/**
 * A model without a server, to look at the view and to test it. Only testing/vite.config.ts builds it, in place of the
 * real model. The address chooses its content: ?as=signed-out&people=40&messages=5000&offline=1 …
 */
import type {
  App,
  Chat,
  ConnectionStatus,
  Conversation,
  ConversationList,
  ConversationSummary,
  Draft,
  Incoming,
  Me,
  Message,
  NotificationPermissionState,
  Problem,
  User,
  Presence,
  Session,
  Timeline,
} from "../../model";
import { Value, derived } from "../../model/observable";
import { adminCalls } from "./admin";
import { changeMessage } from "./changes";
import { FakeChoices } from "./choices";
import { lateParts, signOutElsewhere } from "./late";
import { number, ok, params, refused, wait } from "./options";
import { history, message, people, says, showcase } from "./people";
import { FakeRequests, requestOf, sorted } from "./requests";
import { FakeStore } from "./store";

declare const __MARK__: string;
/** Each build has its own mark, so that its code differs as that of another version does. */
console.debug(typeof __MARK__ === "string" ? __MARK__ : "");

const me = new Value<Me>({
  uid: "meAbC",
  username: "ada",
  displayName: "Ada Brandt",
  email: "ada@example.org",
  admin: params.has("admin"),
  warned: params.has("warned"),
  newestDevice: params.has("new-device") ? "3" : "",
  createdAt: Date.now() - 4e9,
});
const blocked = new Value<readonly User[] | null>([]);
const connection = new Value<ConnectionStatus>(
  params.has("offline")
    ? { state: "offline", since: Date.now() - 6000, nextTryAt: Date.now() + 9000 }
    : { state: params.has("replaced") ? "replaced" : "online" },
);

const limited: Problem = { code: "rate_limited", message: "", fields: {}, retryAfterMs: null };
const histories = new Map<string, Message[]>();
const drafts = new Map<string, Value<Draft>>();
function historyOf(uid: string, index: number): Message[] {
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

const list = new Value<ConversationList>({ ...sorted([], []), loading: true, more: false, problem: null });
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

/** The id of the conversation with a user, whose uid sorts after that of this one. */
const conversationOf = (uid: string): string => `meAbC~${uid}`;
const indexOf = (uid: string): number => people.findIndex((p) => p.uid === uid);
const choices = new FakeChoices(
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
const requests = new FakeRequests(choices);
const opened = new Map<string, { timeline: Value<Timeline>; typing: Value<boolean>; unread: Value<number> }>();
const PAGE = 50;

function conversation(uid: string): Conversation {
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
      if (params.has("held")) await new Promise<void>((resolve) => (fake.release = resolve));
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

const store: FakeStore = new FakeStore("meAbC", choices, () =>
  people
    .slice(0, number("chats", 14))
    .map((person, i) => ({ id: conversationOf(person.uid), other: person.uid, messages: historyOf(person.uid, i) })),
);

function refresh(): void {
  list.set({ ...sorted(summaries(), blocked.get() ?? []), loading: false, more: false, problem: null });
}

const presences = people.map(
  (_, i) =>
    new Value<Presence>(
      i % 3 === 0 ? { online: true, lastSeen: null } : { online: false, lastSeen: Date.now() - i * 7_000_000 },
    ),
);
const session = new Value<Session>({ state: "starting" });

const chat: Chat = {
  uid: "meAbC",
  me,
  connection,
  storage: new Value(params.has("overflow") ? "overflow" : "durable"),
  clockOffset: new Value(number("skew", 0)),
  bodyLimit: new Value(number("body", 8000)),
  limits: new Value({ sockets: 10, strangerMessages: 5, newPeople: 20, changes: !params.has("unchanging") }),
  conversations: list,
  unreadTotal: derived(list, (l) => l.items.reduce((n, c) => n + c.unread, 0)),
  waitingTotal: new Value(number("unsent", 0)),
  admin: new Value(params.has("admin") ? adminCalls : null),
  tryNow() {
    connection.set({ state: "offline", since: Date.now() - 9000, nextTryAt: null });
    setTimeout(() => connection.set({ state: "online" }), 900);
  },
  moreConversations() {},
  late: lateParts(me, people, list, connection, store, choices),
  user: (uid) => new Value(people.find((p) => p.uid === uid) ?? { uid, username: "", displayName: "" }),
  async userByUsername(u) {
    await wait(200);
    const p = people.find((person) => person.username === u);
    return p ? ok(p) : refused("not_found", "There is nobody of this name.");
  },
  presence: (uid) => presences[indexOf(uid)] ?? new Value<Presence>({ online: null, lastSeen: null }),
  conversation,
  blocked,
  async block(uid) {
    const p = people.find((person) => person.uid === uid);
    if (p) blocked.update((b) => [...(b ?? []), p]);
    refresh();
    return ok(undefined);
  },
  async unblock(uid) {
    blocked.update((b) => (b ?? []).filter((p) => p.uid !== uid));
    refresh();
    return ok(undefined);
  },
  async updateProfile(c) {
    await wait(300);
    if (c.displayName?.includes("x"))
      return refused("invalid_fields", "Check the name.", { display_name: "name_reserved" });
    if (c.username === "third") return refused("too_many_renames", "You can change it twice in 30 days.");
    if (c.username === "fast") return { ok: false, problem: { ...limited, retryAfterMs: number("pause", 1_000) } };
    me.update((m) => ({ ...m, ...c }));
    return ok(undefined);
  },
  async exportData() {
    await wait(600);
    return ok(new Blob(["{}"], { type: "application/json" }));
  },
  async signOut(o) {
    if (number("unsent", 0) > 0 && !o?.evenIfUnsent) return refused("unsent", "Something has not been sent.");
    session.set({ state: "signed-out", reason: "none" });
    return ok(undefined);
  },
  async signOutElsewhere(p) {
    await wait(400);
    if (p !== "right") return refused("wrong_password", "Wrong.", { password: "Wrong." });
    signOutElsewhere();
    return ok(undefined);
  },
  async changePassword(p, chosen) {
    await wait(400);
    if (p !== "right") return refused("wrong_password", "Wrong.", { password: "Wrong." });
    if (chosen.includes("common")) return refused("password_common", "Common.", { password: "Common." });
    return ok(undefined);
  },
  async leave(p) {
    await wait(400);
    if (p !== "right") return refused("wrong_password", "Wrong.", { password: "Wrong." });
    session.set({ state: "signed-out", reason: "left" });
    return ok(undefined);
  },
};

const incoming = new Set<(m: Incoming) => void>();
export function createApp(): App {
  const app: App = {
    session,
    remembers: params.get("as") !== "signed-out",
    accounts: {
      async passwordChangedAt() {
        return ok(params.has("changed") ? Date.now() - 60_000 : null);
      },
      async signUp(f) {
        await wait(400);
        if (f.username === "taken") return refused("username_taken", "x", { username: "x" });
        session.set({ state: "signed-in", chat });
        return ok(undefined);
      },
      async signIn(_e, p) {
        await wait(400);
        if (p === "wrong") return refused("wrong_credentials", "Wrong e-mail or password. Check both and try again.");
        session.set({ state: "signed-in", chat });
        return ok(undefined);
      },
      async resetPassword() {
        await wait(300);
        return ok(undefined);
      },
      async commonPasswords() {
        if (params.has("held"))
          await new Promise<void>((resolve) => {
            const earlier = fake.release.bind(fake);
            fake.release = () => {
              earlier();
              resolve();
            };
          });
        return ok(new Set(["password", "sunshine1"]));
      },
      async resetAddress(c) {
        return c === "old" ? refused("code_ended", "x") : ok("ada@example.org");
      },
      async confirmReset(c) {
        await wait(300);
        return c === "old"
          ? refused("code_ended", "This link has been used or is too old. Ask for a new one.")
          : ok({ signedIn: await app.accounts.signIn("ada@example.org", "right").then((o) => o.ok) });
      },
    },
    attention: {
      permission: new Value((params.get("permission") as "granted") ?? "unasked"),
      offer: new Value(params.has("offer")),
      async ask() {
        (app.attention.permission as Value<NotificationPermissionState>).set("granted");
        return "granted";
      },
      dismissOffer() {
        (app.attention.offer as Value<boolean>).set(false);
      },
      onIncoming(run) {
        incoming.add(run);
        return () => incoming.delete(run);
      },
      notify() {},
      badge() {},
    },
    async start() {
      await wait(number("start", 60));
      if (params.get("as") === "signed-out")
        session.set({ state: "signed-out", reason: (params.get("reason") as "none") ?? "none" });
      else if (params.get("as") === "foreign") session.set({ state: "foreign", address: "https://chat.example.org" });
      else if (params.get("as") === "failed")
        session.set({
          state: "failed",
          problem: {
            code: "offline",
            message: "The address of the chat could not be reached. Check the network and try again.",
            fields: {},
            retryAfterMs: null,
          },
        });
      else {
        session.set({ state: "signed-in", chat });
        setTimeout(refresh, number("latency", 20));
      }
    },
  };
  Object.assign(globalThis, { fake });
  return app;
}

// For tests of the view: actions of other users and of the network.

const fake = {
  say,
  answer,
  people,
  me,
  connection,
  list,
  params,
  /** Lets the page of older messages, or the list of passwords, arrive that is being loaded, if the address has "held". */
  release(): void {},
};

/** Lets a user send a message. */
function say(uid: string, body: string): void {
  receive(uid, message(false, body, Date.now()));
  opened.get(uid)?.unread.update((n) => n + 1);
}

/** Lets a user answer the message at `index` of the history. Returns the key of that message. */
function answer(uid: string, index: number): string {
  const original = historyOf(uid, indexOf(uid))[index];
  if (!original) throw new Error(`there is no message ${index}`);
  const quote = { key: original.key, mine: original.mine, body: original.body };
  receive(uid, message(false, "an answer to something old", Date.now(), { quote }));
  return original.key;
}

function receive(uid: string, received: Message): void {
  historyOf(uid, indexOf(uid)).push(received);
  store.changed(conversationOf(uid), [received.key]);
  opened.get(uid)?.timeline.update((t) => ({ ...t, items: [...t.items, received] }));
  if (requestOf(indexOf(uid))) refresh(); // it may return
}
