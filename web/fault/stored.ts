/** The database of one device. It outlives the app, and can be read while the app does not run. */
import { IDBFactory } from "fake-indexeddb";
import type { Database, Row } from "../src/platform/database";
import { openIndexed } from "../src/platform/indexed";
import { FakePlatform } from "../src/platform/testing/fake";
import { unreadOf } from "../src/model/store/readMarks";
import { ALL, type MessageRow, type Queued, SHAPE, type StoredMessage } from "../src/model/store/rows";
import { databaseName, LocalStore } from "../src/model/store/store";
import type { ReadTx } from "../src/model/store/tx";
import { realClock } from "./clock";
import { stateOf, wireMessage } from "./notes";
import type { Line, Summary } from "./protocol";

/** How long a database may take to open. A busy machine is slow, and nothing else can go wrong here. */
const PATIENCE_MS = 60_000;
/** Messages that are read at once in search of the newest one of the other user. */
const PAGE = 50;

export class Stored {
  readonly uid: string;
  /** The paths of all messages that the device has or had. */
  readonly known = new Set<string>();
  private readonly factory: IDBFactory;
  private readonly reader: LocalStore;

  /** Opens an empty database. */
  static async create(uid: string): Promise<Stored> {
    const factory = new IDBFactory();
    const open = (): Promise<Database> => openIndexed(factory, databaseName(uid), SHAPE, PATIENCE_MS);
    return new Stored(uid, factory, await LocalStore.open(new FakePlatform({ clock: realClock, open }), uid));
  }

  private constructor(uid: string, factory: IDBFactory, reader: LocalStore) {
    this.uid = uid;
    this.factory = factory;
    this.reader = reader;
  }

  /** Opens another connection, for an app. */
  open(): Promise<Database> {
    return openIndexed(this.factory, databaseName(this.uid), SHAPE, PATIENCE_MS);
  }

  /** Returns a copy, or null if own messages or changes are unsent. */
  async copy(): Promise<Stored | null> {
    const from = await this.open();
    const rows = new Map<string, Row[]>();
    await from.read(ALL, async (tx) => {
      for (const store of ALL) rows.set(store, await tx.range(store, {}));
    });
    from.close();
    const queued = (store: string): boolean =>
      rows.get(store)?.some((row) => (row as Queued).queue !== undefined) ?? false;
    if (queued("messages") || queued("changes")) return null;
    const copy = await Stored.create(this.uid);
    const to = await copy.open();
    await to.write(ALL, async (tx) => {
      for (const [store, all] of rows) for (const row of all) await tx.put(store, row);
    });
    to.close();
    for (const row of rows.get("messages") as StoredMessage[]) copy.known.add(row.path);
    return copy;
  }

  /** The messages that the device shows of a conversation, in order. */
  lines(conversation: string): Promise<Line[]> {
    return this.reader.read(async (tx) => {
      const rows = await tx.messagesFrom(conversation, 0);
      return await Promise.all(rows.map((row) => this.line(tx, row)));
    });
  }

  conversations(): Promise<string[]> {
    return this.reader.read(async (tx) => (await tx.conversations()).map((c) => c.id).sort());
  }

  /** The newest message that was ever sent. Null if there is none. */
  newest(conversation: string): Promise<Line | null> {
    return this.reader.read(async (tx) => {
      const rows = await tx.messagesBefore(conversation, null, PAGE);
      const row = rows.find((r) => r.at !== null);
      return row ? await this.line(tx, row) : null;
    });
  }

  /** The `at` of the newest message of the other user, and whether this user has not seen it yet. */
  unseen(conversation: string): Promise<{ at: number; unseen: boolean }> {
    return this.reader.read(async (tx) => {
      const mark = (await tx.conversation(conversation))?.myRead ?? 0;
      const rows = await tx.messagesBefore(conversation, null, PAGE);
      const at = rows.find((r) => r.status === "received")?.at ?? 0;
      return { at, unseen: at > mark };
    });
  }

  /** Returns the entry of one conversation in the list. */
  summary(conversation: string): Promise<Summary> {
    return this.reader.read(async (tx) => {
      const row = await tx.conversation(conversation);
      if (!row) return { newest: null, unread: 0, read: {}, unsent: false };
      const { preview } = row;
      const settled = (m: MessageRow): boolean => m.from !== this.uid || m.status === "delivered";
      const rows = await tx.messagesBefore(conversation, null, PAGE);
      const shown = rows.find((m) => m.id === preview?.id && m.from === preview.from);
      // An own message that is on its way, or was refused, is not in the server's list.
      const newest = shown && !settled(shown) ? rows.find(settled) : shown;
      const message = newest ? wireMessage(newest) : null;
      const listed =
        message && preview && newest === shown ? { ...message, body: preview.body, at: preview.at } : message;
      const marks = { [this.uid]: row.myRead, [row.other]: row.otherRead };
      return {
        newest: listed,
        unread: unreadOf(row),
        read: Object.fromEntries(Object.entries(marks).filter(([, at]) => at > 0)),
        unsent: row.readUnsent !== undefined,
      };
    });
  }

  /** The number of own messages and changes that are not known to be delivered or refused, and what is left to backfill. */
  unfinished(): Promise<{ outbox: number; backfills: string[] }> {
    return this.reader.read(async (tx) => {
      const backfills = (await tx.backfills()).map((b) => b.key);
      const gap = await tx.gap();
      if (gap.due !== null && gap.loads === 0) backfills.push("history");
      return { outbox: (await tx.outbox()).length, backfills };
    });
  }

  /** The number of rows beside messages. */
  async rows(): Promise<number> {
    const database = await this.open();
    const counts = await database.read(ALL, (tx) =>
      Promise.all(ALL.filter((store) => store !== "messages").map((store) => tx.count(store, {}))),
    );
    database.close();
    return counts.reduce((sum, n) => sum + n, 0);
  }

  private async line(tx: ReadTx, row: MessageRow): Promise<Line> {
    const otherRead = (await tx.conversation(row.conversation))?.otherRead ?? 0;
    return {
      message: wireMessage(row),
      ...(row.changes && { changes: row.changes }),
      state: stateOf(row, this.uid, otherRead),
      refusal: row.status === "refused" ? (row.refusal?.code ?? "") : "",
    };
  }
}
