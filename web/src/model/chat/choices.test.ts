/** Pinned, muted, archived, unread and starred, as two devices of a user show them. */
import { beforeEach, expect, test } from "vitest";
import { messageKey } from "../../protocol/chat";
import type { OwnChoice } from "../interface/choices";
import type { Chat } from "../interface/chat";
import type { Outcome } from "../interface/outcome";
import { Household, type Tab } from "../testing/household";
import { choose } from "./choices";
import { Stars } from "./stars";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";
const CAROL = "carolUid00003";
const DAVE = "daveUid00004";
const WITH_BOB = `${ALICE}~${BOB}`;
const WITH_CAROL = `${ALICE}~${CAROL}`;
const HOUR_MS = 3_600_000;

let house: Household;
let alice: Tab;
let second: Tab;
let bob: Tab;
let carol: Tab;

beforeEach(async () => {
  house = new Household();
  alice = await house.user(ALICE);
  second = await house.user(ALICE);
  bob = await house.user(BOB);
  carol = await house.user(CAROL);
  await write(bob, "first");
  await write(carol, "second");
});

async function write(from: Tab, body: string): Promise<string> {
  const sent = await from.chat().conversation(ALICE).send(body);
  await house.pass(1_000);
  return sent.ok ? sent.value : "";
}

async function pick(choice: OwnChoice, conversation = WITH_BOB, chat: Chat = alice.chat()): Promise<Outcome> {
  const outcome = await choose(chat.late, conversation, choice);
  await house.pass(500);
  return outcome;
}

/** The lists of both devices, as the letters of the names; archived ones in brackets. */
function lists(): string[] {
  return [alice, second].map((tab) => {
    const { items, archived } = tab.chat().conversations.get();
    const letters = (of: typeof items): string => of.map((c) => c.user.displayName[0]).join("");
    return `${letters(items)}(${letters(archived)})`;
  });
}
const unread = (): number[] => [alice, second].map((tab) => tab.chat().unreadTotal.get());

test("a pinned conversation is above newer ones, on all devices", async () => {
  expect(lists()).toEqual(["cb()", "cb()"]);
  await pick({ kind: "pin", on: true });
  expect(lists()).toEqual(["bc()", "bc()"]);
  await write(carol, "third");
  expect(lists()).toEqual(["bc()", "bc()"]);
  await pick({ kind: "pin", on: false });
  expect(lists()).toEqual(["cb()", "cb()"]);
});

test("an archived conversation leaves the list until a newer message, unless it is always muted", async () => {
  await pick({ kind: "archive", on: true });
  expect([lists(), unread()]).toEqual([
    ["c(b)", "c(b)"],
    [1, 1],
  ]);
  await pick({ kind: "pin", on: true });
  expect(lists()).toEqual(["c(b)", "c(b)"]);
  expect((await alice.chat().userByUsername(BOB.toLowerCase())).ok).toBe(true);
  await write(bob, "again");
  expect([lists(), unread()]).toEqual([
    ["bc()", "bc()"],
    [3, 3],
  ]);
  await pick({ kind: "archive", on: true });
  await pick({ kind: "mute", until: Number.POSITIVE_INFINITY });
  await write(bob, "and again");
  expect(lists()).toEqual(["c(b)", "c(b)"]);
  await pick({ kind: "archive", on: false });
  expect(lists()).toEqual(["bc()", "bc()"]);
});

test("a muted conversation causes no notification and is not counted, until the mute ends", async () => {
  const notified: string[] = [];
  alice.app.attention.onIncoming((message) => notified.push(message.body));
  await pick({ kind: "mute", until: house.clock.now() + HOUR_MS });
  expect(unread()).toEqual([1, 1]);
  await write(bob, "muted");
  await write(carol, "loud");
  expect([notified, unread()]).toEqual([["loud"], [2, 2]]);
  await house.pass(HOUR_MS);
  expect(unread()).toEqual([4, 4]);
  await write(bob, "loud again");
  expect(notified).toEqual(["loud", "loud again"]);
});

