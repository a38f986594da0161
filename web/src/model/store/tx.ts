/** Typed transactions on a user's database. */
import type { messageKey, Micros, otherMember, validMessageId } from "../../protocol/chat";
import type { Fields } from "../../protocol/fields";
import type { MessageRef } from "../../protocol/frames";
import type { Reads, Writes } from "../../platform/database";
import type { OwnChange } from "../interface/conversation";
import { Changes } from "./change";
import {
  type ChangeRow,
  type ConversationRow,
  type Backfill,
  type DraftRow,
  type Gap,
  type MessageRow,
  messagePath,
  type MetaRow,
  type Queued,
  type ReplayRow,
  type SettingRow,
  type StoredMessage,
  type UserRow,
  WAITING,
} from "./rows";

const NO_GAP: Gap = { n: 0, at: 0, foundAt: 0, since: 0, loads: 0, tries: 0, due: null };

/** The keys of remembered refusals. */
const REFUSALS = { lower: "refused:", upper: "refused;", upperOpen: true } as const;

/** The keys of kept changes. */
const KEPT = { lower: "changed:", upper: "changed;", upperOpen: true } as const;

/** The user and the current times. */
export interface RuleContext {
  readonly uid: string;
  /** This device's clock, in ms. */
  readonly now: number;
  /** The server's clock as far as it is known, in µs. */
  readonly serverNow: Micros;
}

/** The rules of changes (./changes). Their code is loaded when a transaction first needs them. */
export interface ChangeRules {
  /** Applies an event `change`, or `changed` if it is the user's own. Returns false for one that makes no sense. */
  applyChange(tx: WriteTx, context: RuleContext, own: boolean, event: Fields): Promise<boolean>;
  /** The user's own changes were delivered. */
  changesDelivered(tx: WriteTx, refs: readonly MessageRef[]): Promise<void>;
  /** Returns the message with changes added, `saved` (as history has them) and others that are known here. */
  withChanges(tx: WriteTx, row: MessageRow, saved: Fields | undefined, content?: string): Promise<MessageRow>;
  /** Stores a change of the user and shows its effect. */
  storeChange(tx: WriteTx, row: ChangeRow): Promise<void>;
  /** As `freeze` of ./outbox. */
  freezeChange(tx: WriteTx, context: RuleContext, row: ChangeRow): Promise<ChangeRow>;
  /** A change was refused for good. */
  changeRefused(tx: WriteTx, row: ChangeRow, refusal: { code: string; message: string }): Promise<void>;
  /** Drops the changes of a message that was refused. */
  dropChanges(tx: WriteTx, row: MessageRow): Promise<void>;
  /** Makes a change of the user. */
  makeChange(tx: WriteTx, context: RuleContext, what: Changed, change: OwnChange): Promise<void>;
}

/**
 * The functions of the first load that the rules of changes use. They are passed, because an import would move them
 * into another chunk.
 */
export interface BaseRules {
  readonly messageKey: typeof messageKey;
  readonly otherMember: typeof otherMember;
  readonly validMessageId: typeof validMessageId;
  readonly messagePath: typeof messagePath;
  readonly emptyConversation: typeof emptyConversation;
  readonly WAITING: number;
  /** See ./rules. */
  readonly MAX_AHEAD: number;
  isPreview(row: ConversationRow, message: MessageRow): boolean;
  withNewestPreview(tx: WriteTx, conversation: ConversationRow): Promise<ConversationRow>;
  previewOf(row: MessageRow): string;
  noteBackfill(tx: WriteTx, context: RuleContext, backfill: Omit<Backfill, "since" | "due" | "tries">): Promise<void>;
}

/** A change that the user makes. */
export interface Changed {
  /** Its id. */
  readonly id: string;
  readonly conversation: string;
  /** The key of the message. */
  readonly key: string;
}

