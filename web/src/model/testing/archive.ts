/** A fake of the HTTP functions over a list of saved messages. It answers as functions/api does. */
import { messageKey, otherMember, type SavedMessage } from "../../protocol/chat";
import { type Change, changedBody, type Changes, changesOf, mergeChanges } from "../../protocol/changes";
import type { Setting } from "../../protocol/frames";
import { messagePath } from "../store/rows";
import type { HttpAnswer, HttpRequest } from "../../platform/platform";

export class FakeArchive {
  readonly saved = new Map<string, SavedMessage>();
  /** The changes of messages, also of those that are not saved yet, with the time of the last one in µs. */
  private readonly changed = new Map<string, { readonly changes: Changes; readonly at: number }>();
  readonly marks: Record<string, Record<string, number>> = {};
  /** uid → whether the address is verified. Nothing is said about others, as by an earlier server. */
  readonly unverified = new Map<string, "unverified" | "verified">();
  readonly directory = new Map<
    string,
    { uid: string; username: string; display_name: string; admin?: boolean; picture?: string }
  >();
  private readonly blocked: Record<string, readonly string[]> = {};
  down = false;
  /** The settings of each user, in no particular order. */
  private readonly settings: Record<string, readonly Setting[]> = {};
  /** Sends a setting to the devices of a user. */
  onSetting: (uid: string, setting: Setting) => void = () => undefined;
  /** Requests that ended sign-ins: the user, the path and the token. */
  readonly signOuts: { uid: string; path: string; token: string }[] = [];
  /** Answers a request before anything else does. Returns null for the usual answer. */
  before: (uid: string, request: HttpRequest, path: string) => HttpAnswer | null = () => null;
  /** In /config.json. Null: as before there were any. */
  origins: readonly string[] | null = null;
  requests = 0;
  /** Conversations on a page of the list. */
  listPage = Number.POSITIVE_INFINITY;
  /** Whether people are strangers until they write or accept. Otherwise, everybody counts as having answered. */
  strangers = false;
  /** The conversations in which a user has written, by `<conversation> <uid>`. */
  private readonly wrote = new Set<string>();

  /** Saves messages. Returns the saved ones that it kept although their key came again with other content. */
  save(messages: readonly SavedMessage[]): SavedMessage[] {
    const kept: SavedMessage[] = [];
    for (const m of messages) {
      const path = messagePath(m.conversation, messageKey(m));
      const known = this.saved.get(path);
      if (!known) this.saved.set(path, m);
      else if (known.body !== m.body || known.at !== m.at || known.reply_to !== m.reply_to) kept.push(known);
    }
    return kept;
  }

  /** A user has written, or has changed a message. */
  noteWriter(conversation: string, uid: string): void {
    this.wrote.add(`${conversation} ${uid}`);
  }

  /** Whether a user has written in a conversation, or has accepted the request there. */
  answered(conversation: string, uid: string): boolean {
    const accepted = (this.settings[uid] ?? []).some((s) => s.kind === "accept" && s.conversation === conversation);
    const saved = [...this.saved.values()].some((m) => m.conversation === conversation && m.from === uid);
    return !this.strangers || accepted || saved || this.wrote.has(`${conversation} ${uid}`);
  }

  /** Saves a change at a time of the server. */
  change(change: Change, at: number): void {
    const path = messagePath(change.conversation, messageKey(change.of));
    const changes = mergeChanges(this.changed.get(path)?.changes ?? {}, changesOf(change));
    this.changed.set(path, { changes, at });
  }

  /** Returns a message as history shows it. */
  shown(message: SavedMessage): Omit<SavedMessage, "changes"> & { readonly changes?: unknown } {
    const changes = this.changed.get(messagePath(message.conversation, messageKey(message)))?.changes;
    return changes ? { ...message, body: changedBody(changes, message.body), changes } : message;
  }

  private changes(uid: string, since: number): unknown {
    const messages = [...this.changed]
      .filter(([path, { at }]) => at >= since && otherMember(path.split("/")[0] ?? "", uid) !== null)
      .flatMap(([path]) => this.saved.get(path) ?? [])
      .map((message) => this.shown(message));
    return { messages, next: "", now: since, reload: false };
  }

  read(conversation: string, uid: string, at: number): void {
    const marks = (this.marks[conversation] ??= {});
    marks[uid] = Math.max(marks[uid] ?? 0, at);
  }

