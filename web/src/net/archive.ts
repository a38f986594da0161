/** `GET /conversations`, `/messages` and `/users`, with checked answers. */
import { readSavedMessage, readSettings } from "../protocol/codec";
import { Fields, Malformed, readEach } from "../protocol/fields";
import type { Micros, SavedMessage } from "../protocol/chat";
import type { Setting } from "../protocol/frames";
import type { HttpApi } from "./http";

/** The public record of a user. Names are empty for a deleted user. */
export interface PublicUser {
  readonly uid: string;
  readonly username: string;
  readonly displayName: string;
  readonly deleted: boolean;
  readonly admin: boolean;
  /** The version of the picture. Empty or missing: none. */
  readonly picture?: string;
}

export interface ListedConversation {
  readonly id: string;
  readonly user: PublicUser | null;
  readonly lastAt: Micros;
  readonly preview: { readonly id: string; readonly from: string; readonly text: string; readonly at: Micros } | null;
  readonly unread: number;
  /** uid → everything up to this was seen. */
  readonly read: Readonly<Record<string, Micros>>;
  readonly settings: readonly Setting[];
  /** The user has written in it, or has accepted the request of the other one. */
  readonly answered: boolean;
}

/** A page of a list. `next` is null on the last one. */
export interface ListPage<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

/** A page of history. `more`: there are older messages. */
export interface HistoryPart {
  readonly messages: readonly SavedMessage[];
  readonly more: boolean;
}

/** The place of a page of history: the end of a conversation, or before a message. */
export interface PageRequest {
  readonly conversation: string;
  readonly before: Before | null;
}

/** The most messages that one call may ask for. */
export const BATCH_MESSAGES = 200;
/** The most users that one call may ask for. */
export const BATCH_USERS = 50;
/** Queries that are longer are split, since proxies limit the length of addresses. */
const MAX_QUERY = 6_000;

/** Before the message with this `at` and key. Without a key: before all messages with that `at`. */
export interface Before {
  readonly at: Micros;
  readonly key: string;
}

export class ArchiveApi {
  private readonly http: HttpApi;
  private readonly dropped: (what: string, why: unknown) => void;

  constructor(http: HttpApi, dropped: (what: string, why: unknown) => void) {
    this.http = http;
    this.dropped = dropped;
  }

  /**
   * Newest first. `only`: those that the user has pinned, or those of these ids (at most 20) that exist, in no particular
   * order.
   */
  conversations(
    cursor: string | null,
    only: { readonly pinned?: "true"; readonly id?: readonly string[] } = {},
  ): Promise<ListPage<ListedConversation>> {
    const query = { cursor, ...only };
    return this.http.read({ method: "GET", path: "conversations", query }, (answer) =>
      this.page(answer, "conversations", readListed),
    );
  }

  /** Newest last. */
  messages(conversation: string, before: Before | null, limit: number): Promise<HistoryPart> {
    return this.http.read(
      { method: "GET", path: "messages", query: { conversation, before: before && placeOf(before), limit } },
      (answer) => this.history(answer),
    );
  }

  /** Returns several pages, in this order. Their messages are at most BATCH_MESSAGES: `limit` for each. */
  pages(pages: readonly PageRequest[], limit: number): Promise<readonly HistoryPart[]> {
    const page = pages.map(({ conversation, before }) => conversation + (before ? `,${placeOf(before)}` : ""));
    return this.http.read({ method: "GET", path: "messages/batch", query: { page, limit } }, (answer) => {
      const found = new Fields("pages", answer).list("pages").map((part) => this.history(part));
      if (found.length !== pages.length) throw new Malformed(`${found.length} pages instead of ${pages.length}`);
      return found;
    });
  }

