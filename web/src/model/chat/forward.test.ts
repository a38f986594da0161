/** Messages that are forwarded to other users. */
import { expect, test } from "vitest";
import { Household } from "../testing/household";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";
const CEM = "cemUid000003";
const DORA = "doraUid00004";

test("the current text of a message goes to several people as new messages, also later, and drafts stay", async () => {
  const house = new Household();
  const [alice, bob, cem] = [await house.user(ALICE), await house.user(BOB), await house.user(CEM)];
  await house.user(DORA);
  const theirs = bob.chat().conversation(ALICE);
  const sent = await theirs.send("*Nine* o'clock\n- bread");
  const key = sent.ok ? sent.value : "";
  await theirs.change(key, { kind: "edit", body: "*Ten* o'clock\n- bread" });
  await house.pass(2_000);
  const toCem = alice.chat().conversation(CEM);
  toCem.setDraft("half a thought", null);
  await house.pass(2_000);

  const mine = alice.chat().conversation(BOB);
  house.server.drop(ALICE);
  alice.platform.onSocket = (socket) => house.clock.after(1, () => socket.drop(1006));
  expect((await mine.forward(key, [CEM, DORA])).ok).toBe(true);
  await house.pass(100);
  const [copy] = toCem.timeline.get().items;
  expect(copy).toMatchObject({ body: "*Ten* o'clock\n- bread", mine: true, state: "waiting", quote: null });
  expect(copy?.changes).toBeUndefined();
  expect(copy?.key.split(".")[0]).not.toBe(key.split(".")[0]);
  expect(toCem.draft.get().text).toBe("half a thought");

  alice.platform.onSocket = (socket) => house.server.open(socket);
  await house.pass(60_000);
  const atCem = cem.chat().conversation(ALICE);
  await house.pass(100);
  expect(atCem.timeline.get().items).toMatchObject([{ body: "*Ten* o'clock\n- bread", mine: false, quote: null }]);
  expect(alice.chat().conversations.get().items).toHaveLength(3);
  expect(house.server.faults).toEqual([]);
});

test("a message that was deleted is not forwarded to anybody", async () => {
  const house = new Household();
  const [alice, bob] = [await house.user(ALICE), await house.user(BOB)];
  await house.user(CEM);
  const theirs = bob.chat().conversation(ALICE);
  const sent = await theirs.send("The password is swordfish");
  const key = sent.ok ? sent.value : "";
  await house.pass(1_000);
  await theirs.change(key, { kind: "delete" });
  await house.pass(10_000);
  const gone = { ok: false, problem: { code: "message_gone" } };
  expect(await alice.chat().conversation(BOB).forward(key, [CEM])).toMatchObject(gone);
  expect(await alice.chat().conversation(BOB).forward("unknown", [CEM])).toMatchObject(gone);
  await house.pass(1_000);
  expect(
    alice
      .chat()
      .conversations.get()
      .items.map(({ user }) => user.uid),
  ).toEqual([BOB]);
});
