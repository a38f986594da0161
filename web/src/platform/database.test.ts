import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { compareKeys, type Database, type Key, type Shape, StorageFull, StorageLost, StorageSilent } from "./database";
import { Absence } from "./absence";
import { openIndexed, removeIndexed } from "./indexed";
import { MemoryDatabase, MemoryDisk } from "./memory";
import { OverlayDatabase } from "./overlay";

interface Note {
  id: string;
  list: string;
  at: number;
  due?: number;
}

const shape: Shape = {
  version: 1,
  stores: {
    notes: { key: "id", indexes: { place: ["list", "at", "id"], due: ["due"] } },
    other: { key: "id", indexes: {} },
  },
};

const note = (id: string, list: string, at: number, due?: number): Note => ({
  id,
  list,
  at,
  ...(due === undefined ? {} : { due }),
});
const ids = (rows: object[]): string[] => rows.map((r) => (r as Note).id);

let factory: IDBFactory;
beforeEach(() => {
  factory = new IDBFactory();
});

const kinds: [string, () => Promise<{ db: Database; again: () => Promise<Database> }>][] = [
  [
    "IndexedDB",
    async () => {
      const open = (): Promise<Database> => openIndexed(factory, "test", shape, 5000);
      return { db: await open(), again: open };
    },
  ],
  [
    "memory",
    async () => {
      const disk = new MemoryDisk(shape);
      const open = async (): Promise<Database> => new MemoryDatabase(disk);
      return { db: await open(), again: open };
    },
  ],
  [
    "memory over a full disk",
    async () => {
      const disk = await openIndexed(factory, "test", shape, 5000);
      const over = new OverlayDatabase(() => disk, shape);
      return { db: over, again: async () => over };
    },
  ],
];

describe.each(kinds)("a database in %s", (_kind, make) => {
  async function filled(): Promise<{ db: Database; again: () => Promise<Database> }> {
    const made = await make();
    await made.db.write(["notes"], async (tx) => {
      await tx.put("notes", note("c", "x", 3, 30));
      await tx.put("notes", note("a", "x", 1));
      await tx.put("notes", note("b", "x", 2, 20));
      await tx.put("notes", note("d", "y", 1));
    });
    return made;
  }

  test("returns stored rows as copies", async () => {
    const { db } = await make();
    const row = note("a", "x", 1);
    await db.write(["notes"], (tx) => tx.put("notes", row));
    row.at = 9;
    const got = await db.read(["notes"], (tx) => tx.get("notes", "a"));
    expect(got).toEqual(note("a", "x", 1));
    expect(await db.read(["notes"], (tx) => tx.get("notes", "zz"))).toBeUndefined();
  });

  test("reads ranges of an index in both directions, with bounds", async () => {
    const { db } = await filled();
    const range = (r: object): Promise<string[]> => db.read(["notes"], async (tx) => ids(await tx.range("notes", r)));
    expect(await range({})).toEqual(["a", "b", "c", "d"]);
    expect(await range({ index: "place", lower: ["x"], upper: ["x", []] })).toEqual(["a", "b", "c"]);
    expect(await range({ index: "place", lower: ["x"], upper: ["x", []], reverse: true, limit: 2 })).toEqual([
      "c",
      "b",
    ]);
    expect(
      await range({ index: "place", lower: ["x", 1, "a"], lowerOpen: true, upper: ["x", 3, "c"], upperOpen: true }),
    ).toEqual(["b"]);
    expect(await range({ index: "due" })).toEqual(["b", "c"]);
    expect(await range({ index: "due", upper: [20] })).toEqual(["b"]);
    expect(await range({ limit: 0, reverse: true })).toEqual([]);
    expect(
      await db.read(["notes"], (tx) => tx.count("notes", { index: "place", lower: ["x", 2], upper: ["x", []] })),
    ).toBe(2);
  });

  test("sees its own writes inside a transaction", async () => {
    const { db } = await filled();
    await db.write(["notes"], async (tx) => {
      await tx.put("notes", note("e", "x", 0, 5));
      await tx.delete("notes", "b");
      expect(ids(await tx.range("notes", { index: "place", lower: ["x"], upper: ["x", []] }))).toEqual(["e", "a", "c"]);
      expect(await tx.get("notes", "b")).toBeUndefined();
      expect(await tx.count("notes", { index: "due" })).toBe(2);
    });
  });

  test("keeps nothing of a transaction whose body fails", async () => {
    const { db, again } = await filled();
    const failing = db.write(["notes", "other"], async (tx) => {
      await tx.put("notes", note("a", "x", 99));
      await tx.delete("notes", "b");
      await tx.put("other", { id: "o" });
      throw new RangeError("no");
    });
    await expect(failing).rejects.toThrow(RangeError);
    const second = await again();
    expect(await second.read(["notes"], (tx) => tx.get("notes", "a"))).toEqual(note("a", "x", 1));
    expect(await second.read(["notes"], (tx) => tx.get("notes", "b"))).toEqual(note("b", "x", 2, 20));
    expect(await second.read(["other"], (tx) => tx.count("other", {}))).toBe(0);
  });

  test("runs writes one after another, also from two connections", async () => {
    const { db, again } = await make();
    const second = await again();
    const add = (d: Database): Promise<void> =>
      d.write(["notes"], async (tx) => {
        const row = (await tx.get("notes", "n")) as Note | undefined;
        await tx.put("notes", note("n", "x", (row?.at ?? 0) + 1));
      });
    await Promise.all(Array.from({ length: 20 }, (_, i) => add(i % 2 ? db : second)));
    expect(await db.read(["notes"], (tx) => tx.get("notes", "n"))).toMatchObject({ at: 20 });
  });

  test("rejects with StorageLost after it was closed", async () => {
    const { db } = await make();
    db.close();
    await expect(db.read(["notes"], (tx) => tx.get("notes", "a"))).rejects.toThrow(StorageLost);
    await expect(db.write(["notes"], (tx) => tx.delete("notes", "a"))).rejects.toThrow(StorageLost);
  });
});

