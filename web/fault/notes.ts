/** Finds out what each write transaction has changed for the user, and reports it once the transaction is committed. */
import type { Database, Range, Reads, Row, Writes } from "../src/platform/database";
import { type ConversationRow, type MessageRow, messagePath, SHAPE } from "../src/model/store/rows";
import type { Note, WireMessage } from "./protocol";

export function wireMessage(row: MessageRow): WireMessage {
  return {
    id: row.id,
    conversation: row.conversation,
    from: row.from,
    to: row.to,
    body: row.body,
    at: row.at ?? 0,
    accepted_at: row.acceptedAt ?? 0,
    ...(row.replyTo === null ? {} : { reply_to: row.replyTo }),
  };
}

/** The state of an own message as its screen shows it. Empty for messages of others. */
export function stateOf(row: MessageRow, uid: string, otherRead: number): string {
  if (row.from !== uid) return "";
  return row.status === "delivered" && (row.at ?? 0) <= otherRead ? "read" : row.status;
}

export interface NotesOptions {
  readonly uid: string;
  /** Whether a page of history has contained this message during this run of the app. */
  readonly paged: (message: MessageRow) => boolean;
  readonly note: (note: Note) => void;
}

/** A database whose committed transactions are reported. */
export class NotedDatabase implements Database {
  private readonly db: Database;
  private readonly options: NotesOptions;
  private readonly running = new Set<Promise<unknown>>();

  constructor(db: Database, options: NotesOptions) {
    this.db = db;
    this.options = options;
  }

  get durable(): boolean {
    return this.db.durable;
  }

  read<T>(stores: readonly string[], body: (tx: Reads) => Promise<T>): Promise<T> {
    return this.db.read(stores, body);
  }

  async write<T>(stores: readonly string[], body: (tx: Writes) => Promise<T>): Promise<T> {
    let notes: readonly Note[] = [];
    const running = this.db.write(stores, async (tx) => {
      const observed = new ObservedWrites(tx);
      const value = await body(observed);
      notes = await observed.notes(this.options);
      return value;
    });
    this.running.add(running);
    try {
      const value = await running;
      for (const note of notes) this.options.note(note);
      return value;
    } finally {
      this.running.delete(running);
    }
  }

  /** Waits until every transaction that had begun has ended and is reported. */
  async settled(): Promise<void> {
    while (this.running.size > 0) {
      await Promise.allSettled(this.running);
      await Promise.resolve();
    }
  }

  onLost(run: () => void): void {
    this.db.onLost(run);
  }

  close(): void {
    this.db.close();
  }
}

interface Pair<R> {
  readonly before: R | undefined;
  after: R | undefined;
}

/** The writes of one transaction, with the rows that they replace. */
class ObservedWrites implements Writes {
  private readonly tx: Writes;
  private readonly messages = new Map<number | string, Pair<MessageRow>>();
  private readonly conversations = new Map<number | string, Pair<ConversationRow>>();
  /** Only transactions that store events move the cursor. */
  private movesCursor = false;

  constructor(tx: Writes) {
    this.tx = tx;
  }

  get(store: string, key: number | string): Promise<Row | undefined> {
    return this.tx.get(store, key);
  }

  range(store: string, range: Range): Promise<Row[]> {
    return this.tx.range(store, range);
  }

  count(store: string, range: Range): Promise<number> {
    return this.tx.count(store, range);
  }

  async put(store: string, row: Row): Promise<void> {
    const field = SHAPE.stores[store]?.key ?? "";
    const key = (row as Readonly<Record<string, number | string>>)[field] ?? "";
    await this.observe(store, key, row);
    await this.tx.put(store, row);
  }

  async delete(store: string, key: number | string): Promise<void> {
    await this.observe(store, key, undefined);
    await this.tx.delete(store, key);
  }

  private async observe(store: string, key: number | string, row: Row | undefined): Promise<void> {
    if (store === "meta" && key === "cursor") this.movesCursor = true;
    const pairs = store === "messages" ? this.messages : store === "conversations" ? this.conversations : null;
    if (!pairs) return;
    const known = pairs.get(key);
    if (known) known.after = row as never;
    else pairs.set(key, { before: (await this.tx.get(store, key)) as never, after: row as never });
  }

  /** Returns what the transaction has changed so far. */
  async notes({ uid, paged }: NotesOptions): Promise<Note[]> {
    const notes: Note[] = [];
    for (const { before, after } of this.messages.values()) {
      if (!after) continue;
      const message = wireMessage(after);
      const typed = after.from === uid && after.typedAt !== null;
      if (!before && typed) notes.push({ note: "typed", message });
      if (after.at === null) continue;
      const from = this.movesCursor || !paged(after) ? "event" : "history";
      const moved = before?.at !== after.at;
      if (typed && moved && after.queue !== undefined) notes.push({ note: "frozen", message });
      else if (!before) notes.push({ note: "shown", message, from });
      else if (before.at !== null && (moved || before.body !== after.body || before.replyTo !== after.replyTo))
        notes.push({ note: "corrected", message, from });
      const [readBefore, readAfter] = await this.otherReads(after.conversation);
      const state = stateOf(after, uid, readAfter);
      const old = before ? stateOf(before, uid, readBefore) : "";
      if (state !== old && state !== "" && state !== "waiting")
        notes.push({ note: "state", message, state, refusal: after.refusal?.code ?? "" });
    }
    for (const { before, after } of this.conversations.values()) {
      if (!after) continue;
      const conversation = after.id;
      if (after.myRead > (before?.myRead ?? 0) && after.myRead > after.readShown)
        notes.push({ note: "read", conversation, at: after.myRead });
      if (after.otherRead > (before?.otherRead ?? 0)) notes.push(...(await this.newlyRead(uid, before, after)));
    }
    return notes;
  }

  /** The messages that a read mark of the other user has reached and that this transaction did not change otherwise. */
  private async newlyRead(uid: string, before: ConversationRow | undefined, after: ConversationRow): Promise<Note[]> {
    const rows = (await this.tx.range("messages", {
      index: "place",
      lower: [after.id, (before?.otherRead ?? 0) + 1],
      upper: [after.id, after.otherRead, []],
    })) as MessageRow[];
    return rows
      .filter((row) => row.from === uid && row.status === "delivered")
      .filter((row) => !this.messages.has(messagePath(row.conversation, row.key)))
      .map((row) => ({ note: "state", message: wireMessage(row), state: "read" }));
  }

  /** The other user's read mark in a conversation before and after the transaction. */
  private async otherReads(conversation: string): Promise<[number, number]> {
    const pair = this.conversations.get(conversation);
    if (pair) return [pair.before?.otherRead ?? 0, pair.after?.otherRead ?? 0];
    const row = (await this.tx.get("conversations", conversation)) as ConversationRow | undefined;
    return [row?.otherRead ?? 0, row?.otherRead ?? 0];
  }
}
