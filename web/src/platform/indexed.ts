/** {@link Database} on IndexedDB. */
import { Absence } from "./absence";
import {
  type Database,
  type Range,
  type Reads,
  type Row,
  type Shape,
  StorageFull,
  StorageLost,
  StorageSilent,
  type Writes,
} from "./database";

/**
 * How often a transaction checks that it or one that it waits for makes progress, and after how many checks without any
 * it is given up. Checks instead of a deadline, and a turn of the event loop between them, because a machine that wakes
 * up runs late timers before the database answers.
 */
const CHECK_MS = 500;
const CHECKS = 6;

/**
 * Opens a database. Browsers with broken profiles may neither open nor fail: after `patienceMs` that counts as denied.
 */
export function openIndexed(
  factory: IDBFactory,
  name: string,
  shape: Shape,
  patienceMs: number,
  absence = new Absence(new EventTarget()),
): Promise<Database> {
  return new Promise((resolve, reject) => {
    let settled = false;
    const fail = (err: unknown): void => {
      settled = true;
      clearTimeout(timer);
      reject(translate(err));
    };
    const timer = setTimeout(() => fail(new StorageLost("the database did not open")), patienceMs);
    let request: IDBOpenDBRequest;
    try {
      request = factory.open(name, shape.version);
    } catch (err) {
      fail(err);
      return;
    }
    request.onupgradeneeded = (event) => upgrade(request, shape, event.oldVersion);
    request.onerror = () => fail(request.error);
    request.onsuccess = () => {
      if (settled) {
        request.result.close();
        return;
      }
      clearTimeout(timer);
      resolve(new IndexedDatabase(request.result, absence));
    };
  });
}

/**
 * Deletes a database. Resolves in any case, after at most `patienceMs`: if another tab is slow to close its connection,
 * the deletion happens later.
 */
export function removeIndexed(factory: IDBFactory, name: string, patienceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, patienceMs);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    try {
      const request = factory.deleteDatabase(name);
      request.onsuccess = done;
      request.onerror = done;
    } catch {
      done();
    }
  });
}

function upgrade(request: IDBOpenDBRequest, shape: Shape, oldVersion: number): void {
  const db = request.result;
  if (oldVersion < (shape.emptyBefore ?? 0)) for (const name of [...db.objectStoreNames]) db.deleteObjectStore(name);
  const tx = request.transaction;
  for (const [name, { key, indexes }] of Object.entries(shape.stores)) {
    const store =
      db.objectStoreNames.contains(name) && tx ? tx.objectStore(name) : db.createObjectStore(name, { keyPath: key });
    for (const [index, fields] of Object.entries(indexes)) {
      if (!store.indexNames.contains(index)) store.createIndex(index, [...fields]);
    }
  }
}

class IndexedDatabase implements Database {
  readonly durable = true;
  /** The transactions under way, with the checks since the last answer. */
  private readonly pending = new Set<{ readonly stores: readonly string[]; checks: number }>();
  private readonly db: IDBDatabase;
  private readonly absence: Absence;
  private lost: (() => void) | null = null;

  constructor(db: IDBDatabase, absence: Absence) {
    this.db = db;
    this.absence = absence;
    const onClosed = (): void => {
      db.close();
      const run = this.lost;
      this.lost = null;
      run?.();
    };
    db.onversionchange = onClosed;
    db.onclose = onClosed;
  }

  read<T>(stores: readonly string[], body: (tx: Reads) => Promise<T>): Promise<T> {
    return this.run(stores, "readonly", body);
  }

  write<T>(stores: readonly string[], body: (tx: Writes) => Promise<T>): Promise<T> {
    return this.run(stores, "readwrite", body);
  }

  onLost(run: () => void): void {
    this.lost = run;
  }

  close(): void {
    this.lost = null;
    this.db.close();
  }

  private async run<T>(
    stores: readonly string[],
    mode: IDBTransactionMode,
    body: (tx: Writes) => Promise<T>,
  ): Promise<T> {
    for (;;) {
      const { over, departures } = this.absence;
      // Without an await, so that transactions begin in the order in which they were requested.
      if (over) await over;
      try {
        return await this.attempt(stores, mode, body);
      } catch (err) {
        // Otherwise the page left, which may have aborted the transaction.
        if (this.absence.departures === departures) throw err;
      }
    }
  }

