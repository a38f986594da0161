/**
 * The local store of one user on this device. It opens the database, falls back to memory if the browser denies
 * storage, frees space when the device is full, and reports every change.
 *
 * If freeing space does not help, everything goes on in memory over the full disk (`storage` is "overflow"). From time to
 * time, this is moved to the disk in one transaction. Until then, the engine must not promise anything that depends on
 * it: see {@link LocalStore.full} and {@link LocalStore.readDisk}.
 */
import { type Database, type Overlay, type Salvage, StorageFull, StorageSilent } from "../../platform/database";
import type { Cancel, Platform } from "../../platform/platform";
import type { StorageState } from "../interface/storage";
import { type Readable, type Unsubscribe, Value } from "../observable";
import { type Change, EVERYTHING } from "./change";
import { ALL, SHAPE } from "./rows";
import { prune } from "./prune";
import { loadChangeRules } from "./rules";
import { salvage } from "./salvage";
import { type ChangeRules, ReadTx, RulesMissing, WriteTx } from "./tx";

/**
 * The delay before a lost database is opened again. A sign-out in another tab, which also closes it, is known by then.
 */
const REOPEN_MS = 1_000;
/** How often to test whether a full device has space again. */
const PROBE_MS = 10_000;

/** Code that a transaction needs could not be loaded. */
export class CodeMissing extends Error {
  override readonly name = "CodeMissing";
}

/** The name of the database of a user. */
export function databaseName(uid: string): string {
  return `phoenix:${uid}`;
}

export class LocalStore {
  private readonly platform: Platform;
  private readonly name: string;
  private readonly listeners = new Set<(change: Change) => void>();
  private readonly state: Value<StorageState>;
  private disk: Database;
  /** Holds the rows that do not fit on the disk. Null while the disk has space. */
  private overlay: Overlay | null = null;
  private closed = false;
  private probing: Cancel | null = null;
  private replacing: Promise<void> | null = null;
  private rules: ChangeRules | null;

  /**
   * Opens the store. Never rejects: without storage, the data stays in memory. Tests pass the rules of changes, so that
   * nothing is loaded while their clock stands still.
   */
  static async open(platform: Platform, uid: string, rules: ChangeRules | null = null): Promise<LocalStore> {
    const name = databaseName(uid);
    try {
      return new LocalStore(platform, name, await platform.storage.open(name, SHAPE), rules);
    } catch (err) {
      platform.report("storage is denied; messages are lost when this tab is closed", err);
      return new LocalStore(platform, name, await platform.storage.openMemory(SHAPE), rules);
    }
  }

  private constructor(platform: Platform, name: string, db: Database, rules: ChangeRules | null) {
    this.rules = rules;
    this.platform = platform;
    this.name = name;
    this.disk = db;
    this.state = new Value<StorageState>(db.durable ? "durable" : "memory");
    this.watchForLoss();
  }

  get storage(): Readable<StorageState> {
    return this.state;
  }

  /** Whether stored data outlives this tab and is shared with other tabs. */
  get shared(): boolean {
    return this.db.durable;
  }

  /** Whether what was written may be in memory only, over a full disk. */
  get full(): boolean {
    return this.overlay !== null;
  }

  private get db(): Database {
    return this.overlay ?? this.disk;
  }

  /** Reads what is stored for the next page, without what is in memory only. */
  readDisk<T>(body: (tx: ReadTx) => Promise<T>): Promise<T> {
    return this.disk.read(ALL, (tx) => body(new ReadTx(tx)));
  }

  /** Rejects with StorageLost if the database is gone. */
  read<T>(body: (tx: ReadTx) => Promise<T>): Promise<T> {
    return this.answered((db) => db.read(ALL, (tx) => body(new ReadTx(tx))));
  }

  /** Runs a transaction. If the database does not answer, everything goes on in memory, this transaction included. */
  private async answered<T>(run: (db: Database) => Promise<T>): Promise<T> {
    const { db } = this;
    try {
      return await run(db);
    } catch (err) {
      if (!(err instanceof StorageSilent) || this.closed) throw err;
      if (this.db === db) {
        this.platform.report("storage does not answer; messages are lost when this tab is closed", err);
        await (this.replacing ??= this.useMemory().finally(() => (this.replacing = null)));
      }
      return await run(this.db);
    }
  }

  /** Replaces the database by an empty one in memory. The server has everything but messages that were never sent. */
  private async useMemory(): Promise<void> {
    const memory = await this.platform.storage.openMemory(SHAPE);
    await this.overlay?.moveTo(memory, this.salvageRows);
    if (this.closed) return;
    this.disk.close();
    this.disk = memory;
    this.overlay = null;
    this.state.set("memory");
    this.notify(EVERYTHING);
  }

