/**
 * The admin panel's side of the API: typed calls over {@link AdminCalls} that check the answers. This module is loaded
 * together with the panel.
 */
import { Fields, Malformed } from "../../protocol/fields";
import type {
  Admin,
  AdminCalls,
  AdminConversation,
  AdminMessage,
  AdminUser,
  AuditEntry,
  DeadLetter,
  Figures,
  Page,
} from "../interface/admin";
import type { Outcome } from "../interface/outcome";
import { readListedReport, readReport } from "./reports";

const unreadable: Outcome<never> = {
  ok: false,
  problem: { code: "malformed", message: "", fields: {}, retryAfterMs: null },
};

export function adminOf(calls: AdminCalls): Admin {
  async function get<T>(outcome: Promise<Outcome<unknown>>, read: (answer: Fields) => T): Promise<Outcome<T>> {
    const got = await outcome;
    if (!got.ok) return got;
    try {
      return { ok: true, value: read(new Fields("answer", got.value)) };
    } catch (err) {
      if (err instanceof Malformed) return unreadable;
      throw err;
    }
  }
  async function act(outcome: Promise<Outcome<unknown>>): Promise<Outcome> {
    const got = await outcome;
    return got.ok ? { ok: true, value: undefined } : got;
  }
  const user = (uid: string): string => `/users/${encodeURIComponent(uid)}`;
  const deadLetter = (id: string): string => `/dead-letters/${encodeURIComponent(id)}`;

  return {
    users: ({ query, order, cursor }) =>
      get(calls.call("GET", `/users${params({ q: query, order, cursor: cursor ?? "" })}`), page("users", readUser)),
    user: (uid) => get(calls.call("GET", user(uid)), readUser),
    addUser: (form, reason) =>
      get(
        calls.call("POST", "/users", {
          email: form.email,
          password: form.password,
          username: form.username,
          display_name: form.displayName,
          reason,
        }),
        readUser,
      ),
    changeUser: (uid, change, reason) =>
      get(
        calls.call("PATCH", user(uid), {
          ...(change.username === undefined ? {} : { username: change.username }),
          ...(change.displayName === undefined ? {} : { display_name: change.displayName }),
          ...(change.picture === undefined ? {} : { picture: change.picture }),
          ...(change.admin === undefined ? {} : { admin: change.admin }),
          ...(change.disabled === undefined ? {} : { disabled: change.disabled }),
          reason,
        }),
        readUser,
      ),
    deleteUser: (uid, reason) => act(calls.call("DELETE", user(uid), { reason })),
    signOutEverywhere: (uid, reason) => act(calls.call("POST", `${user(uid)}/sign-out`, { reason })),
    sendPasswordReset: (uid, reason) => act(calls.call("POST", `${user(uid)}/password-reset`, { reason })),
    conversations: (uid, reason, cursor) =>
      get(
        calls.call("POST", `${user(uid)}/conversations`, { reason, cursor: cursor ?? "" }),
        page("conversations", readConversation),
      ),
    messages: (conversation, reason, before) =>
      get(
        calls.call("POST", "/messages", { conversation, reason, before: before ?? "" }),
        page("messages", readMessage),
      ),
    figures: () => get(calls.call("GET", "/figures"), readFigures),
    deadLetters: (cursor) =>
      get(calls.call("GET", `/dead-letters${params({ cursor: cursor ?? "" })}`), (answer) => ({
        ...page("dead_letters", readDeadLetter)(answer),
        complete: answer.bool("complete"),
      })),
    replay: (id, reason) => act(calls.call("POST", `${deadLetter(id)}/replay`, { reason })),
    replayAll: (reason) =>
      get(calls.call("POST", "/dead-letters/replay", { reason }), (answer) => ({
        replayed: answer.integer("replayed"),
        left: answer.integer("left"),
      })),
    discard: (id, reason) => act(calls.call("POST", `${deadLetter(id)}/discard`, { reason })),
    reports: (state, cursor) =>
      get(calls.call("GET", `/reports${params({ state, cursor: cursor ?? "" })}`), page("reports", readListedReport)),
    report: (id) => get(calls.call("GET", `/reports/${encodeURIComponent(id)}`), readReport),
    actOnReport: (id, { action, days = 0 }, reason) =>
      act(calls.call("POST", `/reports/${encodeURIComponent(id)}/act`, { action, days, reason })),
    auditLog: (cursor) =>
      get(calls.call("GET", `/audit${params({ cursor: cursor ?? "" })}`), page("entries", readAudit)),
    exportUsers: () => calls.download("/users.csv"),
    exportAudit: () => calls.download("/audit.csv"),
  };
}

