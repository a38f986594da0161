/** The changes of a transaction. Every part and every tab that shows the data is notified of them. */

/** Something to send (the outbox, read marks, settings), or to load from history. */
export type Work = "send" | "read" | "setting" | "backfill";
const WORK: readonly Work[] = ["send", "read", "setting", "backfill"];

export interface Change {
  /** Conversation id → keys of messages that were added, changed or removed. */
  readonly messages: Readonly<Record<string, readonly string[]>>;
  readonly conversations: readonly string[];
  readonly users: readonly string[];
  readonly drafts: readonly string[];
  /** Conversations whose settings, or those of a message of theirs, have changed. */
  readonly settings: readonly string[];
  /** Names of meta rows. */
  readonly meta: readonly string[];
  /** The kinds of work of which there is some more. */
  readonly work: readonly Work[];
  /** Anything may have changed: read everything again. */
  readonly all: boolean;
  /** Another tab made the change. */
  readonly remote: boolean;
}

/** Collects a {@link Change} while a transaction runs. */
export class Changes {
  private readonly messages = new Map<string, Set<string>>();
  private readonly conversations = new Set<string>();
  private readonly users = new Set<string>();
  private readonly drafts = new Set<string>();
  private readonly settings = new Set<string>();
  private readonly meta = new Set<string>();
  private readonly work = new Set<Work>();

  message(conversation: string, key: string): void {
    let keys = this.messages.get(conversation);
    if (!keys) {
      keys = new Set();
      this.messages.set(conversation, keys);
    }
    keys.add(key);
    this.conversations.add(conversation);
  }

  conversation(id: string): void {
    this.conversations.add(id);
  }

  user(uid: string): void {
    this.users.add(uid);
  }

  draft(conversation: string): void {
    this.drafts.add(conversation);
    this.conversations.add(conversation);
  }

  setting(conversation: string): void {
    this.settings.add(conversation);
    this.conversations.add(conversation);
  }

  metaRow(name: string): void {
    this.meta.add(name);
  }

  toDo(work: Work): void {
    this.work.add(work);
  }

  /** Returns null if nothing changed. */
  done(): Change | null {
    const all = [this.work, this.messages, this.conversations, this.users, this.drafts, this.settings, this.meta];
    if (all.every((s) => s.size === 0)) return null;
    return {
      messages: Object.fromEntries([...this.messages].map(([c, keys]) => [c, [...keys]])),
      conversations: [...this.conversations],
      users: [...this.users],
      drafts: [...this.drafts],
      settings: [...this.settings],
      meta: [...this.meta],
      work: [...this.work],
      all: false,
      remote: false,
    };
  }
}

export const EVERYTHING: Change = {
  messages: {},
  conversations: [],
  users: [],
  drafts: [],
  settings: [],
  meta: [],
  work: WORK,
  all: true,
  remote: false,
};

/** Reads a change that another tab sent. Returns null if it is malformed (a tab of another version). */
export function readChange(value: unknown): Change | null {
  if (typeof value !== "object" || value === null) return null;
  const c = value as Partial<Record<keyof Change, unknown>>;
  const texts = (v: unknown): v is string[] => Array.isArray(v) && v.every((x) => typeof x === "string");
  if (
    !texts(c.conversations) ||
    !texts(c.users) ||
    !texts(c.drafts) ||
    !texts(c.settings) ||
    !texts(c.meta) ||
    !texts(c.work)
  )
    return null;
  if (
    typeof c.all !== "boolean" ||
    typeof c.remote !== "boolean" ||
    typeof c.messages !== "object" ||
    c.messages === null
  )
    return null;
  if (!Object.values(c.messages).every(texts)) return null;
  return value as Change;
}
