/** {@link Database} in memory: for browsers that deny storage, and for tests. */
import {
  compareKeys,
  type Database,
  type Key,
  type Range,
  type Reads,
  type Row,
  type Shape,
  StorageLost,
  type StoreShape,
  type Writes,
} from "./database";

type Table = Map<number | string, Row>;

/** The data that memory databases of one name share. A test keeps it over a "restart". */
export class MemoryDisk {
  readonly shape: Shape;
  readonly tables = new Map<string, Table>();
  /** Transactions run one after another. */
  tail: Promise<unknown> = Promise.resolve();

  constructor(shape: Shape) {
    this.shape = shape;
    for (const name of Object.keys(shape.stores)) this.tables.set(name, new Map());
  }
}

export class MemoryDatabase implements Database {
  readonly durable = false;
  private readonly disk: MemoryDisk;
  private closed = false;

  constructor(disk: MemoryDisk) {
    this.disk = disk;
  }

  read<T>(_stores: readonly string[], body: (tx: Reads) => Promise<T>): Promise<T> {
    return this.turn(() => body(new MemoryTransaction(this.disk)));
  }

  write<T>(_stores: readonly string[], body: (tx: Writes) => Promise<T>): Promise<T> {
    return this.turn(async () => {
      const tx = new MemoryTransaction(this.disk);
      const value = await body(tx);
      // If the page ended meanwhile, nothing is written.
      if (this.closed) throw new StorageLost("the database was closed during the transaction");
      tx.commit();
      return value;
    });
  }

  onLost(_run: () => void): void {
    // Nothing else can close it.
  }

  close(): void {
    this.closed = true;
  }

  private turn<T>(work: () => Promise<T>): Promise<T> {
    const run = async (): Promise<T> => {
      if (this.closed) throw new StorageLost("the database is closed");
      return await work();
    };
    const result = this.disk.tail.then(run, run);
    this.disk.tail = result.catch(() => undefined);
    return result;
  }
}

class MemoryTransaction implements Writes {
  private readonly disk: MemoryDisk;
  /** Store → key → the new row, or null for a deleted one. */
  private readonly changed = new Map<string, Map<number | string, Row | null>>();

  constructor(disk: MemoryDisk) {
    this.disk = disk;
  }

  async get(store: string, key: number | string): Promise<Row | undefined> {
    const changed = this.changed.get(store)?.get(key);
    const row = changed === undefined ? this.table(store).get(key) : changed;
    return row ? structuredClone(row) : undefined;
  }

  async range(store: string, range: Range): Promise<Row[]> {
    return this.select(store, range).map((row) => structuredClone(row));
  }

  async count(store: string, range: Range): Promise<number> {
    return this.select(store, range).length;
  }

  async put(store: string, row: Row): Promise<void> {
    const key = field(row, this.shapeOf(store).key);
    if (typeof key !== "number" && typeof key !== "string") throw new StorageLost(`a row of ${store} has no key`);
    this.changes(store).set(key, structuredClone(row));
  }

  async delete(store: string, key: number | string): Promise<void> {
    this.changes(store).set(key, null);
  }

  commit(): void {
    for (const [store, rows] of this.changed) {
      const table = this.table(store);
      for (const [key, row] of rows) {
        if (row === null) table.delete(key);
        else table.set(key, row);
      }
    }
  }

  private select(store: string, range: Range): Row[] {
    const rows: Row[] = [];
    const changed = this.changed.get(store);
    for (const [primary, row] of this.table(store)) if (!changed?.has(primary)) rows.push(row);
    for (const row of changed?.values() ?? []) if (row) rows.push(row);
    return selectRows(this.shapeOf(store), rows, range);
  }

  private changes(store: string): Map<number | string, Row | null> {
    this.shapeOf(store);
    let changes = this.changed.get(store);
    if (!changes) {
      changes = new Map();
      this.changed.set(store, changes);
    }
    return changes;
  }

  private table(store: string): Table {
    const table = this.disk.tables.get(store);
    if (!table) throw new StorageLost(`unknown store ${store}`);
    return table;
  }

  private shapeOf(store: string): StoreShape {
    const shape = this.disk.shape.stores[store];
    if (!shape) throw new StorageLost(`unknown store ${store}`);
    return shape;
  }
}

/** Returns the rows of a store that are in a range, in its order. Throws StorageLost if the index is unknown. */
export function selectRows(shape: StoreShape, rows: Iterable<Row>, range: Range): Row[] {
  const fields = range.index === undefined ? null : shape.indexes[range.index];
  if (fields === undefined) throw new StorageLost(`there is no index ${range.index}`);
  const found: { key: Key; primary: Key; row: Row }[] = [];
  for (const row of rows) {
    const primary = field(row, shape.key) as number | string;
    const key = fields === null ? primary : indexKey(row, fields);
    if (key !== null && within(key, range)) found.push({ key, primary, row });
  }
  found.sort((a, b) => compareKeys(a.key, b.key) || compareKeys(a.primary, b.primary));
  if (range.reverse === true) found.reverse();
  return found.slice(0, range.limit).map((f) => f.row);
}

export function field(row: Row, name: string): unknown {
  return (row as Readonly<Record<string, unknown>>)[name];
}

/**
 * Returns the key of a row in an index, or null if a field is missing or not a valid key. The index then skips the row.
 */
function indexKey(row: Row, fields: readonly string[]): Key | null {
  const key: Key[] = [];
  for (const name of fields) {
    const value = field(row, name);
    if (typeof value !== "number" && typeof value !== "string") return null;
    key.push(value);
  }
  return key;
}

function within(key: Key, r: Range): boolean {
  if (r.lower !== undefined) {
    const c = compareKeys(key, r.lower);
    if (c < 0 || (c === 0 && r.lowerOpen === true)) return false;
  }
  if (r.upper !== undefined) {
    const c = compareKeys(key, r.upper);
    if (c > 0 || (c === 0 && r.upperOpen === true)) return false;
  }
  return true;
}
