/**
 * A small transactional database of objects: IndexedDB as the model sees it. {@link ./indexed} keeps it on the device.
 * {@link ./memory} replaces it if the browser denies storage, and {@link ./overlay} covers it while the disk is full. All
 * pass the same tests (database.test.ts).
 */

/** Keys are ordered as in IndexedDB: numbers before strings before lists. Lists are compared entry by entry. */
export type Key = number | string | readonly Key[];

/** A stored object. */
export type Row = object;

export interface StoreShape {
  /** The field that holds the primary key, a number or a string. */
  readonly key: string;
  /** Index name → fields. A row that lacks one of the fields is not in the index. */
  readonly indexes: Readonly<Record<string, readonly string[]>>;
}

export interface Shape {
  /**
   * Raise it with any change. Opening a database of an earlier version adds the stores and indexes that are missing.
   */
  readonly version: number;
  /**
   * Databases of a version below this are emptied when they are opened, because the form of their rows has changed.
   * Everything in them can be loaded from the server again, except messages that were never sent.
   */
  readonly emptyBefore?: number;
  readonly stores: Readonly<Record<string, StoreShape>>;
}

export interface Range {
  /** The index to use, whose keys are lists of its fields. Default: the primary key. */
  readonly index?: string;
  readonly lower?: Key;
  readonly upper?: Key;
  /** Excludes the bound itself. */
  readonly lowerOpen?: boolean;
  readonly upperOpen?: boolean;
  /** From the upper end. */
  readonly reverse?: boolean;
  /** At most this many rows. */
  readonly limit?: number;
}

/** Reads inside a transaction. Do not await anything else inside one: a transaction that idles ends. */
export interface Reads {
  get(store: string, key: number | string): Promise<Row | undefined>;
  range(store: string, range: Range): Promise<Row[]>;
  count(store: string, range: Range): Promise<number>;
}

export interface Writes extends Reads {
  /** Adds or replaces a row. */
  put(store: string, row: Row): Promise<void>;
  delete(store: string, key: number | string): Promise<void>;
}

/** The device has no space left. */
export class StorageFull extends Error {
  override readonly name = "StorageFull";
}

/** The database cannot be used: closed, deleted by another tab, or broken. */
export class StorageLost extends Error {
  override readonly name: string = "StorageLost";
}

/** The database does not answer, as in a broken profile. It may have stored what was written, or not. */
export class StorageSilent extends StorageLost {
  override readonly name = "StorageSilent";
}

export interface Database {
  /** Whether rows outlive the page. */
  readonly durable: boolean;
  /** Runs `body` on one consistent state. It may run more than once, as in {@link write}. */
  read<T>(stores: readonly string[], body: (tx: Reads) => Promise<T>): Promise<T>;
  /**
   * Runs `body` and keeps all of its writes, or none if it rejects. Resolves when they are on disk ("strict"
   * durability). Write transactions run one after another, including those of other tabs. Rejects with the error of
   * `body`, StorageFull, StorageLost or StorageSilent.
   *
   * The transaction is aborted if the page leaves, and `body` runs again when the page is back. Only the last run
   * counts, so `body` must not change anything but its transaction: effects outside belong behind the returned promise.
   */
  write<T>(stores: readonly string[], body: (tx: Writes) => Promise<T>): Promise<T>;
  /** Calls `run` once if the database is closed from outside (another tab deletes it, or the browser closes it). */
  onLost(run: () => void): void;
  close(): void;
}

/** A database in memory over one whose disk is full. Rows that it holds hide those below. */
export interface Overlay extends Database {
  /**
   * Stores everything in one transaction. From then on, all transactions work on the database below. If another tab has
   * changed any of the same rows there, `salvage` stores what it needs of the rows in memory, the others are dropped,
   * and transactions that wait for this one reject with StorageLost, since they belong to the dropped state. Rejects
   * as {@link Database.write} does, and then nothing has changed.
   */
  flush(salvage: Salvage): Promise<void>;
  /** Lets `salvage` store what it needs in another database. */
  moveTo(other: Database, salvage: Salvage): Promise<void>;
}

/** `rows` returns the changed rows of a store that are in memory. May run more than once, as in {@link Database.write}. */
export type Salvage = (tx: Writes, rows: (store: string) => readonly Row[]) => Promise<void>;

export interface StorageRoot {
  /**
   * Opens a database and creates it if it is missing. Rejects with StorageLost or StorageFull if the browser denies it.
   */
  open(name: string, shape: Shape): Promise<Database>;
  /** Opens a database that lives as long as the page. */
  openMemory(shape: Shape): Promise<Database>;
  /** Opens a database in memory over the one that `below` returns. Rejects if its code cannot be loaded. */
  openOverlay(below: () => Database, shape: Shape): Promise<Overlay>;
  /** Frees space: deletes what is cached beside a database and can be loaded again (./blobs). Never rejects. */
  freeCache(name: string): Promise<void>;
  /** Deletes a database. Connections of other tabs are closed first. Never rejects. */
  remove(name: string): Promise<void>;
  /** Asks the browser not to evict stored data. Never rejects. */
  persist(): Promise<void>;
}

/** Compares keys. Returns −1, 0 or 1. */
export function compareKeys(a: Key, b: Key): number {
  if (typeof a === "number" && typeof b === "number") return a < b ? -1 : a > b ? 1 : 0;
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0;
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.min(a.length, b.length); i++) {
      const c = compareKeys(a[i] as Key, b[i] as Key);
      if (c !== 0) return c;
    }
    return a.length < b.length ? -1 : a.length > b.length ? 1 : 0;
  }
  const rank = (k: Key): number => (typeof k === "number" ? 0 : typeof k === "string" ? 1 : 2);
  return rank(a) < rank(b) ? -1 : 1;
}
