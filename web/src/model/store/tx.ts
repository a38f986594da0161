/** Transactions on an account's database, with types. */
import type { Micros } from "../../protocol/chat";
import type { Reads, Writes } from "../../platform/database";
import { Changes } from "./change";
import {
  type ConversationRow,
  type DebtRow,
  type DraftRow,
  type Loss,
  type MessageRow,
  type MetaRow,
  type PersonRow,
  WAITING,
} from "./rows";

const NO_LOSS: Loss = { n: 0, at: 0, since: 0, loads: 0, tries: 0, due: null };

/** The keys of remembered refusals: "refused:" and an id. */
const REFUSALS = { lower: "refused:", upper: "refused;", upperOpen: true } as const;

/** Reading. */
export class ReadTx {
  protected readonly reads: Reads;

  constructor(reads: Reads) {
    this.reads = reads;
  }

  message(id: string): Promise<MessageRow | undefined> {
    return this.reads.get("messages", id) as Promise<MessageRow | undefined>;
  }

  /** Messages of a conversation that sort before a place, newest first; from the end where `before` is null. */
  messagesBefore(
    conversation: string,
    before: Pick<MessageRow, "place" | "id"> | null,
    limit: number,
  ): Promise<MessageRow[]> {
    return this.reads.range("messages", {
      index: "place",
      lower: [conversation],
      upper: before ? [conversation, before.place, before.id] : [conversation, []],
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

  /** Messages that stand at exactly `at`. */
  messagesAt(conversation: string, at: Micros): Promise<MessageRow[]> {
    return this.reads.range("messages", {
      index: "place",
      lower: [conversation, at],
      upper: [conversation, at, []],
    }) as Promise<MessageRow[]>;
  }

  /** The outbox, in the order of typing. */
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

  person(uid: string): Promise<PersonRow | undefined> {
    return this.reads.get("people", uid) as Promise<PersonRow | undefined>;
  }

  draft(conversation: string): Promise<DraftRow | undefined> {
    return this.reads.get("drafts", conversation) as Promise<DraftRow | undefined>;
  }

  drafts(): Promise<DraftRow[]> {
    return this.reads.range("drafts", {}) as Promise<DraftRow[]>;
  }

  debt(key: string): Promise<DebtRow | undefined> {
    return this.reads.get("debts", key) as Promise<DebtRow | undefined>;
  }

  /** Debts that are to be paid, the next due first. */
  debts(): Promise<DebtRow[]> {
    return this.reads.range("debts", { index: "due" }) as Promise<DebtRow[]>;
  }

  /** How many refusals of messages that are not here are remembered. */
  countRefusals(): Promise<number> {
    return this.reads.count("debts", REFUSALS);
  }

  /** Refusals of messages that are not here. */
  refusals(): Promise<DebtRow[]> {
    return this.reads.range("debts", REFUSALS) as Promise<DebtRow[]>;
  }

  async meta<N extends MetaRow["name"]>(name: N): Promise<Extract<MetaRow, { name: N }> | undefined> {
    return (await this.reads.get("meta", name)) as Extract<MetaRow, { name: N }> | undefined;
  }

  async loss(): Promise<Loss> {
    return (await this.meta("loss"))?.loss ?? NO_LOSS;
  }
}

/** Reading and writing; every write is noted in {@link WriteTx.changes}. */
export class WriteTx extends ReadTx {
  private readonly writes: Writes;
  readonly changes = new Changes();

  constructor(writes: Writes) {
    super(writes);
    this.writes = writes;
  }

  async putMessage(row: MessageRow): Promise<void> {
    this.changes.message(row.conversation, row.id);
    await this.writes.put("messages", row);
  }

  async deleteMessage(row: MessageRow): Promise<void> {
    this.changes.message(row.conversation, row.id);
    await this.writes.delete("messages", row.id);
  }

  async putConversation(row: ConversationRow): Promise<void> {
    this.changes.conversation(row.id);
    await this.writes.put("conversations", row);
  }

  async putPerson(row: PersonRow): Promise<void> {
    this.changes.person(row.uid);
    await this.writes.put("people", row);
  }

  async putDraft(row: DraftRow): Promise<void> {
    this.changes.draft(row.conversation);
    if (row.text === "" && row.replyTo === null) await this.writes.delete("drafts", row.conversation);
    else await this.writes.put("drafts", row);
  }

  async putDebt(row: DebtRow): Promise<void> {
    if (row.due !== undefined) this.changes.toDo();
    await this.writes.put("debts", row);
  }

  async deleteDebt(key: string): Promise<void> {
    await this.writes.delete("debts", key);
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
export function emptyConversation(id: string, person: string): ConversationRow {
  return {
    id,
    person,
    recent: 0,
    newest: 0,
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