/**
 * Returns calls that ask the user to confirm their identity when the server requires it, and are then repeated once.
 * `ask` resolves to whether the user did. Calls that fail meanwhile share one question. `onFactorRequired` is called when
 * the server refuses because the user has signed in without a second factor.
 */
export function withConfirmation(
  calls: AdminCalls,
  ask: () => Promise<boolean>,
  onFactorRequired: () => void,
): AdminCalls {
  let asking: Promise<boolean> | null = null;
  async function confirmed<T>(run: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
    const first = await run();
    if (!first.ok && first.problem.code === "second_factor_required") onFactorRequired();
    if (first.ok || first.problem.code !== "sign_in_again") return first;
    asking ??= ask().finally(() => {
      asking = null;
    });
    return (await asking) ? await run() : first;
  }
  return {
    confirm: (...proof) => calls.confirm(...proof),
    call: (method, path, body) => confirmed(() => calls.call(method, path, body)),
    download: (path) => confirmed(() => calls.download(path)),
  };
}

/** Returns a query string of the values that are not empty. */
function params(values: Readonly<Record<string, string>>): string {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "")).toString();
  return query === "" ? "" : `?${query}`;
}

function page<T>(name: string, read: (fields: Fields) => T): (answer: Fields) => Page<T> {
  return (answer) => ({
    items: answer.optionalList(name).map((entry) => read(new Fields(name, entry))),
    next: answer.optionalText("next") || null,
  });
}

/** The API uses microseconds, the views use milliseconds. */
const ms = (micros: number): number => Math.floor(micros / 1000);
const msOrNull = (micros: number | null): number | null => (micros === null ? null : ms(micros));

function readUser(f: Fields): AdminUser {
  return {
    uid: f.text("uid"),
    username: f.textOrEmpty("username"),
    displayName: f.textOrEmpty("display_name"),
    email: f.textOrEmpty("email"),
    emailVerified: f.optionalBool("email_verified"),
    admin: f.bool("admin"),
    picture: f.optionalText("picture"),
    disabled: f.bool("disabled"),
    deleting: f.optionalBool("deleting"),
    createdAt: msOrNull(f.optionalInteger("created_at")),
    lastActiveAt: msOrNull(f.optionalInteger("last_active_at")),
  };
}

function readConversation(f: Fields): AdminConversation {
  const other = f.object("with");
  return {
    id: f.text("id"),
    with: {
      uid: other.text("uid"),
      username: other.textOrEmpty("username"),
      displayName: other.textOrEmpty("display_name"),
      deleted: other.optionalBool("deleted"),
      picture: other.optionalText("picture"),
    },
    lastAt: ms(f.integer("last_at")),
  };
}

function readMessage(f: Fields): AdminMessage {
  return {
    id: f.text("id"),
    from: f.text("from"),
    to: f.text("to"),
    body: f.textOrEmpty("body"),
    at: ms(f.integer("at")),
    acceptedAt: ms(f.integer("accepted_at")),
    deliveredAt: msOrNull(f.optionalInteger("delivered_at")),
    replyTo: f.optionalText("reply_to") || null,
  };
}

function readFigures(f: Fields): Figures {
  const realtime = f.has("realtime") ? f.object("realtime") : null;
  return {
    at: ms(f.integer("at")),
    users: f.integer("people"),
    activeToday: f.integer("active_today"),
    deadLetters: f.integer("dead_letters"),
    messagesPerDay: f.optionalList("messages_per_day").map((entry) => {
      const day = new Fields("day", entry);
      return { day: day.text("day"), count: day.integer("count") };
    }),
    realtime: realtime && {
      sockets: realtime
        .object("sockets")
        .entries()
        .map(([instance, count]) => ({ instance, count: typeof count === "number" ? count : 0 }))
        .sort((a, b) => b.count - a.count || (a.instance < b.instance ? -1 : 1)),
      queued: realtime.integer("queued"),
      oldestAgeMs: realtime.integer("oldest_age_ms"),
      complete: realtime.bool("complete"),
    },
  };
}

function readDeadLetter(f: Fields): DeadLetter {
  return {
    id: f.text("id"),
    at: ms(f.integer("at")),
    reason: f.textOrEmpty("reason"),
    data: f.textOrEmpty("data"),
    encoding: f.textOrEmpty("encoding") === "base64" ? "base64" : "text",
  };
}

function readAudit(f: Fields): AuditEntry {
  return {
    id: f.text("id"),
    at: ms(f.integer("at")),
    by: f.textOrEmpty("by"),
    byName: f.textOrEmpty("by_name"),
    action: f.text("action"),
    on: f.textOrEmpty("on"),
    onName: f.textOrEmpty("on_name"),
    reason: f.textOrEmpty("reason"),
    outcome: f.textOrEmpty("outcome"),
  };
}
