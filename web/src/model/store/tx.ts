/** Typed transactions on a user's database. */
import type { Micros } from "../../protocol/chat";
import type { Reads, Writes } from "../../platform/database";
import { Changes } from "./change";
import {
  type ConversationRow,
  type Backfill,
  type DraftRow,
  type Gap,
  type MessageRow,
  messagePath,
  type MetaRow,
  type ReplayRow,
  type StoredMessage,
  type UserRow,
  WAITING,
} from "./rows";

const NO_GAP: Gap = { n: 0, at: 0, foundAt: 0, since: 0, loads: 0, tries: 0, due: null };

/** The keys of remembered refusals. */
const REFUSALS = { lower: "refused:", upper: "refused;", upperOpen: true } as const;

/** A read transaction. */
export class ReadTx {
  protected readonly reads: Reads;

  constructor(reads: Reads) {
    this.reads = reads;
  }

  message(conversation: string, key: string): Promise<MessageRow | undefined> {
    return this.reads.get("messages", messagePath(conversation, key)) as Promise<MessageRow | undefined>;
  }

  /** Returns the message that was typed on this device under `id`. The server's answers to a send name only the id. */
  async typed(id: string): Promise<MessageRow | undefined> {
    const [row] = await this.reads.range("messages", { index: "typed", lower: [id], upper: [id, []], limit: 1 });
    return row as MessageRow | undefined;
  }

  /** Messages of a conversation that sort before a place, newest first. From the end if `before` is null. */
  messagesBefore(
    conversation: string,
    before: Pick<MessageRow, "place" | "key"> | null,
    limit: number,
  ): Promise<MessageRow[]> {
    return this.reads.range("messages", {
      index: "place",
      lower: [conversation],
      upper: before ? [conversation, before.place, before.key] : [conversation, []],
      upperOpen: true,
      reverse: true,
      limit,
    }) as Promise<MessageRow[]>;
  }

  /** Messages of a conversation from a place on, oldest first. */
  messagesFrom(conversation: string, place: number, limit?: number): Promise<MessageRow[]> {
    return this.reads.range("messages", {
      index: "place",
      lower: [conversation, place],
      upper: [conversation, []],
      ...(limit === undefined ? {} : { limit }),
    }) as Promise<MessageRow[]>;
  }

  /** Messages of all conversations in the order of their paths, from the one after `path`. The first path is "". */
  messagesAfter(path: string, limit: number): Promise<StoredMessage[]> {
    return this.reads.range("messages", { lower: path, lowerOpen: true, limit }) as Promise<StoredMessage[]>;
  }

  /** Messages with exactly this `at`. */
  messagesAt(conversation: string, at: Micros): Promise<MessageRow[]> {
    return this.reads.range("messages", {
      index: "place",
      lower: [conversation, at],
      upper: [conversation, at, []],
    }) as Promise<MessageRow[]>;
  }

  /** Messages that events brought in this time and that history has not confirmed. The newest come first. */
  heard(from: Micros, to: Micros, limit: number): Promise<MessageRow[]> {
    return this.reads.range("messages", {
      index: "heard",
      lower: [from],
      upper: [to],
      reverse: true,
      limit,
    }) as Promise<MessageRow[]>;
  }

  /** The outbox, in typing order. */
  outbox(): Promise<MessageRow[]> {
    return this.reads.range("messages", { index: "queue" }) as Promise<MessageRow[]>;
  }

  conversation(id: string): Promise<ConversationRow | undefined> {
    return this.reads.get("conversations", id) as Promise<ConversationRow | undefined>;
  }

  /** Conversations, latest first. */
  conversations(limit?: number): Promise<ConversationRow[]> {
    return this.reads.range("conversations", {
      index: "recent",
      reverse: true,
      ...(limit === undefined ? {} : { limit }),
    }) as Promise<ConversationRow[]>;
  }

  /** Conversations whose own read mark the server has not shown yet. */
  unsentReads(): Promise<ConversationRow[]> {
    return this.reads.range("conversations", { index: "unsent" }) as Promise<ConversationRow[]>;
  }

  user(uid: string): Promise<UserRow | undefined> {
    return this.reads.get("users", uid) as Promise<UserRow | undefined>;
  }

  draft(conversation: string): Promise<DraftRow | undefined> {
    return this.reads.get("drafts", conversation) as Promise<DraftRow | undefined>;
  }

  drafts(): Promise<DraftRow[]> {
    return this.reads.range("drafts", {}) as Promise<DraftRow[]>;
  }

  backfill(key: string): Promise<Backfill | undefined> {
    return this.reads.get("backfills", key) as Promise<Backfill | undefined>;
  }

  /** Backfills to do, the one that is due first at the front. */
  backfills(): Promise<Backfill[]> {
    return this.reads.range("backfills", { index: "due" }) as Promise<Backfill[]>;
  }

