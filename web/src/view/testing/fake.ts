/**
 * A model without a server, for looking at the view and for tests of it. Built
 * only by testing/vite.config.ts in place of the real one; what it holds is
 * chosen by the address: ?as=signed-out&people=40&messages=5000&offline=1 …
 */
import type {
  App,
  Chat,
  Conversation,
  ConversationList,
  ConversationSummary,
  Draft,
  Incoming,
  Me,
  Message,
  Outcome,
  PeopleList,
  Person,
  Presence,
  Session,
  Timeline,
} from "../../model";
import { Value, derived } from "../../model/observable";

declare const __MARK__: string;
/** Another build has another mark, as another version has other code. */
console.debug(typeof __MARK__ === "string" ? __MARK__ : "");

if (location.search.includes("fake=")) sessionStorage.setItem("fake", location.search); // also for the places that it leads to
const params = new URLSearchParams(sessionStorage.getItem("fake") ?? "");
const num = (name: string, otherwise: number): number => Number(params.get(name) ?? otherwise);
const wait = (ms: number): Promise<void> => new Promise((r) => setTimeout(r, ms));
const ok = <T>(value: T): Outcome<T> => ({ ok: true, value });
const no = (code: string, message: string, fields: Record<string, string> = {}): Outcome<never> => ({
  ok: false,
  problem: { code, message, fields, retryAfterMs: null },
});

const names: readonly [string, string][] = [
  ["mira.kern", "Mira Kern"],
  ["jonas", "Jonas Ahlgren"],
  ["amina.diallo", "Amina Diallo"],
  ["tomasz", "Tomasz Wójcik"],
  ["yuki", "木村 ゆき"],
  ["omar.f", "عمر فاروق"],
  ["lena", "Lena"],
  ["priya.n", "Priya Natarajan"],
  ["sofia", "Sofía Hernández de la Fuente y Montenegro"],
  ["ben", "Ben O’Connor"],
  ["zalgo", "Z̷̢̛͎͔̐̈́a̵̧̛̘̎l̶̡̛̖̈́g̴̢̛̠͐o̵̧͎̐"],
  ["noor", "Noor"],
  ["elio", "Elio Marchetti"],
  ["hana", "Hana Novotná"],
];
const people: Person[] = Array.from({ length: num("people", 14) }, (_, i) => {
  const base = names[i % names.length] ?? ["x", "X"];
  const n = Math.floor(i / names.length);
  if (i === num("imitator", -1))
    return { uid: `uid${i}aBcDeF`, username: "mallory", displayName: "Мirа\u202e\u200b Kеrn" };
  return {
    uid: `uid${i}aBcDeF`,
    username: base[0] + (n ? `${n}` : ""),
    displayName: base[1] + (n ? ` ${n}` : ""),
    deleted: i === num("gone", -1),
  };
});
const says = [
  "Are you on the train?",
  "Yes, somewhere before the tunnel.",
  "Then I write now and you read later 🙂",
  "That is how it should be. The tickets are in the blue folder, the one on the shelf beside the window, and the key is under the pot.",
  "Got it.",
  "https://example.org/timetable?from=Bern&to=Basel (the 18:04 is late)",
  "ok",
  "See you at eight then. I will bring the bread, the olives and the long table, and ask Jonas whether he still has those lamps from last summer.",
  "👍",
  "Do not forget the lamps",
  "One more thing:\n- milk\n- two lemons\n- the good butter",
  "هل وصلت؟ أنا في المحطة الآن.",
];
const long = Array.from(
  { length: 40 },
  (_, i) => `Line ${i + 1}: what was said about it, in the order in which it was said.`,
).join("\n");

let serial = 0;
const id = (): string => `019${(serial++).toString(16).padStart(9, "0")}-7000-8000-000000000000`;
const M = (mine: boolean, body: string, time: number, extra: Partial<Message> = {}): Message => ({
  id: id(),
  mine,
  body,
  time,
  acceptedTime: null,
  state: mine ? "read" : "read",
  deliveredTime: mine ? time + 1500 : null,
  refusal: null,
  quote: null,
  ...extra,
});

