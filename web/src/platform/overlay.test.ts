import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { describe, expect, test } from "vitest";
import { type Database, type Row, type Shape, StorageFull, StorageLost } from "./database";
import { openIndexed } from "./indexed";
import { OverlayDatabase } from "./overlay";

interface Note {
  id: string;
  list: string;
  at: number;
}

const shape: Shape = {
  version: 1,
  stores: { notes: { key: "id", indexes: { place: ["list", "at", "id"] } }, other: { key: "id", indexes: {} } },
};
const note = (id: string, at: number, list = "x"): Note => ({ id, list, at });
const put = (db: Database, ...rows: Note[]): Promise<void> =>
  db.write(["notes"], async (tx) => {
    for (const row of rows) await tx.put("notes", row);
  });
const all = (db: Database): Promise<Row[]> => db.read(["notes"], (tx) => tx.range("notes", {}));
const nothing = async (): Promise<void> => undefined;

async function over(...rows: Note[]): Promise<{ disk: Database; overlay: OverlayDatabase }> {
  const disk = await openIndexed(new IDBFactory(), "test", shape, 5000);
  await put(disk, ...rows);
  return { disk, overlay: new OverlayDatabase(() => disk, shape) };
}

describe("a database over a full disk", () => {
  test("merges its rows with those below in every order, and leaves the disk as it is", async () => {
    const { disk, overlay } = await over(note("a", 1), note("b", 2), note("c", 3), note("d", 4), note("e", 1, "y"));
    await overlay.write(["notes"], async (tx) => {
      await tx.delete("notes", "b");
      await tx.put("notes", note("d", 0)); // moves to the front
      await tx.put("notes", note("f", 2.5));
      await tx.put("notes", note("e", 5)); // moves into the list
    });
    const range = (r: object): Promise<string[]> =>
      overlay.read(["notes"], async (tx) => (await tx.range("notes", r)).map((row) => (row as Note).id));
    const x = { index: "place", lower: ["x"], upper: ["x", []] };
    expect(await range(x)).toEqual(["d", "a", "f", "c", "e"]);
    for (let limit = 0; limit <= 6; limit++) {
      expect(await range({ ...x, limit })).toEqual(["d", "a", "f", "c", "e"].slice(0, limit));
      expect(await range({ ...x, limit, reverse: true })).toEqual(["e", "c", "f", "a", "d"].slice(0, limit));
    }
    expect(await range({ index: "place", lower: ["y"] })).toEqual([]);
    expect(await range({ lower: "b", upper: "e", upperOpen: true })).toEqual(["c", "d"]);
    expect(await overlay.read(["notes"], (tx) => tx.count("notes", x))).toBe(5);
    expect(await overlay.read(["notes"], (tx) => tx.get("notes", "b"))).toBeUndefined();
    expect(await all(disk)).toEqual([note("a", 1), note("b", 2), note("c", 3), note("d", 4), note("e", 1, "y")]);
  });

  test("stores everything at once when there is space again, and then works on the disk", async () => {
    const { disk, overlay } = await over(note("a", 1), note("b", 2));
    await overlay.write(["notes"], async (tx) => {
      await tx.delete("notes", "a");
      await tx.put("notes", note("b", 9));
    });
    await put(overlay, note("c", 3));
    let full = true;
    const write = disk.write.bind(disk);
    disk.write = (stores, body) =>
      write(stores, async (tx) => {
        const value = await body(tx);
        if (full) throw new StorageFull("no room");
        return value;
      });
    await expect(overlay.flush(nothing)).rejects.toThrow(StorageFull);
    expect(await all(overlay)).toEqual([note("b", 9), note("c", 3)]);
    expect(await all(disk)).toEqual([note("a", 1), note("b", 2)]);
    full = false;
    // A write that waits for the disk is not lost either.
    await Promise.all([overlay.flush(nothing), put(overlay, note("d", 4))]);
    expect(await all(disk)).toEqual([note("b", 9), note("c", 3), note("d", 4)]);
    expect(await all(overlay)).toEqual(await all(disk));
  });

  test("lets its owner choose what to keep if another tab has changed the same rows", async () => {
    const { disk, overlay } = await over(note("a", 1));
    await put(overlay, note("a", 2), note("b", 2));
    await put(overlay, note("a", 3));
    await put(disk, note("a", 7));
    const flushed = overlay.flush(async (tx, rows) => {
      expect(rows("notes")).toEqual([note("a", 3), note("b", 2)]);
      expect(rows("other")).toEqual([]);
      await tx.put("notes", note("b", 2));
    });
    // It was made for the rows that are dropped.
    await expect(put(overlay, note("c", 3))).rejects.toThrow(StorageLost);
    await flushed;
    expect(await all(disk)).toEqual([note("a", 7), note("b", 2)]);
    expect(await all(overlay)).toEqual(await all(disk));
  });

  test("can be moved to another database", async () => {
    const { overlay } = await over();
    await put(overlay, note("a", 1));
    const { disk: other } = await over();
    await overlay.moveTo(other, async (tx, rows) => {
      for (const row of rows("notes")) await tx.put("notes", row);
    });
    expect(await all(other)).toEqual([note("a", 1)]);
  });
});
