/** Changes of messages on one device: what arrives, what is sent, and what is loaded after a gap. */
import { beforeEach, expect, test } from "vitest";
import type { FakeSocket } from "../../platform/testing/fake";
import { settle } from "../../platform/testing/fake";
import { changeRules } from "../store/rules";
import type { ConversationRow, MessageRow } from "../store/rows";
import type { OwnChange } from "../interface/conversation";
import { BOB, CONVERSATION, event, id, key, ME, message, NOW, saved, sent, Stage } from "../testing/stage";
import { contextOf } from "./ports";

const AT = NOW * 1000;

let stage: Stage;
let s: FakeSocket;

beforeEach(async () => {
  stage = await Stage.start();
  s = await stage.greeted();
});

/** The event of a change of the message number `of`. */
const change = (
  n: number,
  of: number,
  content: object,
  { from = BOB, author = BOB, at = AT + 1000 + n } = {},
): object => ({
  type: from === ME ? "changed" : "change",
  id: id(n),
  conversation: CONVERSATION,
  from,
  to: from === ME ? BOB : ME,
  at,
  accepted_at: at,
  of: { id: id(of), from: author, at: AT + of },
  ...content,
});
const own = { from: ME, author: ME };
const EDIT = { kind: "edit", body: "better" };
const DELETE = { kind: "delete" };
const LIKE = { kind: "react", emoji: "👍" };

let cursor = 100;
const deliver = async (...events: object[]): Promise<void> => {
  for (const content of events) s.deliver(event(++cursor, content));
  await settle();
  await stage.clock.advance(0);
};
const row = (n: number, from = BOB): Promise<MessageRow | undefined> =>
  stage.device.store.read((tx) => tx.message(CONVERSATION, key(n, from)));
const conversation = async (): Promise<ConversationRow> =>
  (await stage.device.store.read((tx) => tx.conversation(CONVERSATION))) as ConversationRow;
const body = async (n: number, from = BOB): Promise<string | undefined> => (await row(n, from))?.body;
const outbox = async (): Promise<string[]> => (await stage.device.store.read((tx) => tx.outbox())).map((r) => r.id);

/** Makes a change on this device. */
const make = async (n: number, of: string, what: OwnChange): Promise<void> => {
  await stage.device.store.write((tx) =>
    changeRules(tx).makeChange(
      tx,
      contextOf(stage.device.parts),
      { id: id(n), conversation: CONVERSATION, key: of },
      what,
    ),
  );
  await settle();
};
const edit = (n: number, of: string, text: string): Promise<void> => make(n, of, { kind: "edit", body: text });
const remove = (n: number, of: string): Promise<void> => make(n, of, { kind: "delete" });
const react = (n: number, of: string, emoji: string): Promise<void> => make(n, of, { kind: "react", emoji });
const changes = (socket = s): Record<string, unknown>[] => sent(socket, "change");
const accept = async (socket: FakeSocket, n: number): Promise<void> => {
  socket.deliver({ type: "sent", id: id(n), accepted_at: stage.clock.now() * 1000 });
  await settle();
};
const receipt = (type: string, n: number, content: object): object => ({
  type,
  conversation: CONVERSATION,
  messages: [],
  changes: [{ id: id(n), at: AT }],
  ...content,
});
const DELIVERED = { delivered_at: AT };
const REFUSED = { code: "withdrawn", message: "x" };

test("a change applies to its message and to the preview, in any order and once", async () => {
  await deliver(
    message(1),
    change(2, 1, EDIT),
    change(3, 1, LIKE),
    change(2, 1, EDIT),
    change(4, 1, LIKE, { from: ME }),
  );
  expect(await row(1)).toMatchObject({
    body: "better",
    changes: { edited: { id: id(2) }, reactions: { [BOB]: { emoji: "👍" }, [ME]: { emoji: "👍" } } },
  });
  expect(await conversation()).toMatchObject({ unread: 1, recent: AT + 1, preview: { body: "better" } });
  await deliver(change(5, 1, DELETE), change(6, 1, EDIT));
  expect(await row(1)).toMatchObject({ body: "", changes: { deleted: { id: id(5) } } });
  // The deleted message is unread until it is read.
  expect(await conversation()).toMatchObject({ unread: 1, recent: AT + 1, preview: { body: "" } });
});

test("a change is acknowledged, and what is written next comes after it", async () => {
  await deliver(message(1), change(2, 1, EDIT, { at: AT + 40_000_000 }));
  await stage.clock.advance(100);
  expect(sent(s, "ack").pop()).toEqual({ type: "ack", cursor: `e:${cursor}-0` });
  await stage.device.send(BOB, "next");
  await settle();
  expect(sent(s, "send")[0]?.["at"]).toBe(AT + 40_000_001);
});