  private attempt<T>(
    stores: readonly string[],
    mode: IDBTransactionMode,
    body: (tx: Writes) => Promise<T>,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      let tx: IDBTransaction;
      try {
        tx = this.db.transaction([...stores], mode, { durability: mode === "readwrite" ? "strict" : "default" });
      } catch (err) {
        reject(translate(err));
        return;
      }
      let outcome: { value: T } | { error: unknown } | null = null;
      const unwatch = this.absence.watch(tx);
      const mine = { stores, checks: 0 };
      this.pending.add(mine);
      const onAnswer = (): void => {
        // Also for those on the same stores, which may have to wait for this one.
        for (const other of this.pending) if (other.stores.some((name) => stores.includes(name))) other.checks = 0;
      };
      let timer: ReturnType<typeof setTimeout>;
      const checkLater = (): void => {
        if (this.pending.has(mine)) timer = setTimeout(check, CHECK_MS);
      };
      const check = (): void => {
        if (++mine.checks < CHECKS) {
          nextTurn(checkLater);
          return;
        }
        ended();
        reject(new StorageSilent("the database does not answer"));
        try {
          tx.abort();
        } catch {
          // It is being committed, and may still succeed.
        }
      };
      checkLater();
      const ended = (): void => {
        this.pending.delete(mine);
        clearTimeout(timer);
        unwatch();
      };
      tx.oncomplete = () => {
        ended();
        if (outcome && "value" in outcome) resolve(outcome.value);
        else reject(outcome ? outcome.error : new StorageLost("the transaction ended too early"));
      };
      tx.onabort = () => {
        ended();
        reject(outcome && "error" in outcome ? outcome.error : translate(tx.error));
      };
      body(new Transaction(tx, onAnswer)).then(
        (value) => {
          outcome = { value };
          // All requests were made, so this ends the transaction a turn earlier.
          try {
            tx.commit();
          } catch {
            // The transaction has ended or is failing. Its own events report that.
          }
        },
        (error: unknown) => {
          outcome = { error: translate(error) };
          try {
            tx.abort();
          } catch {
            reject(outcome.error); // it had ended before
          }
        },
      );
    });
  }
}

class Transaction implements Writes {
  private readonly tx: IDBTransaction;
  private readonly onAnswer: () => void;

  /** `onAnswer` is called when the database has answered a request. */
  constructor(tx: IDBTransaction, onAnswer: () => void) {
    this.tx = tx;
    this.onAnswer = onAnswer;
  }

  private settle<T>(request: IDBRequest<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      request.onsuccess = () => {
        this.onAnswer();
        resolve(request.result);
      };
      request.onerror = () => reject(translate(request.error));
    });
  }

  get(store: string, key: number | string): Promise<Row | undefined> {
    return this.settle(this.tx.objectStore(store).get(key) as IDBRequest<Row | undefined>);
  }

  range(store: string, range: Range): Promise<Row[]> {
    const source = this.source(store, range);
    const query = keyRange(range);
    if (range.reverse !== true) return this.settle(source.getAll(query, range.limit) as IDBRequest<Row[]>);
    return new Promise((resolve, reject) => {
      const rows: Row[] = [];
      const limit = range.limit ?? Number.POSITIVE_INFINITY;
      if (limit <= 0) {
        resolve(rows);
        return;
      }
      const request = source.openCursor(query, "prev");
      request.onerror = () => reject(translate(request.error));
      request.onsuccess = () => {
        this.onAnswer();
        const cursor = request.result;
        if (cursor) rows.push(cursor.value as Row);
        if (!cursor || rows.length >= limit) resolve(rows);
        else cursor.continue();
      };
    });
  }

  count(store: string, range: Range): Promise<number> {
    return this.settle(this.source(store, range).count(keyRange(range)));
  }

  async put(store: string, row: Row): Promise<void> {
    await this.settle(this.tx.objectStore(store).put(row));
  }

  async delete(store: string, key: number | string): Promise<void> {
    await this.settle(this.tx.objectStore(store).delete(key));
  }

  private source(store: string, range: Range): IDBObjectStore | IDBIndex {
    const s = this.tx.objectStore(store);
    return range.index === undefined ? s : s.index(range.index);
  }
}

/** Calls `run` in a later turn of the event loop, whatever the timers of the page do. */
function nextTurn(run: () => void): void {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    run();
  };
  port2.postMessage(null);
}

function keyRange(r: Range): IDBKeyRange | undefined {
  if (r.lower !== undefined && r.upper !== undefined) {
    return IDBKeyRange.bound(r.lower, r.upper, r.lowerOpen ?? false, r.upperOpen ?? false);
  }
  if (r.lower !== undefined) return IDBKeyRange.lowerBound(r.lower, r.lowerOpen ?? false);
  if (r.upper !== undefined) return IDBKeyRange.upperBound(r.upper, r.upperOpen ?? false);
  return undefined;
}

/** Translates errors of the browser to those of this port. An error that a transaction's body threw is unchanged. */
function translate(err: unknown): unknown {
  if (!(err instanceof DOMException)) return err ?? new StorageLost("the transaction was aborted");
  if (err.name === "QuotaExceededError") return new StorageFull(err.message, { cause: err });
  return new StorageLost(`${err.name}: ${err.message}`, { cause: err });
}