/** A transaction needs {@link ChangeRules}, which are not loaded. The store loads them and runs it again. */
export class RulesMissing extends Error {}

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

  /** Returns the message that was typed on this device, or the user's own change, under `id`. */
  async queued(id: string): Promise<Queued | undefined> {
    return (await this.typed(id)) ?? (await this.change(id));
  }

  change(id: string): Promise<ChangeRow | undefined> {
    return this.reads.get("changes", id) as Promise<ChangeRow | undefined>;
  }

  /** The user's own changes of a message that have a row. */
  changesOf(path: string): Promise<ChangeRow[]> {
    return this.reads.range("changes", { index: "path", lower: [path], upper: [path] }) as Promise<ChangeRow[]>;
  }

  /** The outbox, in typing order. */
  async outbox(): Promise<Queued[]> {
    const parts = await Promise.all(
      ["messages", "changes"].map((store) => this.reads.range(store, { index: "queue" })),
    );
    return (parts.flat() as unknown as Queued[]).sort((a, b) => (a.queue ?? 0) - (b.queue ?? 0));
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

  /**
   * Conversations whose own read mark the server has not shown yet. Those of requests are not sent, nor are those of
   * accepted ones before the server knows that.
   */
  async unsentReads(): Promise<ConversationRow[]> {
    const rows = (await this.reads.range("conversations", { index: "unsent" })) as unknown as ConversationRow[];
    return rows.filter((row) => row.answered !== false && !row.accepting);
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

  setting(key: string): Promise<SettingRow | undefined> {
    return this.reads.get("settings", key) as Promise<SettingRow | undefined>;
  }

  /** The keys of the messages of a conversation that have a star. */
  async starred(conversation: string): Promise<ReadonlySet<string>> {
    const prefix = `star:${conversation}`;
    const rows = await this.reads.range("settings", { lower: `${prefix}/`, upper: `${prefix}0` });
    return new Set((rows as unknown as SettingRow[]).filter((row) => row.value === 1).map((row) => row.message));
  }

  settings(): Promise<SettingRow[]> {
    return this.reads.range("settings", {}) as Promise<SettingRow[]>;
  }

  /** The settings that the server has not answered. */
  unsentSettings(): Promise<SettingRow[]> {
    return this.reads.range("settings", { index: "unsent" }) as Promise<SettingRow[]>;
  }

  backfill(key: string): Promise<Backfill | undefined> {
    return this.reads.get("backfills", key) as Promise<Backfill | undefined>;
  }

  /** Backfills to do, the one that is due first at the front. */
  backfills(): Promise<Backfill[]> {
    return this.reads.range("backfills", { index: "due" }) as Promise<Backfill[]>;
  }

  /** The number of messages that are not on this device, and of which changes are kept. */
  countKept(): Promise<number> {
    return this.reads.count("backfills", KEPT);
  }

  /** Changes of messages that are not on this device. */
  kept(): Promise<Backfill[]> {
    return this.reads.range("backfills", KEPT) as Promise<Backfill[]>;
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
  /** Null: not loaded. */
  readonly rules: ChangeRules | null;
  private anyChanges: boolean | null = null;
  private readonly known = new Map<string, ConversationRow | undefined>();
  private readonly knownBackfills = new Map<string, Backfill | undefined>();
  private readonly unwritten = new Set<string>();
  readonly changes = new Changes();
  /**
   * Messages of the server that this device did not have, and own ones to which the other user has just reacted, in the
   * order of the rules that stored them.
   */
  readonly added: MessageRow[] = [];

  constructor(writes: Writes, rules: ChangeRules | null) {
    super(writes);
    this.writes = writes;
    this.rules = rules;
  }

  /** Whether changes may be known of messages that are not on this device. */
  async hasChanges(): Promise<boolean> {
    return (this.anyChanges ??= (await this.reads.count("changes", {})) + (await this.countKept()) > 0);
  }

  async putChange(row: ChangeRow): Promise<void> {
    this.anyChanges = true;
    this.changes.conversation(row.conversation);
    await this.writes.put("changes", row);
  }

  async deleteChange(row: ChangeRow): Promise<void> {
    this.changes.conversation(row.conversation);
    await this.writes.delete("changes", row.id);
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

  async putSetting(row: SettingRow): Promise<void> {
    this.changes.setting(row.conversation);
    if (row.unsent !== undefined) this.changes.toDo("setting");
    await this.writes.put("settings", row);
  }

  async deleteSetting(row: Pick<SettingRow, "key" | "conversation">): Promise<void> {
    this.changes.setting(row.conversation);
    await this.writes.delete("settings", row.key);
  }

  override async backfill(key: string): Promise<Backfill | undefined> {
    if (!this.knownBackfills.has(key)) this.knownBackfills.set(key, await super.backfill(key));
    return this.knownBackfills.get(key);
  }

  async putBackfill(row: Backfill): Promise<void> {
    if (row.due !== undefined) this.changes.toDo("backfill");
    if (row.changes) this.anyChanges = true;
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

/** Whether the message or change was transmitted at least once. */
export function transmitted(row: Pick<Queued, "place">): boolean {
  return row.place < WAITING;
}
