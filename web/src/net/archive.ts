/** `GET /conversations`, `/messages` and `/users`, with checked answers. */
import { readSavedMessage } from "../protocol/codec";
import { Fields, readEach } from "../protocol/fields";
import type { Micros, SavedMessage } from "../protocol/chat";
import type { HttpApi } from "./http";

/** The public record of a user. Names are empty for a deleted user. */
export interface PublicUser {
  readonly uid: string;
  readonly username: string;
  readonly displayName: string;
  readonly deleted: boolean;
  readonly admin: boolean;
}

export interface ListedConversation {
  readonly id: string;
  readonly user: PublicUser | null;
  readonly lastAt: Micros;
  readonly preview: { readonly id: string; readonly from: string; readonly text: string; readonly at: Micros } | null;
  readonly unread: number;
  /** uid → everything up to this was seen. */
  readonly read: Readonly<Record<string, Micros>>;
}

/** A page of a list. `next` is null on the last one. */
export interface ListPage<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

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

  /** Newest first. */
  conversations(cursor: string | null): Promise<ListPage<ListedConversation>> {
    return this.http.read({ method: "GET", path: "conversations", query: { cursor } }, (answer) =>
      this.page(answer, "conversations", readListed),
    );
  }

  /** Newest last. */
  async messages(
    conversation: string,
    before: Before | null,
    limit: number,
  ): Promise<{ messages: readonly SavedMessage[]; more: boolean }> {
    const place = before === null ? null : before.key === "" ? String(before.at) : `${before.at},${before.key}`;
    const page = await this.http.read(
      { method: "GET", path: "messages", query: { conversation, before: place, limit } },
      (answer) => this.page(answer, "messages", readSavedMessage),
    );
    return { messages: page.items, more: page.next !== null };
  }

  /** The saved message with a key, or nothing. */
  async message(conversation: string, key: string): Promise<readonly SavedMessage[]> {
    const page = await this.http.read({ method: "GET", path: "messages", query: { conversation, key } }, (answer) =>
      this.page(answer, "messages", readSavedMessage),
    );
    return page.items;
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

  private page<T>(answer: unknown, name: string, read: (entry: unknown) => T): ListPage<T> {
    const f = new Fields(name, answer);
    const items = readEach(f.optionalList(name), read, (why) =>
      this.dropped(`a malformed entry of ${name} was skipped`, why.message),
    );
    return { items, next: f.optionalText("next") || null };
  }
}

function readUser(value: unknown): PublicUser {
  const f = new Fields("user", value);
  return {
    uid: f.text("uid"),
    username: f.optionalText("username"),
    displayName: f.optionalText("display_name"),
    deleted: f.optionalBool("deleted"),
    admin: f.optionalBool("admin"),
  };
}

function readListed(value: unknown): ListedConversation {
  const f = new Fields("conversation", value);
  const read: Record<string, Micros> = {};
  if (f.has("read")) {
    for (const [uid, at] of f.object("read").entries())
      if (typeof at === "number" && Number.isSafeInteger(at) && at > 0) read[uid] = at;
  }
  const preview = f.has("preview") ? f.object("preview") : null;
  return {
    id: f.text("id"),
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
  };
}
