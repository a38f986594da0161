import type { Outcome } from "./app";

/** A page of a list; `next` is null on the last one. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

export interface AdminUser {
  readonly uid: string;
  readonly username: string;
  readonly displayName: string;
  readonly email: string;
  readonly disabled: boolean;
  readonly admin: boolean;
  readonly createdAt: number | null;
  readonly lastSignInAt: number | null;
}

export type AdminUsers = Page<AdminUser>;

/** One figure, as the server names it. Names that the view does not know are shown as they are. */
export interface Figure {
  readonly name: string;
  readonly value: number;
}

export interface Figures {
  readonly at: number;
  readonly figures: readonly Figure[];
  /** Sockets on each realtime instance. */
  readonly instances: readonly { readonly id: string; readonly sockets: number }[];
}

/** Something that could not be saved and waits for an operator. */
export interface DeadLetter {
  readonly id: string;
  readonly at: number;
  readonly reason: string;
  /** What it holds, as text. */
  readonly data: string;
}

export interface AuditEntry {
  readonly id: string;
  readonly at: number;
  /** uid of the administrator. */
  readonly by: string;
  readonly action: string;
  /** uid of whom it concerned; empty where nobody. */
  readonly target: string;
  readonly detail: string;
}

/** What an administrator can do. Every action is written into the audit log by the server. */
export interface Admin {
  users(query: string, cursor: string | null): Promise<Outcome<AdminUsers>>;
  disable(uid: string): Promise<Outcome>;
  enable(uid: string): Promise<Outcome>;
  deleteUser(uid: string): Promise<Outcome>;
  signOutEverywhere(uid: string): Promise<Outcome>;
  figures(): Promise<Outcome<Figures>>;
  deadLetters(cursor: string | null): Promise<Outcome<Page<DeadLetter>>>;
  auditLog(cursor: string | null): Promise<Outcome<Page<AuditEntry>>>;
}
