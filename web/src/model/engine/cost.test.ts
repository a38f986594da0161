/** How many transactions and requests of the database the arrival of messages costs. On a slow phone they take most of the time. */
import { expect, test } from "vitest";
import type { Database, Reads, Shape, Writes } from "../../platform/database";
import { MemoryDatabase, MemoryDisk } from "../../platform/memory";
import { settle } from "../../platform/testing/fake";
import { Household } from "../testing/household";
import { event, message, Stage } from "../testing/stage";

class Counts {
  reads = 0;
  writes = 0;
  requests = 0;

  /** Opens a database in memory whose work is counted. */
  readonly open = async (_name: string, shape: Shape): Promise<Database> => {
    const db = new MemoryDatabase(new MemoryDisk(shape));
    return {
      durable: true,
      read: (stores, body) => {
        this.reads++;
        return db.read(stores, (tx) => body(this.counted(tx)));
      },
      write: (stores, body) => {
        this.writes++;
        return db.write(stores, (tx) => body({ ...this.counted(tx), ...this.countedWrites(tx) }));
      },
      onLost: (run) => db.onLost(run),
      close: () => db.close(),
    };
  };

  reset(): void {
    this.reads = this.writes = this.requests = 0;
  }

  private counted(tx: Reads): Reads {
    const one = <T>(value: T): T => {
      this.requests++;
      return value;
    };
    return {
      get: (store, key) => one(tx.get(store, key)),
      range: (store, range) => one(tx.range(store, range)),
      count: (store, range) => one(tx.count(store, range)),
    };
  }

  private countedWrites(tx: Writes): Pick<Writes, "put" | "delete"> {
    return {
      put: (store, row) => {
        this.requests++;
        return tx.put(store, row);
      },
      delete: (store, key) => {
        this.requests++;
        return tx.delete(store, key);
      },
    };
  }
}

test("a burst of messages in one conversation is two transactions, with two requests for each message", async () => {
  const counts = new Counts();
  const stage = await Stage.start(counts.open);
  const s = await stage.greeted();
  counts.reset();
  const BURST = 101;
  for (let n = 1; n <= BURST; n++) s.deliver(event(n, message(n)));
  await settle();
  expect((await stage.device.messages("bobUid000002")).length).toBe(BURST);
  // The first message does not wait for the others.
  expect(counts.writes).toBe(2);
  // Each message is looked up and stored. Everything else is read and written once for all of them.
  expect(counts.requests).toBeLessThanOrEqual(2 * BURST + 2 * 7);
});

test("a message that is read in an open conversation wakes nothing that has nothing to do", async () => {
  const counts = new Counts();
  const house = new Household();
  const me = await house.user("meUid0000001", undefined, { open: counts.open });
  const other = await house.user("otherUid0001");
  const conversation = me.chat().conversation("otherUid0001");
  await other.chat().conversation("meUid0000001").send("first");
  await house.pass(30_000);
  const [first] = conversation.timeline.get().items;
  if (!first) throw new Error("the message has not arrived");
  counts.reset();
  conversation.markRead(first.key);
  await house.pass(1_000);
  // The mark, and its echo from the server. The list, the conversation and the marks are read after each.
  expect(counts.writes).toBe(2);
  expect(counts.reads).toBeLessThanOrEqual(5);
});