test("removing a database closes the connections of other tabs and deletes all rows", async () => {
  const db = await openIndexed(factory, "test", shape, 5000);
  await db.write(["notes"], (tx) => tx.put("notes", note("a", "x", 1)));
  let lost = 0;
  db.onLost(() => lost++);
  await removeIndexed(factory, "test", 5000);
  expect(lost).toBe(1);
  await expect(db.read(["notes"], (tx) => tx.get("notes", "a"))).rejects.toThrow(StorageLost);
  const anew = await openIndexed(factory, "test", shape, 5000);
  expect(await anew.read(["notes"], (tx) => tx.count("notes", {}))).toBe(0);
});

test("a later version adds missing stores and indexes, and keeps the rows", async () => {
  const db = await openIndexed(factory, "test", shape, 5000);
  await db.write(["notes"], (tx) => tx.put("notes", note("a", "x", 1)));
  db.close();
  const later: Shape = {
    version: 2,
    stores: {
      ...shape.stores,
      notes: { key: "id", indexes: { place: ["list", "at", "id"], due: ["due"], at: ["at"] } },
      more: { key: "id", indexes: {} },
    },
  };
  const anew = await openIndexed(factory, "test", later, 5000);
  expect(ids(await anew.read(["notes", "more"], (tx) => tx.range("notes", { index: "at", lower: [1] })))).toEqual([
    "a",
  ]);
});

test("a later version whose rows have another form empties the database", async () => {
  const db = await openIndexed(factory, "test", shape, 5000);
  await db.write(["notes"], (tx) => tx.put("notes", note("a", "x", 1)));
  db.close();
  const later: Shape = { ...shape, version: 2, emptyBefore: 2 };
  const emptied = await openIndexed(factory, "test", later, 5000);
  expect(await emptied.read(["notes"], (tx) => tx.count("notes", {}))).toBe(0);
  await emptied.write(["notes"], (tx) => tx.put("notes", note("b", "x", 2)));
  emptied.close();
  const reopened = await openIndexed(factory, "test", later, 5000);
  expect(ids(await reopened.read(["notes"], (tx) => tx.range("notes", {})))).toEqual(["b"]);
});

test("denied storage rejects with StorageLost", async () => {
  const denying = {
    open: () => {
      throw new DOMException("denied", "SecurityError");
    },
  } as unknown as globalThis.IDBFactory;
  await expect(openIndexed(denying, "test", shape, 5000)).rejects.toThrow(StorageLost);
});