test("a conversation marked as unread counts until somebody opens it; marked as read, it has no unread messages", async () => {
  await pick({ kind: "unread", on: false });
  await pick({ kind: "unread", on: false }, WITH_CAROL);
  expect(unread()).toEqual([0, 0]);
  await pick({ kind: "unread", on: true });
  expect([unread(), alice.chat().conversations.get().items[1]]).toMatchObject([[1, 1], { marked: true, unread: 0 }]);
  const open = second.chat().conversation(BOB);
  await house.pass(500);
  open.markRead(open.timeline.get().items[0]?.key ?? "");
  await house.pass(1_000);
  expect([unread(), alice.chat().conversations.get().items[1]]).toMatchObject([[0, 0], { marked: false }]);
});

test("choices made without a network wait, and the later one of two devices counts on both", async () => {
  house.server.drop(ALICE);
  house.online = false;
  house.server.archive.down = true;
  await pick({ kind: "pin", on: true });
  await pick({ kind: "archive", on: true }, WITH_CAROL);
  await pick({ kind: "archive", on: false }, WITH_BOB, second.chat());
  await pick({ kind: "pin", on: false }, WITH_BOB, second.chat());
  await pick({ kind: "pin", on: true }, WITH_CAROL, second.chat());
  expect(lists()).toEqual(["b(c)", "cb()"]);
  house.online = true;
  house.server.archive.down = false;
  await house.pass(60_000);
  expect(lists()).toEqual(["b(c)", "b(c)"]);
  await pick({ kind: "archive", on: false }, WITH_CAROL, second.chat());
  expect(lists()).toEqual(["cb()", "cb()"]);
});

test("at most 20 conversations can be pinned", async () => {
  for (let n = 0; n < 20; n++) await pick({ kind: "pin", on: true }, `${ALICE}~zed${n}`);
  expect(await pick({ kind: "pin", on: true })).toMatchObject({ ok: false, problem: { code: "pins_full" } });
  await pick({ kind: "pin", on: false }, `${ALICE}~zed3`);
  expect(await pick({ kind: "pin", on: true })).toMatchObject({ ok: true });
});

test("starred messages are listed, also those that a device does not have; deleted ones are not", async () => {
  const dave = await house.user(DAVE);
  await pick({ kind: "unread", on: false });
  const key = await write(dave, "keep this");
  const other = await write(bob, "and this");
  const at = house.clock.now() * 1000;
  const old = { id: "019abd70-0001-7000-8000-000000000001", from: BOB };
  house.server.archive.save([
    {
      ...old,
      conversation: WITH_BOB,
      to: ALICE,
      body: "from last year",
      at: at - 1e13,
      accepted_at: at,
      delivered_at: at,
    },
  ]);
  const withDave = `${ALICE}~${DAVE}`;
  await pick({ kind: "star", key, on: true }, withDave);
  await pick({ kind: "star", key: messageKey(old), on: true });
  await pick({ kind: "star", key: other, on: true });
  const stars = new Stars(second.chat().late);
  await house.pass(1_000);
  const seen = (): string[] => stars.list.get().items.map(({ uid, body }) => `${uid[0] ?? ""}: ${body}`);
  expect([stars.list.get().loading, seen()]).toEqual([false, ["b: and this", "b: from last year", "d: keep this"]]);
  const open = second.chat().conversation(BOB);
  await house.pass(500);
  expect([...open.timeline.get().starred].sort()).toEqual([messageKey(old), other].sort());
  // An old message that was loaded for its star does not become the preview, and is not unread.
  expect(
    second
      .chat()
      .conversations.get()
      .items.find((c) => c.id === WITH_BOB),
  ).toMatchObject({
    unread: 1,
    preview: { body: "and this" },
  });

  await bob.chat().conversation(ALICE).change(other, { kind: "delete" });
  await pick({ kind: "star", key, on: false }, withDave);
  await house.pass(10_000);
  expect(seen()).toEqual(["b: from last year"]);
  await pick({ kind: "star", key: messageKey(old), on: false });
  expect([seen(), [...open.timeline.get().starred]]).toEqual([[], [other]]);
  stars.close();
});