  /** The number of remembered refusals of messages that are not on this device. */
  countRefusals(): Promise<number> {
    return this.reads.count("backfills", REFUSALS);
  }

  /** Refusals of messages that are not on this device. */
  refusals(): Promise<Backfill[]> {
    return this.reads.range("backfills", REFUSALS) as Promise<Backfill[]>;
  }

  async meta<N extends MetaRow["name"]>(name: N): Promise<Extract<MetaRow, { name: N }> | undefined> {
    return (await this.reads.get("meta", name)) as Extract<MetaRow, { name: N }> | undefined;
  }

  /** The first replay of events on this device, while it is not over. */
  async replay(): Promise<ReplayRow | null> {
    const row = await this.meta("replay");
    return row && !(row.live && row.listed) ? row : null;
  }

  async gap(): Promise<Gap> {
    return (await this.meta("gap"))?.gap ?? NO_GAP;
  }
}

/**
 * A write transaction. Every write is recorded in {@link WriteTx.changes}. A batch of events asks for the same rows of
 * conversations and backfills again and again, so each is read once. Those of conversations are written at the end.
 */
export class WriteTx extends ReadTx {
  private readonly writes: Writes;
  private readonly known = new Map<string, ConversationRow | undefined>();
  private readonly knownBackfills = new Map<string, Backfill | undefined>();
  private readonly unwritten = new Set<string>();
  readonly changes = new Changes();
  /** Messages of the server that this device did not have, in the order of the rules that stored them. */
  readonly added: MessageRow[] = [];

  constructor(writes: Writes) {
    super(writes);
    this.writes = writes;
  }

  async putMessage(row: MessageRow): Promise<void> {
    this.changes.message(row.conversation, row.key);
    const stored: StoredMessage = { ...row, path: messagePath(row.conversation, row.key) };
    await this.writes.put("messages", stored);
  }

  async deleteMessage(row: MessageRow): Promise<void> {
    this.changes.message(row.conversation, row.key);
    await this.writes.delete("messages", messagePath(row.conversation, row.key));
  }

  override async conversation(id: string): Promise<ConversationRow | undefined> {
    if (!this.known.has(id)) this.known.set(id, await super.conversation(id));
    return this.known.get(id);
  }

  override async conversations(limit?: number): Promise<ConversationRow[]> {
    await this.flush();
    return await super.conversations(limit);
  }

  override async unsentReads(): Promise<ConversationRow[]> {
    await this.flush();
    return await super.unsentReads();
  }

  async putConversation(row: ConversationRow): Promise<void> {
    this.changes.conversation(row.id);
    this.known.set(row.id, row);
    this.unwritten.add(row.id);
  }

  /** Writes the rows of conversations. Called at the end of the transaction. */
  async flush(): Promise<void> {
    for (const id of this.unwritten) {
      const row = this.known.get(id);
      if (row) await this.writes.put("conversations", row);
    }
    this.unwritten.clear();
  }

  async putUser(row: UserRow): Promise<void> {
    this.changes.user(row.uid);
    await this.writes.put("users", row);
  }

  async putDraft(row: DraftRow): Promise<void> {
    this.changes.draft(row.conversation);
    if (row.text === "" && row.replyTo === null) await this.writes.delete("drafts", row.conversation);
    else await this.writes.put("drafts", row);
  }

  override async backfill(key: string): Promise<Backfill | undefined> {
    if (!this.knownBackfills.has(key)) this.knownBackfills.set(key, await super.backfill(key));
    return this.knownBackfills.get(key);
  }

  async putBackfill(row: Backfill): Promise<void> {
    if (row.due !== undefined) this.changes.toDo("backfill");
    this.knownBackfills.set(row.key, row);
    await this.writes.put("backfills", row);
  }

  async deleteBackfill(key: string): Promise<void> {
    this.knownBackfills.set(key, undefined);
    await this.writes.delete("backfills", key);
  }

  async putMeta(row: MetaRow): Promise<void> {
    this.changes.metaRow(row.name);
    await this.writes.put("meta", row);
  }

  /** The next place in the outbox. */
  async nextQueue(): Promise<number> {
    const last = ((await this.meta("queue"))?.last ?? 0) + 1;
    await this.writes.put("meta", { name: "queue", last });
    return last;
  }
}

/** A conversation that nothing is known of yet. */
export function emptyConversation(id: string, other: string): ConversationRow {
  return {
    id,
    other,
    recent: 0,
    newest: 0,
    newestOwn: 0,
    preview: null,
    myRead: 0,
    otherRead: 0,
    readShown: 0,
    unread: 0,
    unreadThere: 0,
    unreadMark: 0,
    loadedFrom: null,
    complete: false,
    checked: 0,
    checkedAt: 0,
  };
}

/** Whether the message was transmitted at least once. */
export function transmitted(row: MessageRow): boolean {
  return row.place < WAITING;
}
