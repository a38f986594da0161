/** {@link Overlay}: a database in memory over another one, for a disk that is full. */
import {
  type Database,
  type Overlay,
  type Range,
  type Reads,
  type Row,
  type Salvage,
  type Shape,
  StorageLost,
  type StoreShape,
  type Writes,
} from "./database";
import { field, selectRows } from "./memory";

interface ChangedRow {
  /** Null: the row is deleted. */
  readonly row: Row | null;
  /** The row below when it was first changed here, as JSON. It shows whether another tab has changed it since. */
  readonly base: string;
}

/** Store → key → changed row. */
type Changes = Map<string, Map<number | string, ChangedRow>>;

const baseOf = (row: Row | undefined): string => JSON.stringify(row ?? null);

export class OverlayDatabase implements Overlay {
  readonly durable = false;
  private readonly below: () => Database;
  private readonly shape: Shape;
  /** Replaced by each write, so that running reads keep their state. */
  private changes: Changes = new Map();
  /** Writes run one after another. */
  private tail: Promise<unknown> = Promise.resolve();
  private end: "stored" | "superseded" | null = null;

  /** `below` may return another database later, after the first one was lost. */
  constructor(below: () => Database, shape: Shape) {
    this.below = below;
    this.shape = shape;
  }

  read<T>(stores: readonly string[], body: (tx: Reads) => Promise<T>): Promise<T> {
    return this.below().read(stores, (tx) => body(new OverlayTransaction(tx, this.shape, this.changes)));
  }

  write<T>(stores: readonly string[], body: (tx: Writes) => Promise<T>): Promise<T> {
    return this.turn(async () => {
      if (this.end === "superseded") throw new StorageLost("another tab has changed the same rows");
      if (this.end === "stored") return await this.below().write(stores, body);
      let changes: Changes = new Map();
      const value = await this.below().read(stores, (tx) => {
        changes = new Map([...this.changes].map(([store, rows]) => [store, new Map(rows)]));
        return body(new OverlayTransaction(tx, this.shape, changes));
      });
      this.changes = changes;
      return value;
    });
  }

  flush(salvage: Salvage): Promise<void> {
    return this.turn(async () => {
      this.end = await this.below().write(Object.keys(this.shape.stores), async (tx) => {
        if (await this.isOutdated(tx)) {
          await salvage(tx, (store) => this.rows(store));
          return "superseded";
        }
        for (const [store, rows] of this.changes)
          for (const [key, { row }] of rows) await (row ? tx.put(store, row) : tx.delete(store, key));
        return "stored";
      });
      this.changes = new Map();
    });
  }

  moveTo(other: Database, salvage: Salvage): Promise<void> {
    return this.turn(async () => {
      await other.write(Object.keys(this.shape.stores), (tx) => salvage(tx, (store) => this.rows(store)));
      this.end = "superseded";
      this.changes = new Map();
    });
  }

  onLost(run: () => void): void {
    this.below().onLost(run);
  }

  close(): void {
    this.below().close();
  }

  private async isOutdated(tx: Reads): Promise<boolean> {
    for (const [store, rows] of this.changes)
      for (const [key, { base }] of rows) if (baseOf(await tx.get(store, key)) !== base) return true;
    return false;
  }

  private rows(store: string): Row[] {
    return [...(this.changes.get(store)?.values() ?? [])].flatMap(({ row }) => (row ? [structuredClone(row)] : []));
  }

  private turn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.tail.then(work, work);
    this.tail = result.catch(() => undefined);
    return result;
  }
}

class OverlayTransaction implements Writes {
  private readonly below: Reads;
  private readonly shape: Shape;
  private readonly changes: Changes;

  constructor(below: Reads, shape: Shape, changes: Changes) {
    this.below = below;
    this.shape = shape;
    this.changes = changes;
  }

  async get(store: string, key: number | string): Promise<Row | undefined> {
    const changed = this.changes.get(store)?.get(key);
    if (!changed) return await this.below.get(store, key);
    return changed.row ? structuredClone(changed.row) : undefined;
  }

  async range(store: string, range: Range): Promise<Row[]> {
    const shape = this.shapeOf(store);
    const changed = this.changes.get(store);
    if (!changed) return await this.below.range(store, range);
    // Each changed row may hide one of those below.
    const { limit } = range;
    const stored = await this.below.range(
      store,
      limit === undefined ? range : { ...range, limit: limit + changed.size },
    );
    const rows = stored.filter((row) => !changed.has(field(row, shape.key) as number | string));
    for (const { row } of changed.values()) if (row) rows.push(row);
    return selectRows(shape, rows, range).map((row) => structuredClone(row));
  }

  async count(store: string, range: Range): Promise<number> {
    return (await this.range(store, range)).length;
  }

  async put(store: string, row: Row): Promise<void> {
    const key = field(row, this.shapeOf(store).key);
    if (typeof key !== "number" && typeof key !== "string") throw new StorageLost(`a row of ${store} has no key`);
    await this.change(store, key, structuredClone(row));
  }

  async delete(store: string, key: number | string): Promise<void> {
    this.shapeOf(store);
    await this.change(store, key, null);
  }

  private async change(store: string, key: number | string, row: Row | null): Promise<void> {
    const base = this.changes.get(store)?.get(key)?.base ?? baseOf(await this.below.get(store, key));
    let rows = this.changes.get(store);
    if (!rows) {
      rows = new Map();
      this.changes.set(store, rows);
    }
    rows.set(key, { row, base });
  }

  private shapeOf(store: string): StoreShape {
    const shape = this.shape.stores[store];
    if (!shape) throw new StorageLost(`unknown store ${store}`);
    return shape;
  }
}
