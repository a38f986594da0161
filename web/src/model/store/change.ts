/** What a transaction changed, told to every part and every tab that shows it. */

export interface Change {
  /** Conversation id → ids of messages added, changed or removed. */
  readonly messages: Readonly<Record<string, readonly string[]>>;
  readonly conversations: readonly string[];
  readonly people: readonly string[];
  readonly drafts: readonly string[];
  /** Names of meta rows. */
  readonly meta: readonly string[];
  /** The outbox or read marks have something new to send, or debts to pay. */
  readonly work: boolean;
  /** Anything may have changed: read everything again. */
  readonly all: boolean;
  /** Made by another tab. */
  readonly remote: boolean;
}

/** Gathers a {@link Change} while a transaction runs. */
export class Changes {
  private readonly messages = new Map<string, Set<string>>();
  private readonly conversations = new Set<string>();
  private readonly people = new Set<string>();
  private readonly drafts = new Set<string>();
  private readonly meta = new Set<string>();
  private work = false;

  message(conversation: string, id: string): void {
    let ids = this.messages.get(conversation);
    if (!ids) {
      ids = new Set();
      this.messages.set(conversation, ids);
    }
    ids.add(id);
    this.conversations.add(conversation);
  }

  conversation(id: string): void {
    this.conversations.add(id);
  }

  person(uid: string): void {
    this.people.add(uid);
  }

  draft(conversation: string): void {
    this.drafts.add(conversation);
    this.conversations.add(conversation);
  }

  metaRow(name: string): void {
    this.meta.add(name);
  }

  toDo(): void {
    this.work = true;
  }

  /** Null where nothing changed. */
  done(): Change | null {
    if (
      !this.work &&
      [this.messages, this.conversations, this.people, this.drafts, this.meta].every((s) => s.size === 0)
    )
      return null;
    return {
      messages: Object.fromEntries([...this.messages].map(([c, ids]) => [c, [...ids]])),
      conversations: [...this.conversations],
      people: [...this.people],
      drafts: [...this.drafts],
      meta: [...this.meta],
      work: this.work,
      all: false,
      remote: false,
    };
  }
}

export const EVERYTHING: Change = {
  messages: {},
  conversations: [],
  people: [],
  drafts: [],
  meta: [],
  work: true,
  all: true,
  remote: false,
};

/** Reads a change that another tab sent; null where it is none (a tab of another version). */
export function readChange(value: unknown): Change | null {
  if (typeof value !== "object" || value === null) return null;
  const c = value as Partial<Record<keyof Change, unknown>>;
  const texts = (v: unknown): v is string[] => Array.isArray(v) && v.every((x) => typeof x === "string");
  if (!texts(c.conversations) || !texts(c.people) || !texts(c.drafts) || !texts(c.meta)) return null;
  if (
    typeof c.work !== "boolean" ||
    typeof c.all !== "boolean" ||
    typeof c.remote !== "boolean" ||
    typeof c.messages !== "object" ||
    c.messages === null
  )
    return null;
  if (!Object.values(c.messages).every(texts)) return null;
  return value as Change;
}