  /**
   * Runs `body` in one transaction and reports the changes. They are on disk then, unless the store is {@link full}.
   * Rejects with StorageLost, with CodeMissing, and with StorageFull if there is no space even after old history was
   * pruned and the code that goes on in memory cannot be loaded. Nothing is written in that case.
   */
  async write<T>(body: (tx: WriteTx) => Promise<T>): Promise<T> {
    try {
      return await this.writeOrPrune(body);
    } catch (err) {
      if (!(err instanceof RulesMissing)) throw err;
    }
    try {
      // A transaction cannot wait for code, so this is between two attempts.
      this.rules = await loadChangeRules();
    } catch (cause) {
      throw new CodeMissing("the rules of changes could not be loaded", { cause });
    }
    return await this.writeOrPrune(body);
  }

  private async writeOrPrune<T>(body: (tx: WriteTx) => Promise<T>): Promise<T> {
    try {
      return await this.attempt(body);
    } catch (err) {
      if (!(err instanceof StorageFull)) throw err;
    }
    try {
      await this.platform.storage.freeCache(this.name);
      await this.attempt((tx) => prune(tx), false);
      return await this.attempt(body);
    } catch (err) {
      if (!(err instanceof StorageFull)) throw err;
      await this.coverDisk(err);
      return await this.attempt(body);
    }
  }

  /** Goes on in memory. Rejects with `full` if that is impossible. */
  private async coverDisk(full: StorageFull): Promise<void> {
    this.probeLater();
    try {
      const overlay = await this.platform.storage.openOverlay(() => this.disk, SHAPE);
      this.overlay ??= overlay;
    } catch (err) {
      this.platform.report("new messages cannot be shown while the disk is full", err);
      this.state.set("full");
      throw full;
    }
    this.state.set("overflow");
  }

  /** Tests periodically whether there is space again. */
  private probeLater(): void {
    this.probing ??= this.platform.clock.after(PROBE_MS, () => {
      this.probing = null;
      void this.probe();
    });
  }

  private async probe(): Promise<void> {
    const { overlay } = this;
    if (this.closed) return;
    try {
      if (overlay) await overlay.flush(this.salvageRows);
      else await this.attempt((tx) => tx.putMeta({ name: "probe", at: this.platform.clock.now() }));
    } catch (err) {
      if (!(err instanceof StorageFull)) this.platform.report("the free space could not be tested", err);
      this.probeLater();
      return;
    }
    if (this.closed || !overlay || this.overlay !== overlay) return;
    this.overlay = null;
    this.noteSpace();
    this.notify(EVERYTHING);
  }

  /** There is space, or this tab keeps everything in memory. */
  private noteSpace(): void {
    this.state.set(this.disk.durable ? "durable" : "memory");
  }

  /** `proves`: success shows that there is space. */
  private async attempt<T>(body: (tx: WriteTx) => Promise<T>, proves = true): Promise<T> {
    let change: Change | null = null;
    const value = await this.answered((db) =>
      db.write(ALL, async (writes) => {
        const tx = new WriteTx(writes, this.rules);
        const result = await body(tx);
        await tx.flush();
        change = tx.changes.done();
        return result;
      }),
    );
    if (proves && !this.overlay) this.noteSpace();
    if (change) this.notify(change);
    return value;
  }

  /** Calls `run` after each change of this tab and, through {@link notify}, of other tabs. */
  onChange(run: (change: Change) => void): Unsubscribe {
    this.listeners.add(run);
    return () => this.listeners.delete(run);
  }

  /** Calls the listeners with a change, for example one that another tab made. */
  notify(change: Change): void {
    for (const run of [...this.listeners]) run(change);
  }

  /** Closes the store. Every later call rejects with StorageLost. */
  close(): void {
    this.closed = true;
    this.probing?.();
    this.listeners.clear();
    this.disk.close();
  }

  private readonly salvageRows: Salvage = async (writes, rows) => {
    const tx = new WriteTx(writes, this.rules);
    await salvage(tx, rows);
    await tx.flush();
  };

  private watchForLoss(): void {
    this.disk.onLost(() => {
      this.platform.report("the database was closed from outside");
      this.platform.clock.after(REOPEN_MS, () => void this.reopen());
    });
  }

  private async reopen(): Promise<void> {
    if (this.closed) return;
    try {
      const db = await this.platform.storage.open(this.name, SHAPE);
      if (this.closed) {
        db.close();
        return;
      }
      this.disk = db;
      if (!this.overlay) this.noteSpace();
      this.watchForLoss();
      this.notify(EVERYTHING);
    } catch (err) {
      this.platform.report("storage is denied; messages are lost when this tab is closed", err);
      await this.useMemory().catch(() => {
        // Its code could not be loaded.
        this.platform.clock.after(REOPEN_MS * 10, () => void this.reopen());
      });
    }
  }
}
