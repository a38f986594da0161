import type { Outcome } from "./outcome";

/**
 * The raw calls that the admin panel is built on. The panel and the code that reads the answers (model/admin) are
 * loaded only for users who open it. Null for everybody else.
 */
export interface AdminCalls {
  /**
   * Calls `/admin` + `path` of the API and returns the JSON answer unchecked (undefined if there is none). Never
   * rejects.
   */
  call(
    method: "GET" | "POST" | "PATCH" | "DELETE",
    path: string,
    body?: Readonly<Record<string, unknown>>,
  ): Promise<Outcome<unknown>>;
  /**
   * Confirms the user's identity with the password, which is a new sign-in. Calls need one of the last 15 minutes; an
   * older one has the problem "sign_in_again". Problems: "wrong_password", and those of a `code` as in
   * {@link Chat.leave}. Never rejects.
   */
  confirm(password: string, code?: string): Promise<Outcome>;
  /** Loads a file (CSV) below `/admin`. Never rejects. */
  download(path: string): Promise<Outcome<Blob>>;
}

/** A page of a list. `next` is null on the last one. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

export type UserOrder = "name" | "newest" | "active";

/** A user as an operator sees them. Times are milliseconds since the epoch. */
export interface AdminUser {
  readonly uid: string;
  readonly username: string;
  readonly displayName: string;
  readonly email: string;
  /** Whether the user has proved that the address is theirs. Only such a user can become an admin. */
  readonly emailVerified: boolean;
  readonly admin: boolean;
  /** The version of the picture. Empty: none. */
  readonly picture: string;
  readonly disabled: boolean;
  /** The user is being deleted. An interrupted deletion can be repeated. */
  readonly deleting: boolean;
  readonly createdAt: number | null;
  /** Rounded to the hour. Null: never. */
  readonly lastActiveAt: number | null;
}

export interface NewUser {
  readonly email: string;
  readonly password: string;
  readonly username: string;
  readonly displayName: string;
}

export interface UserChange {
  /** Removes the picture. */
  readonly picture?: "";
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
    readonly picture: string;
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
  readonly users: number;
  /** Since midnight UTC. */
  readonly activeToday: number;
  readonly deadLetters: number;
  /** Oldest day first, today last. Days are UTC: "2026-11-22". */
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

/** A message that could not be saved and waits for an operator. */
export interface DeadLetter {
  readonly id: string;
  readonly at: number;
  readonly reason: string;
  /** The content as text, or as base64 if it is not text. */
  readonly data: string;
  readonly encoding: "text" | "base64";
}

export interface AuditEntry {
  readonly id: string;
  readonly at: number;
  readonly by: string;
  readonly byName: string;
  /** "disable", "read_messages", … The view shows unknown actions unchanged. */
  readonly action: string;
  readonly on: string;
  readonly onName: string;
  readonly reason: string;
  /** Empty on success, else "failed: " and a code. */
  readonly outcome: string;
}

export type ReportState = "open" | "dismissed" | "acted";

/** The names of a user in a report. Empty for a deleted user. */
export interface ReportedName {
  readonly uid: string;
  readonly username: string;
  readonly displayName: string;
}

export interface ListedReport {
  readonly id: string;
  readonly at: number;
  readonly about: ReportedName;
  /** "spam", … The view shows unknown reasons unchanged. */
  readonly reason: string;
  readonly state: ReportState;
  /** The number of copies of messages. */
  readonly messages: number;
}

/** A copy of a message by the reporter, who may have forged it. */
export interface ReportedMessage {
  readonly from: string;
  readonly id: string;
  readonly at: number;
  readonly body: string;
  /**
   * How it compares with the archive: "same", "differs", "edited" (only a later text is saved), "deleted", "missing", or
   * "unchecked" (the reporter has left).
   */
  readonly mark: string;
  /** The text in the archive if it is another one, else empty. */
  readonly archive: string;
}

export interface ReportDetail {
  readonly id: string;
  readonly at: number;
  readonly state: ReportState;
  readonly reason: string;
  readonly comment: string;
  /** Null: has left. */
  readonly reporter: ReportedName | null;
  readonly about: ReportedName;
  readonly disabled: boolean;
  /** Until then, the person may not write to new people. Null: they may. */
  readonly limitedUntil: number | null;
  /** When the person was warned. Null: never, or they have confirmed it. */
  readonly warnedAt: number | null;
  readonly messages: readonly ReportedMessage[];
  readonly actions: readonly { at: number; byName: string; action: string; days: number }[];
  /** The newest other reports about the person. */
  readonly others: readonly ListedReport[];
  readonly moreOthers: boolean;
}

/** `days` of a limit: 1 to 90, or 0 to lift it. */
export interface ReportAct {
  readonly action: "dismiss" | "warn" | "limit" | "disable";
  readonly days?: number;
}

/** The actions of an administrator. The server writes each one to the audit log before it runs. */
export interface Admin {
  users(search: { query: string; order: UserOrder; cursor: string | null }): Promise<Outcome<Page<AdminUser>>>;
  user(uid: string): Promise<Outcome<AdminUser>>;
  addUser(form: NewUser, reason: string): Promise<Outcome<AdminUser>>;
  changeUser(uid: string, change: UserChange, reason: string): Promise<Outcome<AdminUser>>;
  /** `reason` is required. */
  deleteUser(uid: string, reason: string): Promise<Outcome>;
  signOutEverywhere(uid: string, reason: string): Promise<Outcome>;
  sendPasswordReset(uid: string, reason: string): Promise<Outcome>;
  /** The conversations of a user. `reason` is required. */
  conversations(uid: string, reason: string, cursor: string | null): Promise<Outcome<Page<AdminConversation>>>;
  /** Saved messages, the newest page first, each page oldest first. `reason` is required. */
  messages(conversation: string, reason: string, before: string | null): Promise<Outcome<Page<AdminMessage>>>;
  figures(): Promise<Outcome<Figures>>;
  /** Oldest first. `complete` false: other dead letters exist that could not be collected just now. */
  deadLetters(cursor: string | null): Promise<Outcome<Page<DeadLetter> & { readonly complete: boolean }>>;
  replay(id: string, reason: string): Promise<Outcome>;
  replayAll(reason: string): Promise<Outcome<{ readonly replayed: number; readonly left: number }>>;
  /** `reason` is required. */
  discard(id: string, reason: string): Promise<Outcome>;
  /** Newest first. */
  reports(state: ReportState, cursor: string | null): Promise<Outcome<Page<ListedReport>>>;
  report(id: string): Promise<Outcome<ReportDetail>>;
  /** `reason` is required. */
  actOnReport(id: string, act: ReportAct, reason: string): Promise<Outcome>;
  /** Newest first. */
  auditLog(cursor: string | null): Promise<Outcome<Page<AuditEntry>>>;
  exportUsers(): Promise<Outcome<Blob>>;
  exportAudit(): Promise<Outcome<Blob>>;
}