test("a database that stops answering rejects with StorageSilent after 3 s, but not one that is slow", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  /** Lets half a second pass, and then a turn of the event loop. */
  const check = async (): Promise<void> => {
    vi.advanceTimersByTime(500);
    await new Promise((turn) => setImmediate(turn));
  };
  try {
    const requests: { onsuccess?: () => void }[] = [];
    const tx = {
      oncomplete: (): void => undefined,
      objectStore: () => ({ get: () => requests[requests.push({}) - 1] }),
      commit: () => tx.oncomplete(),
      abort: vi.fn(),
    };
    const opened = { result: { transaction: () => tx, close: () => undefined }, onsuccess: (): void => undefined };
    const factory = { open: () => opened } as unknown as IDBFactory;
    const opening = openIndexed(factory, "test", shape, 5000);
    opened.onsuccess();
    const db = await opening;
    const answer = async (): Promise<void> => {
      requests.at(-1)?.onsuccess?.();
      await Promise.resolve();
    };

    const slow = db.read(["notes"], async (reads) => {
      for (let n = 0; n < 3; n++) await reads.get("notes", "a");
      return "done";
    });
    for (let n = 0; n < 3; n++) {
      for (let checks = 0; checks < 5; checks++) await check();
      await answer();
    }
    expect(await slow).toBe("done");
    expect(vi.getTimerCount()).toBe(0);

    const silent = db.write(["notes"], (writes) => writes.get("notes", "a"));
    vi.advanceTimersByTime(60_000); // at once, as when a machine wakes up: that is one check
    await new Promise((turn) => setImmediate(turn));
    for (let checks = 0; checks < 4; checks++) await check();
    expect(tx.abort).not.toHaveBeenCalled();
    vi.advanceTimersByTime(500);
    await expect(silent).rejects.toThrow(StorageSilent);
    expect(tx.abort).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test("a transaction that waits for a slow one of the same rows is not silent, but one of other rows is", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    const requests: { onsuccess?: () => void }[] = [];
    const transactions: { oncomplete: () => void }[] = [];
    const transaction = (): object => {
      const tx = {
        oncomplete: (): void => undefined,
        objectStore: () => ({ get: () => requests[requests.push({}) - 1] }),
        commit: () => undefined,
        abort: () => undefined,
      };
      transactions.push(tx);
      return tx;
    };
    const opened = { result: { transaction, close: () => undefined }, onsuccess: (): void => undefined };
    const opening = openIndexed({ open: () => opened } as unknown as IDBFactory, "test", shape, 5000);
    opened.onsuccess();
    const db = await opening;
    const outcomes: string[] = [];
    const watch = (name: string, outcome: Promise<unknown>): void => {
      outcome.then(
        () => outcomes.push(`${name} done`),
        (err: unknown) => outcomes.push(`${name} ${err instanceof StorageSilent ? "silent" : String(err)}`),
      );
    };
    watch(
      "slow",
      db.write(["notes"], async (writes) => {
        for (let n = 0; n < 4; n++) await writes.get("notes", "a");
      }),
    );
    watch(
      "behind",
      db.write(["notes"], (writes) => writes.get("notes", "a")),
    );
    watch(
      "other",
      db.write(["other"], (writes) => writes.get("other", "a")),
    );
    const [first, second] = requests;
    for (const answer of [first, ...Array.from({ length: 3 }, () => null)]) {
      for (let checks = 0; checks < 5; checks++) {
        vi.advanceTimersByTime(500);
        await new Promise((turn) => setImmediate(turn));
      }
      (answer ?? requests.at(-1))?.onsuccess?.();
      await new Promise((turn) => setImmediate(turn));
    }
    expect(outcomes).toEqual(["other silent"]);
    transactions[0]?.oncomplete();
    second?.onsuccess?.();
    await new Promise((turn) => setImmediate(turn));
    transactions[1]?.oncomplete();
    await new Promise((turn) => setImmediate(turn));
    expect(outcomes).toEqual(["other silent", "slow done", "behind done"]);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test("a full disk rejects with StorageFull and keeps nothing, whether the put or the commit fails", async () => {
  const full = (): DOMException => new DOMException("no room", "QuotaExceededError");
  const db = await openIndexed(factory, "test", shape, 5000);
  await db.write(["notes"], (tx) => tx.put("notes", note("a", "x", 1)));
  // eslint-disable-next-line @typescript-eslint/unbound-method -- only put back, never called
  const { put } = IDBObjectStore.prototype;

  // Thrown at once, as WebKit does.
  IDBObjectStore.prototype.put = () => {
    throw full();
  };
  try {
    await expect(db.write(["notes"], (tx) => tx.put("notes", note("b", "x", 2)))).rejects.toThrow(StorageFull);
  } finally {
    IDBObjectStore.prototype.put = put;
  }

  // Reported when the transaction ends, as Chromium does: the put itself succeeds.
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its own `this`, and put back
  const { transaction } = IDBDatabase.prototype;
  IDBDatabase.prototype.transaction = function (this: IDBDatabase, ...args: Parameters<typeof transaction>) {
    const tx = transaction.apply(this, args);
    Object.defineProperty(tx, "error", { get: full });
    tx.commit = () => tx.abort();
    return tx;
  };
  try {
    await expect(db.write(["notes"], (tx) => tx.put("notes", note("c", "x", 3)))).rejects.toThrow(StorageFull);
  } finally {
    IDBDatabase.prototype.transaction = transaction;
  }
  expect(ids(await db.read(["notes"], (tx) => tx.range("notes", {})))).toEqual(["a"]);
  // There is space again.
  await db.write(["notes"], (tx) => tx.put("notes", note("d", "x", 4)));
  expect(ids(await db.read(["notes"], (tx) => tx.range("notes", {})))).toEqual(["a", "d"]);
});

test("writes are on disk before they are confirmed, and reads do not wait for the disk", async () => {
  const db = await openIndexed(factory, "test", shape, 5000);
  const modes: string[] = [];
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its own `this`, and put back
  const { transaction } = IDBDatabase.prototype;
  IDBDatabase.prototype.transaction = function (this: IDBDatabase, ...args: Parameters<typeof transaction>) {
    modes.push(`${args[1] ?? ""} ${args[2]?.durability ?? ""}`);
    return transaction.apply(this, args);
  };
  try {
    await db.write(["notes"], (tx) => tx.put("notes", note("a", "x", 1)));
    await db.read(["notes"], (tx) => tx.get("notes", "a"));
  } finally {
    IDBDatabase.prototype.transaction = transaction;
  }
  expect(modes).toEqual(["readwrite strict", "readonly default"]);
});

test("keys are ordered as in IndexedDB", () => {
  const keys: Key[] = [1, 2, "", "a", "b", [], [1], [1, "a"], [1, "b"], [2], ["a"], ["a", []]];
  for (let i = 0; i < keys.length; i++)
    for (let j = 0; j < keys.length; j++) {
      const a = keys[i] as Key;
      const b = keys[j] as Key;
      expect(compareKeys(a, b)).toBe(Math.sign(i - j));
      expect(compareKeys(a, b)).toBe(indexedDB.cmp(a, b));
    }
});

test("a page that leaves in the middle of a transaction lets other pages work, and repeats it when it is back", async () => {
  const page = new EventTarget();
  const here = await openIndexed(factory, "test", shape, 5000, new Absence(page));
  const there = await openIndexed(factory, "test", shape, 5000);
  let runs = 0;
  const add = here.write(["notes"], async (tx) => {
    const left = ++runs === 1;
    const row = (await tx.get("notes", "n")) as Note | undefined;
    await tx.put("notes", note("n", "x", (row?.at ?? 0) + 1));
    if (left) page.dispatchEvent(new Event("pagehide"));
    await tx.put("notes", note("m", "x", 5));
  });
  const read = here.read(["notes"], (tx) => tx.get("notes", "m"));
  // The other page is not kept waiting, and sees nothing of the aborted transaction.
  await there.write(["notes"], async (tx) => {
    expect(await tx.count("notes", {})).toBe(0);
    await tx.put("notes", note("n", "x", 10));
  });
  expect(runs).toBe(1);
  // Nothing begins while the page is away.
  const later = here.write(["notes"], (tx) => tx.put("notes", note("later", "x", 7)));
  expect(await there.read(["notes"], (tx) => tx.count("notes", {}))).toBe(1);
  page.dispatchEvent(new Event("pageshow"));
  await Promise.all([add, later]);
  expect(runs).toBe(2);
  expect(await read).toEqual(note("m", "x", 5));
  expect(ids(await there.read(["notes"], (tx) => tx.range("notes", {})))).toEqual(["later", "m", "n"]);
  expect(await there.read(["notes"], (tx) => tx.get("notes", "n"))).toEqual(note("n", "x", 11));
});

test("an aborted transaction is repeated, too, if the page is back before it notices", async () => {
  const page = new EventTarget();
  const db = await openIndexed(factory, "test", shape, 5000, new Absence(page));
  const written = db.write(["notes"], async (tx) => {
    await tx.get("notes", "a");
    await tx.put("notes", note("a", "x", 1));
  });
  page.dispatchEvent(new Event("pagehide"));
  page.dispatchEvent(new Event("pageshow"));
  await written;
  expect(await db.read(["notes"], (tx) => tx.get("notes", "a"))).toEqual(note("a", "x", 1));
});