function history(count: number, unread: number): Message[] {
  const now = Date.now();
  const out: Message[] = [];
  let t = now - count * 11 * 60_000;
  let mine = false;
  for (let i = 0; i < count; i++) {
    if (i % 3 === 0) mine = !mine;
    t += i % 3 === 0 ? 26 * 60_000 : 60_000;
    out.push(
      M(i >= count - unread ? false : mine, says[i % says.length] ?? "", Math.min(t, now - (count - i) * 20_000)),
    );
  }
  return out;
}
function showcase(): Message[] {
  const now = Date.now();
  const at = (days: number, h: number, m: number): number => {
    const d = new Date(now - days * 86_400_000);
    d.setHours(h, m, 0, 0);
    return Math.min(d.getTime(), now - 1000);
  };
  const q = M(false, "Are you on the train?", at(1, 18, 4));
  return [
    M(
      false,
      "I found the old map of the valley. It is larger than I remembered, and somebody has drawn our path on it in red pencil.",
      at(3, 9, 12),
    ),
    M(true, "No.", at(3, 9, 14)),
    M(true, "The one with the wrong river?", at(3, 9, 14)),
    M(false, "That very one. https://example.org/maps/valley-1911.", at(3, 9, 20)),
    q,
    M(true, "In the tunnel. No signal, but I can write anyway.", at(1, 18, 6), {
      quote: { id: q.id, mine: false, body: q.body },
    }),
    M(true, "It will leave when it can.", at(1, 18, 6)),
    M(false, "🎉", at(1, 18, 21)),
    M(true, long, at(1, 18, 40)),
    M(false, "a".repeat(400) + " and H̸̡̪̯ͨ͊̽̅̾̎Ȩ̬̩̾͛ͪ̈́̀́͘ ̶̧̨̱̹̭̯ͧ̾ͬC̷̙̲̝͖ͭ̏ͥͮ͟Oͮ͏̮̪̝͍M̲̖͊̒ͪͩͬ̚̚͜Ȇ̴̟̟͙̞ͩ͌͝S̨̥̫͎̭ͯ̿̔̀ͅ <b>not bold</b> \u202Eoverride", at(0, 0, 5)),
    M(false, "هل وصلت؟ أنا في المحطة الآن.", at(0, 0, 7)),
    M(true, "Nearly. Two more stops, then ten minutes on foot.", at(0, 0, 9), { state: "delivered" }),
    M(true, "Shall I bring the bread?", at(0, 0, 9), { state: "sent" }),
    M(true, "This one was refused.", at(0, 0, 10), {
      state: "refused",
      refusal: { code: "blocked", message: "This person does not take messages from you." },
    }),
    M(true, "And the lamps", at(0, 0, 10), { state: "waiting", deliveredTime: null }),
  ];
}

const me = new Value<Me>({
  uid: "meAbC",
  username: "ada",
  displayName: "Ada Brandt",
  email: "ada@example.org",
  admin: params.has("admin"),
  createdAt: Date.now() - 4e9,
});
const blocked = new Value<readonly Person[] | null>([]);
const connection = new Value<import("../../model").ConnectionStatus>(
  params.has("offline")
    ? { state: "offline", since: Date.now() - 6000, nextTryAt: Date.now() + 9000 }
    : { state: "online" },
);

