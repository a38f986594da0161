import type { Outcome } from "./outcome";

/**
 * The raw calls that the admin panel is built on: the panel and what reads its
 * answers (model/admin) are loaded only by those who open it. Null for everybody else.
 */
export interface AdminCalls {
  /** Calls `/admin` + `path` of the API and gives the JSON answer as it came (undefined where there is none). Never rejects. */
  call(
    method: "GET" | "POST" | "PATCH" | "DELETE",
    path: string,
    body?: Readonly<Record<string, unknown>>,
  ): Promise<Outcome<unknown>>;
  /** Loads a file (CSV) below `/admin`. Never rejects. */
  download(path: string): Promise<Outcome<Blob>>;
}

/** A page of a list; `next` is null on the last one. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

export type PeopleOrder = "name" | "newest" | "active";

/** Somebody, as an operator sees them. Times are milliseconds since the epoch. */
export interface AdminUser {
  readonly uid: string;
  readonly username: string;
  readonly displayName: string;
  readonly email: string;
  readonly admin: boolean;
  readonly disabled: boolean;
  /** Is being deleted; an interrupted deletion can be repeated. */
  readonly deleting: boolean;
  readonly createdAt: number | null;
  /** To the hour; null: never. */
  readonly lastActiveAt: number | null;
}

export interface NewUser {
  readonly email: string;
  readonly password: string;
  readonly username: string;
  readonly displayName: string;
}

export interface UserChange {
  readonly username?: string;
  readonly displayName?: string;
  readonly admin?: boolean;
  readonly disabled?: boolean;
}

export interface AdminConversation {
  readonly id: string;
  readonly with: {
    readonly uid: string;
    readonly username: string;
    readonly displayName: string;
    readonly deleted: boolean;
  };
  readonly lastAt: number;
}

/** A saved message. */
export interface AdminMessage {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly body: string;
  readonly at: number;
  readonly acceptedAt: number;
  readonly deliveredAt: number | null;
  readonly replyTo: string | null;
}

export interface Figures {
  readonly at: number;
  readonly people: number;
  /** Since midnight UTC. */
  readonly activeToday: number;
  readonly deadLetters: number;
  /** Oldest day first, today last; days are UTC, "2026-11-22". */
  readonly messagesPerDay: readonly { readonly day: string; readonly count: number }[];
  /** Null while the realtime service does not answer. */
  readonly realtime: {
    readonly sockets: readonly { readonly instance: string; readonly count: number }[];
    readonly queued: number;
    readonly oldestAgeMs: number;
    /** False: only a part of the queues was counted. */
    readonly complete: boolean;
  } | null;
}

/** Something that could not be saved and waits for an operator. */
export interface DeadLetter {
  readonly id: string;
  readonly at: number;
  readonly reason: string;
  /** What it holds: text, or base64 where it is none. */
  readonly data: string;
  readonly encoding: "text" | "base64";
}

export interface AuditEntry {
  readonly id: string;
  readonly at: number;
  readonly by: string;
  readonly byName: string;
  /** "disable", "read_messages", …; unknown ones are shown as they are. */
  readonly action: string;
  readonly on: string;
  readonly onName: string;
  readonly reason: string;
  /** "" where it was done, else "failed: " and a code. */
  readonly outcome: string;
}

/** What an administrator can do. Every action is written into the audit log by the server before it is done. */
export interface Admin {
  users(search: { query: string; order: PeopleOrder; cursor: string | null }): Promise<Outcome<Page<AdminUser>>>;
  user(uid: string): Promise<Outcome<AdminUser>>;
  addUser(form: NewUser, reason: string): Promise<Outcome<AdminUser>>;
  changeUser(uid: string, change: UserChange, reason: string): Promise<Outcome<AdminUser>>;
  deleteUser(uid: string, reason: string): Promise<Outcome>;
  signOutEverywhere(uid: string, reason: string): Promise<Outcome>;
  sendPasswordReset(uid: string, reason: string): Promise<Outcome>;
  /** With whom somebody talks. `reason` must be given. */
  conversations(uid: string, reason: string, cursor: string | null): Promise<Outcome<Page<AdminConversation>>>;
  /** Saved messages, the newest page first, each page oldest first. `reason` must be given. */
  messages(conversation: string, reason: string, before: string | null): Promise<Outcome<Page<AdminMessage>>>;
  figures(): Promise<Outcome<Figures>>;
  /** Oldest first. `complete` false: some lie elsewhere and could not be collected just now. */
  deadLetters(cursor: string | null): Promise<Outcome<Page<DeadLetter> & { readonly complete: boolean }>>;
  replay(id: string, reason: string): Promise<Outcome>;
  replayAll(reason: string): Promise<Outcome<{ readonly replayed: number; readonly left: number }>>;
  /** `reason` must be given. */
  discard(id: string, reason: string): Promise<Outcome>;
  /** Newest first. */
  auditLog(cursor: string | null): Promise<Outcome<Page<AuditEntry>>>;
  exportPeople(): Promise<Outcome<Blob>>;
  exportAudit(): Promise<Outcome<Blob>>;
}
