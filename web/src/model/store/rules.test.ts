import { beforeEach, describe, expect, test } from "vitest";
import { FakeClock } from "../../platform/testing/clock";
import { FakePlatform, settle } from "../../platform/testing/fake";
import { Fields } from "../../protocol/fields";
import type { ChatEvent } from "../../protocol/frames";
import { BOB, CONVERSATION, id, key, ME, NOW } from "../testing/stage";
import { enqueue, freeze } from "./outbox";
import type { MessageRow } from "./rows";
import { applyEvent, applySaved, refuse, type RuleContext } from "./rules";
import { LocalStore } from "./store";

const context: RuleContext = { uid: ME, now: NOW, serverNow: NOW * 1000 };
const LATER = NOW * 1000 + 5_000;

let store: LocalStore;

beforeEach(async () => {
  store = await LocalStore.open(new FakePlatform({ clock: new FakeClock(NOW, settle) }), ME);
  await store.write((tx) => enqueue(tx, context, { id: id(1), to: BOB, body: "typed here", replyTo: key(7) }));
});

const own = { id: id(1), conversation: CONVERSATION, from: ME, to: BOB, body: "sent elsewhere", at: LATER };
const accepted: ChatEvent = { type: "sent", message: { ...own, accepted_at: LATER } };
const row = (): Promise<MessageRow | undefined> => store.read((tx) => tx.message(CONVERSATION, key(1, ME)));
const preview = async (): Promise<string | undefined> =>
  (await store.read((tx) => tx.conversation(CONVERSATION)))?.preview?.body;

/** Two clients of one user, one of which chooses its ids itself, can send two messages under one id. */
describe("when another client of the user has sent other content under the id of a message", () => {
  test("the message that waits here shows the content that was accepted", async () => {
    await store.write((tx) => freeze(tx, context, id(1)));
    await store.write((tx) => applyEvent(tx, context, accepted));
    expect(await row()).toMatchObject({
      status: "sent",
      body: "sent elsewhere",
      replyTo: null,
      at: LATER,
      place: LATER,
    });
    expect(await preview()).toBe("sent elsewhere");
  });

  test("so does one that was never transmitted", async () => {
    await store.write((tx) => applyEvent(tx, context, accepted));
    expect(await row()).toMatchObject({ status: "sent", body: "sent elsewhere", at: LATER, place: LATER });
  });

  test("the message that was refused here shows the content that was delivered", async () => {
    await store.write(async (tx) => {
      const frozen = await freeze(tx, context, id(1));
      if (frozen) await refuse(tx, frozen, { code: "id_reused", message: "x" });
    });
    await store.write((tx) => applyEvent(tx, context, accepted));
    expect(await row()).toMatchObject({ body: "sent elsewhere", replyTo: null, at: LATER });
  });

  test("the content that was accepted first stays, until history shows which one was saved", async () => {
    await store.write((tx) => applyEvent(tx, context, accepted));
    const second = { ...own, body: "a third text", at: LATER + 1, accepted_at: LATER + 1 };
    await store.write((tx) => applyEvent(tx, context, { type: "sent", message: second }));
    expect(await row()).toMatchObject({ body: "sent elsewhere", at: LATER });
    await store.write((tx) => applySaved(tx, context, { ...second, delivered_at: LATER + 2 }));
    expect(await row()).toMatchObject({
      status: "delivered",
      body: "a third text",
      at: LATER + 1,
      deliveredAt: LATER + 2,
    });
    expect(await preview()).toBe("a third text");
  });
});

test("the rules for changes are loaded when a transaction needs them, which then runs again", async () => {
  const change = {
    ...own,
    id: id(2),
    body: "better",
    at: LATER + 1,
    accepted_at: LATER,
    of: { id: id(1), from: ME, at: LATER },
    kind: "edit",
  };
  await store.write(async (tx) => {
    await applyEvent(tx, context, accepted);
    await applyEvent(tx, context, { type: "changed", change: new Fields("event", change) });
  });
  expect(await row()).toMatchObject({ status: "sent", body: "better", settled: { body: "sent elsewhere" } });
});