test.each([
  ["another's message", change(2, 1, EDIT, { author: ME })],
  ["a kind of a later version", change(2, 1, { kind: "pin" })],
])("a change of %s has no effect", async (_, content) => {
  await deliver(message(1), content, { type: "sent", ...own1 });
  expect(await body(1)).toBe("message 1");
  expect(await body(1, ME)).toBe("mine");
});
const own1 = {
  id: id(1),
  conversation: CONVERSATION,
  from: ME,
  to: BOB,
  body: "mine",
  at: AT + 1,
  accepted_at: AT + 1,
};

test("a change that lacks a field is a gap, and does not hold up the events behind it", async () => {
  await deliver({ ...change(2, 1, EDIT), of: undefined }, message(1));
  expect(await body(1)).toBe("message 1");
  expect((await stage.device.store.read((tx) => tx.gap())).n).toBe(1);
});

test("a change of a message that is not here is kept, looked up and applied when the message arrives", async () => {
  const requests: string[] = [];
  stage.archive.before = (_, request) => {
    requests.push(decodeURIComponent(request.url));
    return null;
  };
  await deliver(change(2, 1, EDIT));
  await stage.clock.advance(4_000);
  expect(requests.filter((url) => url.includes(`saved=${CONVERSATION},${key(1)}`)).length).toBe(1);
  await deliver(message(1));
  expect(await body(1)).toBe("better");
  expect(await stage.device.store.read((tx) => tx.countKept())).toBe(0);
});

test("changes are kept of 500 messages", async () => {
  const many = Array.from({ length: 520 }, (_, n) => change(1_000 + n, 2_000 + n, LIKE));
  await deliver(...many);
  const kept = await stage.device.store.read((tx) => tx.countKept());
  expect(kept).toBeGreaterThan(400);
  expect(kept).toBeLessThanOrEqual(500);
});

test("history and live changes add up, whichever comes first", async () => {
  await deliver(message(1), change(3, 1, EDIT));
  const old = { ...saved(1, AT + 1), body: "first", changes: { edited: { at: AT + 1001, id: id(2), body: "first" } } };
  stage.archive.save([old as never]);
  await stage.device.history.older(CONVERSATION, null);
  expect(await body(1)).toBe("better");
  await deliver(change(4, 1, { kind: "edit", body: "best" }));
  expect(await body(1)).toBe("best");
});

test("an own change is shown at once, sent with its own time, and settled when it is delivered", async () => {
  await deliver(message(1));
  await react(9, key(1), "👍");
  expect(await row(1)).toMatchObject({ changes: { reactions: { [ME]: { emoji: "👍" } } }, settled: { waiting: true } });
  expect(changes()).toEqual([
    {
      type: "change",
      id: id(9),
      to: BOB,
      at: expect.any(Number) as number,
      of: { id: id(1), from: BOB, at: AT + 1 },
      ...LIKE,
    },
  ]);
  expect(changes()[0]?.["at"]).toBeGreaterThan(AT + 1);
  await accept(s, 9);
  expect((await row(1))?.settled?.waiting).toBe(false);
  expect(await outbox()).toEqual([id(9)]);
  await deliver(receipt("delivered", 9, DELIVERED));
  expect(await outbox()).toEqual([]);
  const settled = await row(1);
  expect(settled?.settled).toBeUndefined();
  expect(settled?.changes?.reactions?.[ME]).toMatchObject({ id: id(9), at: changes()[0]?.["at"], emoji: "👍" });
});

test("a change that is not delivered is sent again unchanged, also by the next page", async () => {
  await deliver(message(1));
  await react(9, key(1), "👍");
  const [first] = changes();
  expect(changes(await stage.reconnected(true))).toEqual([first]);
  await stage.restart();
  expect(changes(await stage.greeted())).toEqual([first]);
});

test("changes wait for a server that offers them, and do not hold up messages", async () => {
  await deliver(message(1));
  stage.changes = false;
  s = await stage.reconnected(true);
  await react(9, key(1), "👍");
  await stage.device.send(BOB, "next");
  await settle();
  expect([changes().length, sent(s, "send").length]).toEqual([0, 1]);
  stage.changes = true;
  s.drop(1006);
  await stage.clock.advance(3_000);
  expect(changes(await stage.greeted()).length).toBe(1);
});

