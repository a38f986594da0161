import { beforeEach, describe, expect, test } from "vitest";
import { IDBKeyRange } from "fake-indexeddb";
import type { Database } from "../src/platform/database";
import { FakePlatform } from "../src/platform/testing/fake";
import { LocalStore } from "../src/model/store/store";
import { enqueue, freeze } from "../src/model/store/outbox";
import { moveMyRead } from "../src/model/store/readMarks";
import { applyEvent, applySaved, type RuleContext } from "../src/model/store/rules";
import { emptyConversation } from "../src/model/store/tx";
import { realClock } from "./clock";
import { NotedDatabase } from "./notes";
import type { Note } from "./protocol";
import { Stored } from "./stored";

globalThis.IDBKeyRange = IDBKeyRange;

const ME = "aliceUid0001";
const BOB = "bobUid000002";
const CONVERSATION = `${ME}~${BOB}`;
const context: RuleContext = { uid: ME, now: 1_000_000, serverNow: 1_000_000_000 };
const id = (n: number): string => `019abd70-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
const received = (n: number) => ({
  id: id(n),
  conversation: CONVERSATION,
  from: BOB,
  to: ME,
  body: `message ${n}`,
  at: 1_000_000_000 + n,
  accepted_at: 1_000_000_000 + n,
});

let notes: Note[];
let stored: Stored;
let database: NotedDatabase;
let store: LocalStore;
let paged: (id: string) => boolean;

async function reopen(): Promise<void> {
  database = new NotedDatabase(await stored.open(), {
    uid: ME,
    paged: (message) => paged(message.id),
    note: (note) => notes.push(note),
  });
  const open = async (): Promise<Database> => database;
  store = await LocalStore.open(new FakePlatform({ clock: realClock, open }), ME);
}

beforeEach(async () => {
  notes = [];
  paged = () => false;
  stored = await Stored.create(ME);
  await reopen();
});

const brief = (): string[] => notes.map((n) => [n.note, n.message?.body, n.state ?? n.from].filter(Boolean).join(" "));

describe("the notes of a device", () => {
  test("report a typed message, its only at, and its states", async () => {
    await store.write((tx) => enqueue(tx, context, { id: id(1), to: BOB, body: "hi", replyTo: null }));
    await store.write((tx) => freeze(tx, context, id(1)));
    await store.write((tx) => freeze(tx, context, id(1)));
    const ref = { id: id(1), at: context.serverNow };
    const to = { conversation: CONVERSATION, by: BOB };
    for (const repeat of [1, 2])
      await store.write((tx) =>
        applyEvent(tx, context, {
          type: "delivered",
          ...to,
          messages: [ref],
          changes: [],
          delivered_at: context.serverNow + repeat,
        }),
      );
    await store.write((tx) => applyEvent(tx, context, { type: "read", ...to, at: ref.at }));
    expect(brief()).toEqual(["typed hi", "frozen hi", "state hi delivered", "state hi read"]);
    expect(notes[1]?.message?.at).toBe(ref.at);
  });

  test("tell an event, which moves the cursor, from history", async () => {
    paged = (message) => message === id(3);
    await store.write(async (tx) => {
      await applyEvent(tx, context, { type: "message", message: received(1) });
      await tx.putMeta({ name: "cursor", cursor: "e:1-0", at: 1 });
    });
    await store.write((tx) => applyEvent(tx, context, { type: "message", message: received(2) }));
    await store.write((tx) => applySaved(tx, context, { ...received(3), delivered_at: 1 }));
    await store.write((tx) => applySaved(tx, context, { ...received(1), delivered_at: 1 }));
    expect(brief()).toEqual(["shown message 1 event", "shown message 2 event", "shown message 3 history"]);
  });

  test("report what the user has seen, and not what the server says they have", async () => {
    await store.write((tx) => applyEvent(tx, context, { type: "message", message: received(1) }));
    await store.write((tx) => moveMyRead(tx, emptyConversation(CONVERSATION, BOB), received(1).at, 1));
    const read = { type: "read", conversation: CONVERSATION, by: ME } as const;
    await store.write((tx) => applyEvent(tx, context, { ...read, at: received(2).at }));
    expect(notes.filter((n) => n.note === "read").map((n) => n.at)).toEqual([received(1).at]);
  });

  test("report saved content that replaces what was shown", async () => {
    await store.write((tx) => applyEvent(tx, context, { type: "message", message: received(1) }));
    await store.write((tx) => applySaved(tx, context, { ...received(1), body: "as saved", delivered_at: 1 }));
    expect(brief()).toEqual(["shown message 1 event", "corrected as saved event"]);
  });

  test("report nothing of a transaction that is not committed", async () => {
    const failed = store.write(async (tx) => {
      await applyEvent(tx, context, { type: "message", message: received(1) });
      throw new Error("the process has ended");
    });
    await expect(failed).rejects.toThrow("the process has ended");
    await database.settled();
    expect(notes).toEqual([]);
    expect(await stored.lines(CONVERSATION)).toEqual([]);
  });
});

describe("the store of a device", () => {
  test("outlives the app, and a copy stays as it was", async () => {
    await store.write((tx) => applyEvent(tx, context, { type: "message", message: received(1) }));
    const copy = await stored.copy();
    database.close();
    await reopen();
    await store.write((tx) => applyEvent(tx, context, { type: "message", message: received(2) }));
    expect((await stored.lines(CONVERSATION)).map((l) => l.message.id)).toEqual([id(1), id(2)]);
    expect((await copy?.lines(CONVERSATION))?.map((l) => l.message.id)).toEqual([id(1)]);
    expect(await stored.unseen(CONVERSATION)).toEqual({ at: received(2).at, unseen: true });
  });

  test("has the list of conversations, without own messages that are on their way", async () => {
    await store.write((tx) => applyEvent(tx, context, { type: "message", message: received(1) }));
    await store.write((tx) => enqueue(tx, context, { id: id(2), to: BOB, body: "hi", replyTo: null }));
    expect(await stored.summary(CONVERSATION)).toMatchObject({
      newest: received(1),
      unread: 1,
      read: {},
      unsent: false,
    });
    await store.write(async (tx) => {
      const row = await tx.conversation(CONVERSATION);
      if (row) await moveMyRead(tx, row, received(1).at, 1);
    });
    const read = { [ME]: received(1).at };
    expect(await stored.summary(CONVERSATION)).toMatchObject({ unread: 0, read, unsent: true });
  });

  test("is not copied while own messages are unsent", async () => {
    await store.write((tx) => enqueue(tx, context, { id: id(1), to: BOB, body: "hi", replyTo: null }));
    expect(await stored.copy()).toBeNull();
    expect(await stored.unfinished()).toEqual({ outbox: 1, backfills: [] });
  });
});
