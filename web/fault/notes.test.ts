import { beforeEach, describe, expect, test } from "vitest";
import { IDBKeyRange } from "fake-indexeddb";
import type { Database } from "../src/platform/database";
import { FakePlatform } from "../src/platform/testing/fake";
import { LocalStore } from "../src/model/store/store";
import { enqueue, freeze } from "../src/model/store/outbox";
import { moveMyRead } from "../src/model/store/readMarks";
import {
  accepted,
  applyEvent,
  applySaved,
  changeRules,
  loadChangeRules,
  refuse,
  type RuleContext,
} from "../src/model/store/rules";
import { emptyConversation } from "../src/model/store/tx";
import { realClock } from "./clock";
import { ArrivedChanges } from "./arrivals";
import { NotedDatabase } from "./notes";
import type { OwnChange } from "../src/model/interface/conversation";
import { decodeFrame } from "../src/protocol/codec";
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
let arrived: ArrivedChanges;

async function reopen(): Promise<void> {
  database = new NotedDatabase(await stored.open(), {
    uid: ME,
    paged: (message) => paged(message.id),
    changesUpTo: (cursor) => arrived.takeUpTo(cursor),
    outcomeOf: (change) => arrived.outcomes.get(change),
    note: (note) => notes.push(note),
  });
  const open = async (): Promise<Database> => database;
  store = await LocalStore.open(new FakePlatform({ clock: realClock, open }), ME, await loadChangeRules());
}

beforeEach(async () => {
  notes = [];
  paged = () => false;
  arrived = new ArrivedChanges();
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

describe("the notes about changes", () => {
  const of = { id: id(1), from: BOB, at: received(1).at };
  const change = (n: number, what: object) => ({
    type: "change",
    id: id(n),
    conversation: CONVERSATION,
    from: BOB,
    to: ME,
    at: 1_000_000_000 + n,
    accepted_at: 1_000_000_000 + n,
    of,
    ...what,
  });
  const texts = (): string[] =>
    notes.map((n) => [n.note, n.change?.kind ?? n.message?.body, n.state, n.refusal].filter(Boolean).join(" "));

  type Event = { readonly type: string };
  const arrive = (cursor: string, event: Event): void => arrived.receive({ type: "event", cursor, event });
  async function receive(cursor: string, event: Event): Promise<void> {
    arrive(cursor, event);
    await keep(cursor, event);
  }

  /** Stores an event that has arrived. */
  async function keep(cursor: string, event: Event): Promise<void> {
    const line = { type: "event", cursor, event };
    const frame = decodeFrame(JSON.stringify(line));
    if (frame.type !== "event") throw new Error("not an event");
    await store.write(async (tx) => {
      await applyEvent(tx, context, frame.event);
      await tx.putMeta({ name: "cursor", cursor, at: 1 });
    });
  }

  const make = (n: number, what: OwnChange): Promise<void> =>
    store.write((tx) =>
      changeRules(tx).makeChange(tx, context, { id: id(n), conversation: CONVERSATION, key: `${id(1)}.${BOB}` }, what),
    );
  const outcome = (type: "delivered" | "refused", n: number) => ({
    type,
    conversation: CONVERSATION,
    by: BOB,
    messages: [],
    changes: [{ id: id(n), at: 1_000_000_100 }],
    ...(type === "delivered" ? { delivered_at: 1_000_000_200 } : { code: "withdrawn", message: "x" }),
  });

  test("tell when the event of a change is stored, and the changes that a message has then", async () => {
    await receive("e:1-0", { type: "message", ...received(1) });
    const edit = change(2, { kind: "edit", body: "better" });
    const remove = change(9, { kind: "delete" });
    arrive("e:2-0", edit);
    arrive("e:3-0", remove);
    await keep("e:2-0", edit);
    expect(texts()).toEqual(["shown message 1", "folded better", "shown edit"]);
    expect(notes[1]?.changes).toEqual({ edited: { at: 1_000_000_002, id: id(2), body: "better" } });
    expect(notes[2]?.change).toMatchObject({ id: id(2), of, body: "better" });
    await keep("e:3-0", remove);
    expect(texts().slice(3)).toEqual(["folded", "shown delete"]);
  });

  test("tell only of events that are stored while two sockets bring the same ones", async () => {
    await receive("e:1-0", { type: "message", ...received(1) });
    const edit = change(2, { kind: "edit", body: "better" });
    const remove = change(9, { kind: "delete" });
    arrive("e:2-0", edit);
    arrive("e:3-0", remove);
    arrive("e:2-0", edit); // on the second socket
    await keep("e:2-0", edit);
    expect(texts().slice(1)).toEqual(["folded better", "shown edit"]);
    await keep("e:3-0", remove);
    expect(texts().slice(3)).toEqual(["folded", "shown delete"]);
  });

  test("tell nothing of a change that has no effect, but its event", async () => {
    await receive("e:1-0", { type: "message", ...received(1) });
    await receive("e:2-0", change(2, { kind: "edit", body: "better", from: ME, to: BOB }));
    expect(texts()).toEqual(["shown message 1", "shown edit"]);
  });

  test("tell how an own change is typed, frozen, sent and delivered, and only then belongs to the message", async () => {
    await receive("e:1-0", { type: "message", ...received(1) });
    await make(2, { kind: "react", emoji: "👍" });
    await store.write((tx) => freeze(tx, context, id(2)));
    await store.write((tx) => accepted(tx, id(2), 1));
    expect(texts().slice(1)).toEqual(["typed react", "frozen react", "state react sent"]);
    expect(notes.map((n) => n.change?.at).slice(1)).toEqual([0, 1_000_000_002, 1_000_000_002]);
    await receive("e:2-0", outcome("delivered", 2));
    expect(texts().slice(4)).toEqual(["folded message 1", "state react delivered"]);
    expect(notes[4]?.changes?.reactions).toMatchObject({ [ME]: { id: id(2), emoji: "👍" } });
  });

  test("tell of an own change that was refused, or replaced before it was sent", async () => {
    await receive("e:1-0", { type: "message", ...received(1) });
    await make(2, { kind: "react", emoji: "👍" });
    await make(3, { kind: "react", emoji: "🙏" });
    expect(texts().slice(1).sort()).toEqual(["dropped react", "typed react", "typed react"]);
    arrived.receive({ type: "error", id: id(3), code: "blocked" });
    await store.write(async (tx) => {
      const row = await tx.queued(id(3));
      if (row) await refuse(tx, row, { code: "blocked", message: "x" });
    });
    expect(texts().slice(4)).toEqual(["state react refused blocked"]);
  });

  test("tell of messages that were edited or deleted before they were sent", async () => {
    await store.write((tx) => enqueue(tx, context, { id: id(5), to: BOB, body: "hi", replyTo: null }));
    const what = { id: id(6), conversation: CONVERSATION, key: `${id(5)}.${ME}` };
    await store.write((tx) => changeRules(tx).makeChange(tx, context, what, { kind: "edit", body: "hello" }));
    await store.write((tx) => changeRules(tx).makeChange(tx, context, what, { kind: "delete" }));
    expect(texts()).toEqual(["typed hi", "retyped hello", "dropped hello"]);
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
