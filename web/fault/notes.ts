/** Finds out what each write transaction has changed for the user, and reports it once the transaction is committed. */
import type { Database, Range, Reads, Row, Writes } from "../src/platform/database";
import { type Change, changedBody, includesChanges } from "../src/protocol/changes";
import { type ChangeRow, type ConversationRow, type MessageRow, messagePath, SHAPE } from "../src/model/store/rows";
import type { Note, WireChange, WireMessage } from "./protocol";

/** A message with the body that is shown, or with that without the user's own changes that wait. */
export function wireMessage(row: MessageRow, body = row.body): WireMessage {
  return {
    id: row.id,
    conversation: row.conversation,
    from: row.from,
    to: row.to,
    body,
    at: row.at ?? 0,
    accepted_at: row.acceptedAt ?? 0,
    ...(row.replyTo === null ? {} : { reply_to: row.replyTo }),
  };
}

function wireChange({ id, conversation, from, to, at, of, kind, body, emoji }: ChangeRow | Change): WireChange {
  return {
    id,
    conversation,
    from,
    to,
    at: at ?? 0,
    of: { ...of },
    kind,
    ...(body !== undefined && { body }),
    ...(emoji !== undefined && { emoji }),
  };
}

/** The note about a message without the user's own changes that wait. */
function noteOf(note: Note["note"], row: MessageRow, from?: Note["from"]): Note {
  const { body, changes } = row.settled ?? row;
  return { note, message: wireMessage(row, body), ...(changes && { changes }), ...(from && { from }) };
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
  /** Takes out the changes whose events have arrived and are stored once the cursor is this one. */
  readonly changesUpTo: (cursor: string) => readonly Change[];
  /** Returns the outcome of an own change, as far as the server has reported it. */
  readonly outcomeOf: (change: string) => ChangeOutcome | undefined;
  readonly note: (note: Note) => void;
}

export type ChangeOutcome = { readonly delivered: true } | { readonly delivered: false; readonly code: string };

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

/** An own change before and after a transaction, and whether it was accepted in between. */
interface ChangePair extends Pair<ChangeRow> {
  sent: boolean;
}

/** The writes of one transaction, with the rows that they replace. */
class ObservedWrites implements Writes {
  private readonly tx: Writes;
  private readonly messages = new Map<number | string, Pair<MessageRow>>();
  private readonly changes = new Map<number | string, ChangePair>();
  private readonly conversations = new Map<number | string, Pair<ConversationRow>>();
  /** Only transactions that store events move the cursor. Null: this one has not. */
  private cursor: string | null = null;

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
    if (store === "meta" && key === "cursor" && row) this.cursor = (row as { cursor: string }).cursor;
    if (store === "changes") {
      const pair = this.changes.get(key) ?? { before: (await this.tx.get(store, key)) as never, sent: false };
      const after = row as ChangeRow | undefined;
      this.changes.set(key, { ...pair, after, sent: pair.sent || after?.status === "sent" });
    }
    const pairs = store === "messages" ? this.messages : store === "conversations" ? this.conversations : null;
    if (!pairs) return;
    const known = pairs.get(key);
    if (known) known.after = row as never;
    else pairs.set(key, { before: (await this.tx.get(store, key)) as never, after: row as never });
  }

  /** Returns what the transaction has changed so far. */
  async notes(options: NotesOptions): Promise<Note[]> {
    const { uid } = options;
    const notes: Note[] = [];
    for (const pair of this.messages.values()) {
      notes.push(...this.messageNotes(pair, options));
      const { before, after } = pair;
      if (!after || after.at === null) continue;
      const [readBefore, readAfter] = await this.otherReads(after.conversation);
      const state = stateOf(after, uid, readAfter);
      const old = before ? stateOf(before, uid, readBefore) : "";
      if (state !== old && state !== "" && state !== "waiting")
        notes.push({ note: "state", message: wireMessage(after), state, refusal: after.refusal?.code ?? "" });
    }
    for (const pair of this.changes.values()) notes.push(...changeNotes(pair, options));
    if (this.cursor !== null)
      for (const change of options.changesUpTo(this.cursor))
        notes.push({ note: "shown", change: wireChange(change), from: "event" });
    for (const { before, after } of this.conversations.values()) {
      if (!after) continue;
      const conversation = after.id;
      if (after.myRead > (before?.myRead ?? 0) && after.myRead > after.readShown)
        notes.push({ note: "read", conversation, at: after.myRead });
      if (after.otherRead > (before?.otherRead ?? 0)) notes.push(...(await this.newlyRead(uid, before, after)));
    }
    return notes;
  }

  /** Returns the notes about a message that the user has typed, or that is shown, and about its changes. */
  private messageNotes({ before, after }: Pair<MessageRow>, { uid, paged }: NotesOptions): Note[] {
    const mine = (row: MessageRow): boolean => row.from === uid && row.typedAt !== null;
    if (!after) return before && mine(before) && before.at === null ? [noteOf("dropped", before)] : [];
    const typed = mine(after);
    if (after.at === null) {
      if (!before) return typed ? [noteOf("typed", after)] : [];
      return bodyOf(before) === bodyOf(after) ? [] : [noteOf("retyped", after)];
    }
    const from = this.cursor !== null || !paged(after) ? "event" : "history";
    const moved = before?.at !== after.at;
    const first = !before && typed ? [noteOf("typed", after)] : [];
    if (typed && moved && after.queue !== undefined) return [...first, noteOf("frozen", after)];
    if (!before) return [...first, noteOf("shown", after, from)];
    const [old, now] = [before, after].map((row) => (row.settled ?? row).changes ?? {}) as [object, object];
    const folded = !includesChanges(old, now);
    const body = changedBody(now, bodyOf(before));
    const corrected = before.at !== null && (moved || body !== bodyOf(after) || before.replyTo !== after.replyTo);
    return [...(corrected ? [noteOf("corrected", after, from)] : []), ...(folded ? [noteOf("folded", after)] : [])];
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

/** The body without the user's own changes that wait. */
function bodyOf(row: MessageRow): string {
  return (row.settled ?? row).body;
}

/** How an own change has come closer to its end. */
function changeNotes({ before, after, sent }: ChangePair, { outcomeOf }: NotesOptions): Note[] {
  const row = after ?? before;
  if (!row) return []; // made and replaced at once
  const change = wireChange(row);
  const notes: Note[] = [];
  if (!before && row.queue !== undefined) notes.push({ note: "typed", change: { ...change, at: 0 } });
  if (row.at !== null && row.queue !== undefined && before?.at !== row.at) notes.push({ note: "frozen", change });
  if (sent && before?.status !== "sent") notes.push({ note: "state", change, state: "sent" });
  if (after) return notes;
  const outcome = outcomeOf(row.id);
  if (outcome === undefined) notes.push({ note: "dropped", change });
  else if (outcome.delivered) notes.push({ note: "state", change, state: "delivered" });
  else notes.push({ note: "state", change, state: "refused", refusal: outcome.code });
  return notes;
}
