import { beforeEach, describe, expect, test } from "vitest";
import { messageKey } from "../../protocol/chat";
import { FakeClock } from "../../platform/testing/clock";
import { FakePlatform, settle } from "../../platform/testing/fake";
import { enqueue, freeze } from "./outbox";
import { applyEvent, type RuleContext } from "./rules";
import { LocalStore } from "./store";

const ME = "aliceUid0001";
const BOB = "bobUid000002";
const CONVERSATION = `${ME}~${BOB}`;
const NOW = 1_795_348_800_000;
const id = (n: number): string => `019abd70-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
const at = (ms: number): RuleContext => ({ uid: ME, now: NOW + ms, serverNow: (NOW + ms) * 1000 });

let store: LocalStore;

beforeEach(async () => {
  store = await LocalStore.open(new FakePlatform({ clock: new FakeClock(NOW, settle) }), ME);
});

const type = (n: number, ms: number): Promise<void> =>
  store.write((tx) => enqueue(tx, at(ms), { id: id(n), to: BOB, body: `typed ${n}`, replyTo: null }));
const transmit = (n: number, ms: number): Promise<unknown> => store.write((tx) => freeze(tx, at(ms), id(n)));
const receive = (n: number, ms: number): Promise<unknown> => {
  const time = (NOW + ms) * 1000;
  const message = { id: id(n), conversation: CONVERSATION, from: BOB, to: ME, body: `received ${n}`, at: time };
  return store.write((tx) => applyEvent(tx, at(ms), { type: "message", message: { ...message, accepted_at: time } }));
};
const preview = async (): Promise<string | undefined> =>
  (await store.read((tx) => tx.conversation(CONVERSATION)))?.preview?.body;

describe("the preview of a conversation", () => {
  test("is a message that was typed before another one arrived, and sent after it", async () => {
    await type(1, 0);
    await receive(2, 100);
    expect(await preview()).toBe("received 2");
    await transmit(1, 200);
    expect(await preview()).toBe("typed 1");
  });

  test("stays the last typed message while those before it are sent", async () => {
    await type(1, 0);
    await type(2, 10);
    await transmit(1, 200);
    expect(await preview()).toBe("typed 2");
    await transmit(2, 300);
    expect(await preview()).toBe("typed 2");
    const [first, second] = await store.read((tx) => tx.messagesFrom(CONVERSATION, 0));
    expect([first?.key, second?.key]).toEqual([1, 2].map((n) => messageKey({ id: id(n), from: ME })));
  });
});
