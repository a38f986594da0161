/**
 * A model without a server, to look at the view and to test it. Only testing/vite.config.ts builds it, in place of the
 * real model. The address chooses its content: ?as=signed-out&people=40&messages=5000&offline=1 …
 *
 * This file builds the app, its chat, and the actions that tests call. state.ts has the state, and one file each has the
 * accounts, a conversation, the admin panel and so on.
 */
import type { App, Chat, Incoming, NotificationPermissionState, Presence, Problem, Session } from "../../model";
import { Value, derived } from "../../model/observable";
import { accounts } from "./accounts";
import { adminCalls } from "./admin";
import { conversation } from "./conversation";
import { proof } from "./factor";
import { historyOf, indexOf } from "./histories";
import { lateParts } from "./late";
import { held, number, ok, params, refused, wait } from "./options";
import { message, people } from "./people";
import { blocked, choices, connection, list, me, opened, receive, refresh, store } from "./state";

declare const __MARK__: string;
/** Each build has its own mark, so that its code differs as that of another version does. */
console.debug(typeof __MARK__ === "string" ? __MARK__ : "");

const limited: Problem = { code: "rate_limited", message: "", fields: {}, retryAfterMs: null };

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
  async leave(...given) {
    const proved = await proof(...given);
    if (!proved.ok) return proved;
    session.set({ state: "signed-out", reason: "left" });
    return ok(undefined);
  },
};

const incoming = new Set<(m: Incoming) => void>();
export function createApp(): App {
  const app: App = {
    session,
    remembers: params.get("as") !== "signed-out",
    accounts: accounts(session, chat),
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
  release(): void {
    held.release();
  },
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