  /** Answers a request of `uid`. */
  async answer(uid: string, request: HttpRequest): Promise<HttpAnswer> {
    this.requests++;
    if (this.down) return json(503, { code: "unavailable", detail: "Later.", retry_after_ms: 2000 });
    const url = new URL(request.url);
    const q = url.searchParams;
    const special = this.before(uid, request, url.pathname);
    if (special) return special;
    switch (url.pathname) {
      case "/api/conversations":
        return json(200, this.conversations(uid, q));
      case "/api/messages":
        return this.messages(uid, q.get("conversation") ?? "", q.get("before") ?? "", Number(q.get("limit") ?? "50"));
      case "/api/messages/changes":
        return json(200, this.changes(uid, Number(q.get("since"))));
      case "/api/messages/batch":
        return this.batch(uid, q);
      case "/api/users":
        return this.users(uid, q);
      case "/api/users/batch":
        return this.usersBatch(q.getAll("uid"));
      case "/api/me":
        return json(200, this.own(uid));
      case "/api/me/setting":
        return this.set(uid, JSON.parse(request.body ?? "") as Setting);
      case "/api/me/settings":
        return json(200, this.allSettings(uid));
      case "/config.json":
        return json(200, {
          api_base: "/api",
          realtime_url: "wss://chat.test/ws",
          firebase: { apiKey: "k", projectId: "p", authDomain: "a" },
          ...(this.origins === null ? {} : { origins: this.origins }),
        });
      case "/api/me/sign-in":
      case "/api/me/password":
        return json(204, undefined);
      case "/api/me/sign-out":
      case "/api/me/sign-out-others":
        this.signOuts.push({ uid, path: url.pathname, token: request.headers["authorization"] ?? "" });
        return json(204, undefined);
      default: {
        const blocked = /^\/api\/me\/blocked\/(.+)$/u.exec(url.pathname)?.[1];
        if (blocked !== undefined) {
          const list = (this.blocked[uid] ?? []).filter((other) => other !== blocked);
          this.blocked[uid] = request.method === "PUT" ? [...list, blocked] : list;
          return json(200, this.own(uid));
        }
        const user = this.directory.get(url.pathname.slice("/api/users/".length));
        return user ? json(200, user) : json(404, { code: "not_found", detail: "There is nothing here." });
      }
    }
  }

  /** Stores a setting, unless a later one counts, and returns the choice that counts. */
  private set(uid: string, { message = "", ...given }: Setting): HttpAnswer {
    if (given.kind === "accept" && given.value !== 1)
      return json(422, { code: "setting_invalid", detail: "This cannot be taken back." });
    if (given.kind === "accept" && !this.answered(given.conversation, otherMember(given.conversation, uid) ?? ""))
      return json(404, { code: "request_unknown", detail: "There is no request that you could accept." });
    const all = this.settings[uid] ?? [];
    const known = all.find(
      (s) => s.kind === given.kind && s.conversation === given.conversation && s.message === message,
    );
    const counts =
      known && (known.at > given.at || (known.at === given.at && known.id >= given.id)) ? known : { ...given, message };
    this.settings[uid] = [...all.filter((s) => s !== known), counts];
    this.onSetting(uid, counts);
    const { value, at, id } = counts;
    return json(200, { value, at, id });
  }

  private allSettings(uid: string): unknown {
    const stars = (this.settings[uid] ?? [])
      .filter(({ kind, value }) => kind === "star" && value === 1)
      .map(({ conversation, message, at, id }) => ({ conversation, message, at, id }));
    return { conversations: this.settingsOf(uid), stars };
  }

  /** Returns the settings of a user's conversations, by conversation and kind. */
  private settingsOf(uid: string): Record<string, Record<string, unknown>> {
    const found: Record<string, Record<string, unknown>> = {};
    for (const { conversation, kind, value, at, id } of this.settings[uid] ?? [])
      if (kind !== "star") (found[conversation] ??= {})[kind] = { value, at, id };
    return found;
  }

  private own(uid: string): unknown {
    return {
      ...this.profile(uid),
      email: `${uid}@example.org`,
      admin: this.directory.get(uid)?.admin === true,
      ...(this.unverified.has(uid) ? { email_verified: this.unverified.get(uid) === "verified" } : {}),
      blocked: this.blocked[uid] ?? [],
    };
  }

  private profile(uid: string): { uid: string; username: string; display_name: string } {
    return this.directory.get(uid) ?? { uid, username: uid.toLowerCase(), display_name: uid };
  }

  private users(uid: string, q: URLSearchParams): HttpAnswer {
    const name = q.get("username");
    const prefix = (q.get("q") ?? "").toLowerCase();
    const all = [...this.directory.values()]
      .filter((p) => (name === null ? p.uid !== uid && p.username.startsWith(prefix) : p.username === name))
      .sort((a, b) => (a.username < b.username ? -1 : 1));
    const from = Number(q.get("cursor") ?? "0");
    const limit = Number(q.get("limit") ?? "50");
    return json(200, {
      users: all.slice(from, from + limit),
      next: from + limit < all.length ? String(from + limit) : "",
    });
  }