test("changes of one kind that were not sent collapse into the last", async () => {
  await deliver({ type: "sent", ...own1 });
  stage.changes = false;
  s = await stage.reconnected(true);
  await edit(9, key(1, ME), "second");
  await react(10, key(1, ME), "👍");
  await edit(11, key(1, ME), "third");
  expect(await outbox()).toEqual([id(10), id(11)]);
  expect(await row(1, ME)).toMatchObject({ body: "third", settled: { body: "mine" } });
});

test("a message that was never sent is changed in the outbox; one that was is followed by its change", async () => {
  stage.changes = true;
  s.drop(1006);
  const first = await stage.device.send(BOB, "fist");
  await edit(9, `${first}.${ME}`, "first");
  const second = await stage.device.send(BOB, "second");
  await remove(10, `${second}.${ME}`);
  expect(await outbox()).toEqual([first]);
  expect((await conversation()).preview?.body).toBe("first");
  await stage.clock.advance(600);
  s = await stage.greeted();
  expect(sent(s, "send").map((f) => f["body"])).toEqual(["first"]);
  // Transmitted and not accepted: the edit waits behind it.
  await edit(11, `${first}.${ME}`, "1st");
  expect(changes()).toEqual([]);
  await stage.accept(s, 0);
  expect(changes()).toMatchObject([{ id: id(11), body: "1st", of: { id: first, at: sent(s, "send")[0]?.["at"] } }]);
});

// Found by the interleavings with the seed -2026669769: the message was sent again with its edited body.
test("a transmitted message is sent again with the body that it was sent with, although an edit waits", async () => {
  const first = await stage.device.send(BOB, "first");
  await settle();
  await edit(9, `${first}.${ME}`, "1st");
  s = await stage.reconnected(true);
  expect(sent(s, "send")).toMatchObject([{ id: first, body: "first" }]);
  expect(changes()).toEqual([]);
});

// Found by the fault run "redis-aof-cut" with the seed 61: the message was sent again without its text, and refused.
test.each([
  ["edited", EDIT, "better"],
  ["deleted", DELETE, ""],
])("a message that another device has %s is sent again with the body that it was sent with", async (_, what, shown) => {
  const first = await stage.device.send(BOB, "first");
  await settle();
  await stage.accept(s, 0);
  const at = sent(s, "send")[0]?.["at"] as number;
  const sentRow = () => stage.device.store.read((tx) => tx.message(CONVERSATION, `${first}.${ME}`));
  const changed = { ...change(9, 1, what, { ...own, at: at + 1 }), of: { id: first, from: ME, at } };
  await deliver(changed, receipt("delivered", 9, { delivered_at: at + 2 }));
  expect(await sentRow()).toMatchObject({ status: "sent", body: shown });
  // The server has lost the message, but not its change.
  s = await stage.reconnected(false);
  expect(sent(s, "send")).toMatchObject([{ id: first, body: "first", at }]);
  await stage.accept(s, 0);
  // The next page does it, too.
  await stage.restart();
  s = await stage.greeted(false);
  expect(sent(s, "send")).toMatchObject([{ id: first, body: "first", at }]);
  const delivered = {
    type: "delivered",
    conversation: CONVERSATION,
    messages: [{ id: first, at }],
    delivered_at: at + 3,
  };
  await deliver(delivered);
  const last = await sentRow();
  expect(last).toMatchObject({ status: "delivered", body: shown });
  expect(JSON.stringify(last)).not.toContain("first");
});

test("a reaction that is refused for its rate waits alone", async () => {
  await deliver(message(1));
  await react(9, key(1), "👍");
  s.deliver({ type: "error", code: "rate_limited", message: "x", id: id(9), retry_after_ms: 10_000 });
  await settle();
  await stage.device.send(BOB, "next");
  await settle();
  expect(sent(s, "send").length).toBe(1);
  await stage.clock.advance(9_000);
  expect(changes().length).toBe(1);
  await stage.clock.advance(2_000);
  expect(changes().length).toBe(2);
  expect(changes()[1]).toEqual(changes()[0]);
});

test("the changes of a message end with it when it is refused", async () => {
  const first = await stage.device.send(BOB, "first");
  await settle();
  await edit(9, `${first}.${ME}`, "1st");
  await stage.refuse(s, "recipient_unavailable");
  expect(await outbox()).toEqual([]);
  const refused = await stage.device.store.read((tx) => tx.message(CONVERSATION, `${first}.${ME}`));
  expect(refused).toMatchObject({ status: "refused", body: "first" });
  expect(refused?.settled).toBeUndefined();
  expect(changes()).toEqual([]);
});

