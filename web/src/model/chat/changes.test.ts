/** Changes of messages as two users see them. */
import { expect, test } from "vitest";
import type { Message } from "../interface/conversation";
import { Household } from "../testing/household";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";

test("two users edit, react and delete, one of them on a second device that was away", async () => {
  const house = new Household();
  const alice = await house.user(ALICE);
  const bob = await house.user(BOB);
  const mine = alice.chat().conversation(BOB);
  const theirs = bob.chat().conversation(ALICE);
  const sent = await mine.send("Helo");
  await mine.send("Hm?");
  await house.pass(2_000);
  const key = sent.ok ? sent.value : "";
  const seen = (): (Message | undefined)[] =>
    [mine, theirs].map((c) => c.timeline.get().items.find((m) => m.key === key));

  expect(await mine.change(key, { kind: "edit", body: "x".repeat(8001) })).toMatchObject({ ok: false });
  for (const emoji of ["x", "👍👍", "❤"])
    expect(await theirs.change(key, { kind: "react", emoji })).toMatchObject({ problem: { code: "emoji_invalid" } });
  expect((await mine.change(key, { kind: "edit", body: "Hello" })).ok).toBe(true);
  await theirs.change(key, { kind: "react", emoji: "👍" });
  await house.pass(3_000);
  for (const message of seen())
    expect(message).toMatchObject({ body: "Hello", changes: { deleted: false, waiting: false, undo: false } });
  expect(seen().map((m) => m?.changes?.reactions)).toEqual([
    [{ emoji: "👍", mine: false }],
    [{ emoji: "👍", mine: true }],
  ]);
  expect(seen()[1]?.changes?.edited).toBeGreaterThan(0);
  // Neither counts as unread, moves the conversation, or is a message.
  expect(bob.chat().conversations.get().items).toMatchObject([{ unread: 2, preview: { body: "Hm?" } }]);

  // The other user's message is not changed.
  await theirs.change(key, { kind: "edit", body: "mine" });
  await theirs.change(key, { kind: "delete" });
  await theirs.change(key, { kind: "react", emoji: "" });
  await house.pass(6_000);
  for (const message of seen()) expect(message).toMatchObject({ body: "Hello", changes: { reactions: [] } });

  const late = await house.user(ALICE);
  const open = late.chat().conversation(BOB);
  await house.pass(2_000);
  expect(open.timeline.get().items[0]).toMatchObject({ body: "Hello" });
  house.server.drop(ALICE);
  await mine.change(key, { kind: "delete" });
  await house.pass(1_000);
  expect(seen()[0]).toMatchObject({ body: "", changes: { deleted: true, waiting: true, undo: true } });
  expect(seen()[1]).toMatchObject({ body: "Hello" });
  await mine.change(key, { kind: "undo" });
  await house.pass(10_000);
  expect(seen()[0]).toMatchObject({ body: "Hello" });
  await mine.change(key, { kind: "delete" });
  await house.pass(10_000);
  for (const message of [...seen(), open.timeline.get().items[0]])
    expect(message).toMatchObject({ body: "", changes: { deleted: true, waiting: false, undo: false, edited: null } });
  expect(house.server.faults).toEqual([]);
});

test("a message that was deleted before anybody saw it raises no notification, and shows its place", async () => {
  const house = new Household();
  const alice = await house.user(ALICE);
  const bob = await house.user(BOB);
  const notified: string[] = [];
  bob.app.attention.onIncoming((message) => notified.push(message.body));
  house.server.drop(BOB);
  bob.platform.onSocket = (socket) => house.clock.after(1, () => socket.drop(1006));
  const mine = alice.chat().conversation(BOB);
  const first = await mine.send("never seen");
  const second = await mine.send("sen");
  await house.pass(500);
  await mine.change(first.ok ? first.value : "", { kind: "delete" });
  await mine.change(second.ok ? second.value : "", { kind: "edit", body: "seen" });
  await house.pass(6_000);
  bob.platform.onSocket = (socket) => house.server.open(socket);
  await house.pass(60_000);
  expect(notified).toEqual(["seen"]);
  expect(bob.chat().conversations.get().items).toMatchObject([{ unread: 2, preview: { body: "seen" } }]);
  const theirs = bob.chat().conversation(ALICE);
  await house.pass(100);
  expect(theirs.timeline.get().items).toMatchObject([{ body: "", changes: { deleted: true } }, { body: "seen" }]);
});