const histories = new Map<string, Message[]>();
const drafts = new Map<string, Value<Draft>>();
function historyOf(uid: string, index: number): Message[] {
  let h = histories.get(uid);
  if (!h) {
    h =
      index === 0
        ? showcase()
        : index === 1
          ? history(num("messages", 5000), 12)
          : index === 6
            ? []
            : history(30, index % 4 === 2 ? index : 0);
    histories.set(uid, h);
  }
  return h;
}
const list = new Value<ConversationList>({ items: [], loading: true, more: false, problem: null });
function summaries(): ConversationSummary[] {
  if (params.has("empty")) return [];
  return people.slice(0, Math.min(people.length, num("chats", 14))).map((person, i) => {
    const last = historyOf(person.uid, i).at(-1);
    return {
      id: `me~${person.uid}`,
      person,
      unread: i === 1 ? 12 : i % 4 === 2 ? i : 0,
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

const opened = new Map<string, { timeline: Value<Timeline>; typing: Value<boolean>; unread: Value<number> }>();
const PAGE = 50;

function conversation(uid: string): Conversation {
  const index = people.findIndex((p) => p.uid === uid);
  const all = historyOf(uid, index);
  const unreadAtOpen = list.get().items.find((c) => c.person.uid === uid)?.unread ?? 0;
  const preload = params.has("all") ? all.length : PAGE;
  const timeline = new Value<Timeline>({
    items: all.slice(-preload),
    loading: false,
    loadingOlder: false,
    complete: all.length <= preload,
    problem: null,
    firstUnread: unreadAtOpen > 0 ? (all[all.length - unreadAtOpen]?.id ?? null) : null,
  });
  const typing = new Value(index === 3);
  const unread = new Value(unreadAtOpen);
  const draft =
    drafts.get(uid) ?? new Value<Draft>({ text: index === 4 ? "I wanted to ask whether" : "", replyTo: null });
  drafts.set(uid, draft);
  opened.set(uid, { timeline, typing, unread });
  const patch = (change: Partial<Timeline>): void => timeline.update((t) => ({ ...t, ...change }));
  const set = (mid: string, change: Partial<Message>): void => {
    const i = all.findIndex((m) => m.id === mid);
    if (i >= 0) all[i] = { ...all[i]!, ...change };
    patch({ items: timeline.get().items.map((m) => (m.id === mid ? { ...m, ...change } : m)) });
  };
  const add = (m: Message): void => {
    all.push(m);
    patch({ items: [...timeline.get().items, m] });
    refresh();
  };
  return {
    id: `me~${uid}`,
    person: new Value(people[index] ?? { uid, username: "", displayName: "" }),
    timeline,
    typing,
    unread,
    draft,
    async loadOlder() {
      if (timeline.get().loadingOlder || timeline.get().complete) return;
      patch({ loadingOlder: true });
      await wait(num("latency", 350));
      const have = timeline.get().items.length;
      patch({ items: all.slice(-(have + PAGE)), loadingOlder: false, complete: have + PAGE >= all.length });
    },
    async reveal(mid) {
      await wait(200);
      const at = all.findIndex((m) => m.id === mid);
      if (at < 0) return false;
      patch({ items: all.slice(Math.min(at, all.length - timeline.get().items.length)) });
      return true;
    },
    async send(body, replyTo) {
      draft.set({ text: "", replyTo: null });
      const quoted = all.find((m) => m.id === replyTo);
      const m = M(true, body, Date.now(), {
        state: "waiting",
        deliveredTime: null,
        quote: quoted ? { id: quoted.id, mine: quoted.mine, body: quoted.body } : null,
      });
      add(m);
      if (connection.get().state === "online")
        void (async () => {
          await wait(250);
          set(m.id, { state: "sent" });
          await wait(500);
          set(m.id, { state: "delivered", deliveredTime: Date.now() });
          if (params.has("quiet")) return;
          await wait(900);
          typing.set(true);
          set(m.id, { state: "read" });
          await wait(2500);
          typing.set(false);
          add(M(false, says[serial % says.length] ?? "", Date.now()));
        })();
      return ok(m.id);
    },
    async retry(mid) {
      set(mid, { state: "waiting", refusal: null });
      return ok(mid);
    },
    async remove(mid) {
      const i = all.findIndex((m) => m.id === mid);
      if (i >= 0) all.splice(i, 1);
      patch({ items: timeline.get().items.filter((m) => m.id !== mid) });
    },
    setDraft(text, replyTo) {
      const q = all.find((m) => m.id === replyTo);
      draft.set({ text, replyTo: q ? { id: q.id, mine: q.mine, body: q.body } : null });
    },
    noteTyping() {},
    markRead(mid) {
      const i = all.findIndex((m) => m.id === mid);
      unread.set(Math.min(unread.get(), all.slice(i + 1).filter((m) => !m.mine).length));
      list.update((l) => ({
        ...l,
        items: l.items.map((c) => (c.person.uid === uid ? { ...c, unread: unread.get() } : c)),
      }));
    },
    close() {
      opened.delete(uid);
    },
  };
}
function refresh(): void {
  list.set({ items: summaries(), loading: false, more: false, problem: null });
}

const presences = people.map(
  (_, i) =>
    new Value<Presence>(
      i % 3 === 0 ? { online: true, lastSeen: null } : { online: false, lastSeen: Date.now() - i * 7_000_000 },
    ),
);
const DAY = 86_400_000;
const adminUsers = Array.from({ length: num("admins", 60) }, (_, i) => {
  const base = names[i % names.length] ?? ["x", "X"];
  return {
    uid: `uid${i}aBcDeF`,
    username: base[0] + (i >= names.length ? i : ""),
    display_name: i === 5 ? "<b>bold</b> & co" : base[1],
    email: `${base[0]}${i}@example.org`,
    admin: i === 0 || i === 7,
    disabled: i === 3,
    deleting: i === 9,
    created_at: (Date.now() - i * DAY) * 1000,
    last_active_at: i % 5 === 4 ? 0 : (Date.now() - i * 7_000_000) * 1000,
  };
});
const letters = Array.from({ length: num("letters", 3) }, (_, i) => ({
  id: `letter-${i}`,
  at: (Date.now() - i * 5_000_000) * 1000,
  reason: ['entry 2: field "at" is missing', "not JSON", "message id is not a UUIDv7"][i % 3],
  data: i === 1 ? "garbage" : JSON.stringify({ v: 1, delivered: [{ id: "x", body: "hello" }] }),
  encoding: "text",
}));
const adminCalls: import("../../model").AdminCalls = {
  async call(method, path, body) {
    await wait(num("latency", 200));
    const url = new URL(path, "http://x");
    const uid = url.pathname.split("/")[2];
    const user = adminUsers.find((u) => u.uid === uid);
    if (method === "GET" && url.pathname === "/users") {
      const q = (url.searchParams.get("q") ?? "").toLowerCase();
      const at = Number(url.searchParams.get("cursor") ?? 0);
      const hits = adminUsers.filter((u) => JSON.stringify(u).toLowerCase().includes(q));
      return ok({ users: hits.slice(at, at + 25), next: at + 25 < hits.length ? String(at + 25) : "" });
    }
    if (method === "PATCH" && user) {
      if (body?.["admin"] === false && user.uid === "uid0aBcDeF")
        return no("last_admin", "This is the last admin. Make another person admin first.");
      return ok(Object.assign(user, body));
    }
    if (method === "POST" && url.pathname === "/users")
      return no("invalid_fields", "See the fields.", {
        username: "This username is taken.",
        password: "A password has at least 8 characters.",
      });
    if (url.pathname.endsWith("/conversations"))
      return ok({
        conversations: people
          .slice(0, 6)
          .map((p, i) => ({
            id: `c${i}`,
            with: { uid: p.uid, username: p.username, display_name: p.displayName, created_at: 0 },
            last_at: (Date.now() - i * DAY) * 1000,
          })),
        next: "",
      });
    if (url.pathname === "/messages")
      return ok({
        messages: history(40, 0).map((m) => ({
          id: m.id,
          from: m.mine ? "uid0aBcDeF" : "uid1aBcDeF",
          to: "x",
          body: m.body,
          at: m.time * 1000,
          accepted_at: m.time * 1000,
          delivered_at: m.time * 1000,
        })),
        next: "",
      });
    if (url.pathname === "/figures")
      return ok({
        at: Date.now() * 1000,
        people: 1234,
        active_today: 87,
        dead_letters: letters.length,
        messages_per_day: Array.from({ length: 30 }, (_, i) => ({
          day: new Date(Date.now() - (29 - i) * DAY).toISOString().slice(0, 10),
          count: Math.round(400 + 300 * Math.sin(i / 3) + i * 9),
        })),
        realtime: params.has("norealtime")
          ? null
          : {
              sockets: { "realtime-00012-abc/7f3": 812, "realtime-00012-abc/9d1": 634 },
              queued: 42,
              oldest_age_ms: 93_000_000,
              complete: true,
            },
      });
    if (url.pathname === "/dead-letters" && method === "GET")
      return ok({ dead_letters: letters, next: "", complete: !params.has("incomplete") });
    if (url.pathname === "/dead-letters/replay") return ok({ replayed: 3, left: 0 });
    if (url.pathname === "/audit")
      return ok({
        entries: Array.from({ length: 30 }, (_, i) => ({
          id: `a${i}`,
          at: (Date.now() - i * 3_000_000) * 1000,
          by: "meAbC",
          by_name: "ada",
          action: ["disable", "read_messages", "rename", "export_people", "odd_new_action"][i % 5],
          on: "uid3",
          on_name: ["tomasz", "mira.kern, jonas", "ben", "", "x"][i % 5],
          reason: ["Sends advertising to strangers, told twice", "Complaint of 12 Nov about threats", "", "", ""][
            i % 5
          ],
          outcome: i === 2 ? "failed: username_taken" : "",
        })),
        next: "",
      });
    return ok(undefined);
  },
  async download() {
    await wait(300);
    return ok(new Blob(["a,b\n"]));
  },
};
const session = new Value<Session>({ state: "starting" });

const chat: Chat = {
  uid: "meAbC",
  me,
  connection,
  storage: new Value("durable"),
  clockOffset: new Value(num("skew", 0)),
  bodyLimit: new Value(num("body", 8000)),
  conversations: list,
  unreadTotal: derived(list, (l) => l.items.reduce((n, c) => n + c.unread, 0)),
  waitingTotal: new Value(num("unsent", 0)),
  admin: new Value(params.has("admin") ? adminCalls : null),
  tryNow() {
    connection.set({ state: "offline", since: Date.now() - 9000, nextTryAt: null });
    setTimeout(() => connection.set({ state: "online" }), 900);
  },
  moreConversations() {},
  directory() {
    const found = new Value<PeopleList>({ items: [], loading: true, more: false, problem: null });
    let shown = 0;
    let hits: Person[] = [];
    const show = (): void =>
      found.set({ items: hits.slice(0, shown), loading: false, more: shown < hits.length, problem: null });
    return {
      people: found,
      search(q) {
        setTimeout(
          () => {
            hits = people.filter((p) => (p.displayName + " " + p.username).toLowerCase().includes(q.toLowerCase()));
            shown = 30;
            show();
          },
          num("latency", 200),
        );
      },
      more() {
        setTimeout(() => {
          shown += 30;
          show();
        }, 300);
      },
      retry() {},
      close() {},
    };
  },
  person: (uid) => new Value(people.find((p) => p.uid === uid) ?? { uid, username: "", displayName: "" }),
  async personByUsername(u) {
    await wait(200);
    const p = people.find((x) => x.username === u);
    return p ? ok(p) : no("not_found", "There is nobody of this name.");
  },
  presence: (uid) =>
    presences[people.findIndex((p) => p.uid === uid)] ?? new Value<Presence>({ online: null, lastSeen: null }),
  conversation,
  blocked,
  async block(uid) {
    const p = people.find((x) => x.uid === uid);
    if (p) blocked.update((b) => [...(b ?? []), p]);
    return ok(undefined);
  },
  async unblock(uid) {
    blocked.update((b) => (b ?? []).filter((p) => p.uid !== uid));
    return ok(undefined);
  },
  async updateProfile(c) {
    await wait(300);
    if (c.displayName?.includes("x")) return no("invalid_fields", "Check the name.", { display_name: "No x please." });
    me.update((m) => ({ ...m, ...c }));
    return ok(undefined);
  },
  async exportData() {
    await wait(600);
    return ok(new Blob(["{}"], { type: "application/json" }));
  },
  async signOut(o) {
    if (num("unsent", 0) > 0 && !o?.evenIfUnsent) return no("unsent", "Something has not been sent.");
    session.set({ state: "signed-out", reason: "none" });
    return ok(undefined);
  },
  async leave(p) {
    await wait(400);
    if (p !== "right") return no("invalid_fields", "Wrong.", { password: "This is not your password." });
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
      async signUp(f) {
        await wait(400);
        if (f.username === "taken") return no("invalid_fields", "x", { username: "This username is taken." });
        session.set({ state: "signed-in", chat });
        return ok(undefined);
      },
      async signIn(_e, p) {
        await wait(400);
        if (p === "wrong") return no("wrong_credentials", "Wrong e-mail or password. Check both and try again.");
        session.set({ state: "signed-in", chat });
        return ok(undefined);
      },
      async resetPassword() {
        await wait(300);
        return ok(undefined);
      },
      async confirmReset(c) {
        await wait(300);
        return c === "old"
          ? no("code_ended", "This link has been used or is too old. Ask for a new one.")
          : ok({ email: "ada@example.org" });
      },
    },
    attention: {
      permission: new Value("unasked"),
      offer: new Value(params.has("offer")),
      async ask() {
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
      await wait(num("start", 60));
      if (params.get("as") === "signed-out")
        session.set({ state: "signed-out", reason: (params.get("reason") as "none") ?? "none" });
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
        setTimeout(refresh, num("latency", 20));
      }
    },
  };
  // For tests of the view: what a server would do.
  Object.assign(globalThis, {
    fake: {
      say(uid: string, body: string) {
        const o = opened.get(uid);
        const h = historyOf(
          uid,
          people.findIndex((p) => p.uid === uid),
        );
        const m = M(false, body, Date.now());
        h.push(m);
        o?.timeline.update((t) => ({ ...t, items: [...t.items, m] }));
        o?.unread.update((n) => n + 1);
      },
      people,
      connection,
      list,
      answer(uid: string, index: number) {
        const o = opened.get(uid);
        const h = historyOf(
          uid,
          people.findIndex((p) => p.uid === uid),
        );
        const q = h[index]!;
        const m = M(false, "an answer to something old", Date.now(), {
          quote: { id: q.id, mine: q.mine, body: q.body },
        });
        h.push(m);
        o?.timeline.update((t) => ({ ...t, items: [...t.items, m] }));
        return q.id;
      },
    },
  });
  return app;
}