test("a change that is refused for good is reverted, with the reason", async () => {
  await deliver({ type: "sent", ...own1 });
  await edit(9, key(1, ME), "better");
  s.deliver({ type: "error", code: "at_too_old", message: "x", id: id(9) });
  await settle();
  expect(await row(1, ME)).toMatchObject({ body: "mine", unchanged: { kind: "edit", code: "at_too_old" } });
  await make(0, key(1, ME), { kind: "dismiss" });
  expect((await row(1, ME))?.unchanged).toBeUndefined();
  await edit(12, key(1, ME), "better");
  s.deliver({ type: "error", code: "at_too_old", message: "x", id: id(12) });
  // The same for one that another device has made, except that the reason is shown there.
  await deliver(change(10, 1, EDIT, own));
  expect(await body(1, ME)).toBe("better");
  await deliver(receipt("refused", 10, REFUSED));
  expect(await row(1, ME)).toMatchObject({ body: "mine", unchanged: { code: "at_too_old" } });
  await react(11, key(1, ME), "👍");
  expect((await row(1, ME))?.unchanged).toBeUndefined();
});

test("a deletion waits 5 s, can be undone until then, and outlives the page", async () => {
  await deliver({ type: "sent", ...own1 });
  await remove(9, key(1, ME));
  expect(await row(1, ME)).toMatchObject({ body: "", settled: { undo: true, body: "mine" } });
  await stage.clock.advance(4_900);
  await make(0, key(1, ME), { kind: "undo" });
  expect(await row(1, ME)).toMatchObject({ body: "mine" });
  await remove(10, key(1, ME));
  await stage.restart();
  s = await stage.greeted();
  expect(changes()).toEqual([]);
  await stage.clock.advance(5_100);
  expect(changes()).toMatchObject([{ id: id(10), kind: "delete" }]);
  expect((await row(1, ME))?.settled?.undo).toBe(false);
  await make(0, key(1, ME), { kind: "undo" });
  expect(await body(1, ME)).toBe("");
  await deliver(receipt("delivered", 10, DELIVERED));
  expect(JSON.stringify(await row(1, ME))).not.toContain("mine");
});

test("after a gap, changes are loaded for the messages that are here, and settle own ones", async () => {
  await deliver(message(1), { type: "sent", ...own1 });
  await react(9, key(1), "👍");
  const at = changes()[0]?.["at"];
  const asked: URLSearchParams[] = [];
  stage.archive.before = (_, request, path) => {
    if (path !== "/api/messages/changes") return null;
    asked.push(new URL(request.url).searchParams);
    const reactions = { [ME]: { at, id: id(9), emoji: "👍" } };
    const messages =
      asked.length === 1
        ? [{ ...saved(1, AT + 1), changes: { reactions } }]
        : [
            { ...saved(1, AT + 1, ME), body: "", changes: { deleted: { at: AT + 9, id: id(8) } } },
            { ...saved(3, AT + 3), changes: { reactions } },
          ];
    const page = { messages, next: asked.length === 1 ? "2" : "", now: AT, reload: false };
    return { status: 200, header: () => null, body: JSON.stringify(page) };
  };
  await stage.reconnected(false);
  await stage.clock.advance(1_000);
  expect(asked.map((q) => q.get("cursor"))).toEqual([null, "2"]);
  expect(Number(asked[0]?.get("since"))).toBeLessThanOrEqual(AT - 600_000_000);
  expect(await outbox()).toEqual([]);
  expect(await row(1)).toMatchObject({ changes: { reactions: { [ME]: { id: id(9) } } } });
  expect((await row(1))?.settled).toBeUndefined();
  expect(await row(1, ME)).toMatchObject({ body: "", changes: { deleted: { id: id(8) } } });
  expect(await row(3)).toBeUndefined();
  await stage.clock.advance(16 * 60_000);
  // Each of the loads asks again.
  expect(asked.length).toBe(5);
});

test("after too many changes, stored pages are loaded again when they are opened", async () => {
  stage.archive.save([saved(1, AT + 1)]);
  await stage.device.history.older(CONVERSATION, null);
  expect(await conversation()).toMatchObject({ complete: true });
  await deliver(message(2));
  const answers: Record<string, object> = {
    "/api/messages/changes": { messages: [], next: "", now: AT, reload: true },
    // Nothing new, so the loads of the gap do not load the conversation.
    "/api/conversations": { conversations: [], next: "" },
  };
  stage.archive.before = (_, __, path) =>
    path in answers ? { status: 200, header: () => null, body: JSON.stringify(answers[path]) } : null;
  await stage.reconnected(false);
  await stage.clock.advance(1_000);
  expect(await conversation()).toMatchObject({ complete: false, loadedFrom: null });
  const { requests } = stage.archive;
  await stage.device.open(CONVERSATION);
  expect(stage.archive.requests).toBe(requests + 1);
});