  /** Returns those of the messages with these keys that are saved, at most BATCH_MESSAGES. */
  async saved(keys: readonly { readonly conversation: string; readonly key: string }[]): Promise<SavedMessage[]> {
    const byConversation = new Map<string, string>();
    for (const { conversation, key } of keys)
      byConversation.set(conversation, `${byConversation.get(conversation) ?? conversation},${key}`);
    const found: SavedMessage[] = [];
    let saved: string[] = [];
    const ask = async (): Promise<void> => {
      const query = { saved };
      saved = [];
      const page = await this.http.read({ method: "GET", path: "messages/batch", query }, (answer) =>
        this.page(answer, "saved", readSavedMessage),
      );
      found.push(...page.items);
    };
    for (const list of byConversation.values()) {
      if (saved.length > 0 && saved.join().length + list.length > MAX_QUERY) await ask();
      saved.push(list);
    }
    if (saved.length > 0) await ask();
    return found;
  }

  /** Returns the messages of which a change was saved at `since` or later. `reload`: too many; none are listed. */
  changes(since: Micros, cursor: string | null): Promise<ListPage<SavedMessage> & { readonly reload: boolean }> {
    return this.http.read({ method: "GET", path: "messages/changes", query: { since, cursor } }, (answer) => ({
      ...this.page(answer, "messages", readSavedMessage),
      reload: new Fields("changes", answer).optionalBool("reload"),
    }));
  }

  /** All users but the caller, by name. */
  users(query: string, cursor: string | null, limit: number): Promise<ListPage<PublicUser>> {
    return this.http.read({ method: "GET", path: "users", query: { q: query, cursor, limit } }, (answer) =>
      this.page(answer, "users", readUser),
    );
  }

  async userByUsername(username: string): Promise<PublicUser | null> {
    const page = await this.http.read({ method: "GET", path: "users", query: { username } }, (answer) =>
      this.page(answer, "users", readUser),
    );
    return page.items[0] ?? null;
  }

  user(uid: string): Promise<PublicUser> {
    return this.http.read({ method: "GET", path: `users/${encodeURIComponent(uid)}` }, readUser);
  }

  /** Returns several users, at most BATCH_USERS. */
  async usersOf(uid: readonly string[]): Promise<readonly PublicUser[]> {
    const page = await this.http.read({ method: "GET", path: "users/batch", query: { uid } }, (answer) =>
      this.page(answer, "users", readUser),
    );
    return page.items;
  }

  private history(answer: unknown): HistoryPart {
    const page = this.page(answer, "messages", readSavedMessage);
    return { messages: page.items, more: page.next !== null };
  }

  private page<T>(answer: unknown, name: string, read: (entry: unknown) => T): ListPage<T> {
    const f = new Fields(name, answer);
    const items = readEach(f.optionalList(name), read, (why) =>
      this.dropped(`a malformed entry of ${name} was skipped`, why.message),
    );
    return { items, next: f.optionalText("next") || null };
  }
}

function placeOf({ at, key }: Before): string {
  return key === "" ? String(at) : `${at},${key}`;
}

function readUser(value: unknown): PublicUser {
  const f = new Fields("user", value);
  return {
    uid: f.text("uid"),
    username: f.optionalText("username"),
    displayName: f.optionalText("display_name"),
    deleted: f.optionalBool("deleted"),
    admin: f.optionalBool("admin"),
    picture: f.optionalText("picture"),
  };
}

function readListed(value: unknown): ListedConversation {
  const f = new Fields("conversation", value);
  const id = f.text("id");
  const read: Record<string, Micros> = {};
  if (f.has("read")) {
    for (const [uid, at] of f.object("read").entries())
      if (typeof at === "number" && Number.isSafeInteger(at) && at > 0) read[uid] = at;
  }
  const preview = f.has("preview") ? f.object("preview") : null;
  return {
    id,
    user: f.has("with") ? readUser(Object.fromEntries(f.object("with").entries())) : null,
    lastAt: f.integer("last_at"),
    preview:
      preview && preview.optionalText("id") !== ""
        ? {
            id: preview.text("id"),
            from: preview.text("from"),
            text: preview.textOrEmpty("text"),
            at: preview.integer("at", 1),
          }
        : null,
    unread: f.has("unread") ? f.integer("unread") : 0,
    read,
    settings: f.has("settings") ? readSettings(f.object("settings"), id) : [],
    // Earlier servers have no requests.
    answered: !f.has("answered") || f.bool("answered"),
  };
}