  private of(conversation: string): SavedMessage[] {
    return [...this.saved.values()]
      .filter((m) => m.conversation === conversation)
      .sort((a, b) => a.at - b.at || (messageKey(a) < messageKey(b) ? -1 : 1));
  }

  private conversations(uid: string, q: URLSearchParams): unknown {
    const on = (this.settings[uid] ?? []).filter((s) => s.kind === "pin" && s.value === 1).map((s) => s.conversation);
    const only = q.get("pinned") === "true" ? on : q.has("id") ? q.getAll("id") : null;
    const ids = [...new Set([...this.saved.values()].map((m) => m.conversation))].filter(
      (c) => otherMember(c, uid) !== null && (only?.includes(c) ?? true),
    );
    const conversations = ids.map((id) => {
      const all = this.of(id);
      const newest = all[all.length - 1];
      const last = newest && this.shown(newest);
      const other = otherMember(id, uid) ?? "";
      const mark = this.marks[id]?.[uid] ?? 0;
      return {
        id,
        with: this.profile(other),
        last_at: last?.at ?? 0,
        preview: last ? { id: last.id, from: last.from, text: last.body.slice(0, 200), at: last.at } : null,
        unread: all.filter((m) => m.from === other && m.at > mark).length,
        read: this.readMarks(id, uid, other),
        settings: this.settingsOf(uid)[id] ?? {},
        answered: this.answered(id, uid),
      };
    });
    conversations.sort((a, b) => b.last_at - a.last_at);
    if (only) return { conversations, next: "" };
    const from = Number(q.get("cursor") ?? "0");
    const next = from + this.listPage;
    return {
      conversations: conversations.slice(from, next),
      next: next < conversations.length ? String(next) : "",
    };
  }

  /** Returns the read marks that a user sees: not that of somebody who has not answered. */
  private readMarks(conversation: string, uid: string, other: string): Record<string, number> {
    const { [uid]: own, [other]: theirs } = this.marks[conversation] ?? {};
    return {
      ...(own !== undefined && { [uid]: own }),
      ...(theirs !== undefined && this.answered(conversation, other) && { [other]: theirs }),
    };
  }

  private messages(uid: string, conversation: string, before: string, limit: number): HttpAnswer {
    if (otherMember(conversation, uid) === null) return forbidden();
    return json(200, this.page(conversation, before, limit));
  }

  private page(conversation: string, before: string, limit: number): { messages: unknown[]; next: string } {
    const [at = "", key = ""] = before.split(",");
    const older = this.of(conversation).filter(
      (m) => before === "" || m.at < Number(at) || (m.at === Number(at) && key !== "" && messageKey(m) < key),
    );
    const page = older.slice(Math.max(0, older.length - limit));
    const first = page[0];
    return {
      messages: page.map((m) => this.shown(m)),
      next: older.length > page.length && first ? `${first.at},${messageKey(first)}` : "",
    };
  }

  private batch(uid: string, q: URLSearchParams): HttpAnswer {
    const limit = Number(q.get("limit") ?? "50");
    const pages = q.getAll("page").map((page) => /^([^,]*),?(.*)$/.exec(page) ?? []);
    const keys = q.getAll("saved").flatMap((list) => {
      const [conversation = "", ...of] = list.split(",");
      return of.map((key) => ({ conversation, key }));
    });
    const all = [
      ...pages.map(([, conversation = ""]) => conversation),
      ...keys.map(({ conversation }) => conversation),
    ];
    if (all.some((conversation) => otherMember(conversation, uid) === null)) return forbidden();
    if (pages.length * limit + keys.length > 200 || all.length === 0)
      return json(422, { code: "invalid_fields", detail: "Ask for fewer messages at once." });
    return json(200, {
      pages: pages.map(([, conversation = "", before = ""]) => this.page(conversation, before, limit)),
      saved: keys
        .flatMap(({ conversation, key }) => this.saved.get(messagePath(conversation, key)) ?? [])
        .map((message) => this.shown(message)),
    });
  }

  private usersBatch(uids: readonly string[]): HttpAnswer {
    if (uids.length === 0 || uids.length > 50)
      return json(422, { code: "invalid_fields", detail: "Name 1 to 50 people." });
    return json(200, { users: uids.map((uid) => this.directory.get(uid) ?? { uid, deleted: true }) });
  }
}

function forbidden(): HttpAnswer {
  return json(403, { code: "forbidden", detail: "You may not do this." });
}

export function json(status: number, body: unknown): HttpAnswer {
  return { status, header: () => null, body: body === undefined ? "" : JSON.stringify(body) };
}
