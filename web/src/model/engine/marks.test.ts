import { beforeEach, describe, expect, test } from "vitest";
import { conversationId } from "../../protocol/chat";
import type { FakeSocket } from "../../platform/testing/fake";
import { BOB, CAROL, CONVERSATION, event, ME, NOW, sent, Stage } from "../testing/stage";

const AT = NOW * 1000;
const MINUTE_MS = 60_000;

let stage: Stage;
/** When the read marks were sent on any link, in ms since the beginning, and up to where (µs since the beginning). */
let marks: [ms: number, upTo: number][];

beforeEach(async () => {
  stage = await Stage.start();
  marks = [];
});

async function greeted(): Promise<FakeSocket> {
  const s = stage.socket;
  s.onSent = (text) => {
    const frame = JSON.parse(text) as Record<string, unknown>;
    if (frame["type"] === "ping") stage.clock.after(1, () => s.deliver({ type: "pong" }));
    if (frame["type"] === "read" && frame["conversation"] === CONVERSATION)
      marks.push([stage.clock.now() - NOW, Number(frame["at"]) - AT]);
  };
  return await stage.greeted();
}

const shown = (n: number, at: number): object =>
  event(n, { type: "read", conversation: CONVERSATION, by: ME, at: AT + at });

describe("a read mark", () => {
  test("is sent at once, and again after 5, 10, 20 … s, at least every 5 min, until the server shows it", async () => {
    const s = await greeted();
    await stage.device.read(CONVERSATION, AT);
    await stage.clock.advance(20 * MINUTE_MS);
    const seconds = marks.map(([ms]) => Math.round(ms / 1000));
    expect(seconds).toEqual([0, 5, 15, 35, 75, 155, 315, 615, 915]);
    s.deliver(shown(1, 0));
    await stage.clock.advance(20 * MINUTE_MS);
    expect(marks.length).toBe(9);
  });

  test("that moves often is sent every 300 ms, with its latest place", async () => {
    await greeted();
    for (let n = 0; n < 10; n++) {
      await stage.device.read(CONVERSATION, AT + n);
      await stage.clock.advance(50);
    }
    await stage.clock.advance(500);
    expect(marks).toEqual([
      [0, 0],
      [300, 5],
      [600, 9],
    ]);
  });

  test("that moves is sent soon, although an older one waits long for its turn", async () => {
    await greeted();
    await stage.device.read(CONVERSATION, AT);
    await stage.clock.advance(10 * MINUTE_MS);
    const before = marks.length;
    await stage.device.read(CONVERSATION, AT + 1);
    await stage.clock.advance(1);
    expect(marks.slice(before).map(([, at]) => at)).toEqual([1]);
    await stage.clock.advance(6_000);
    expect(marks.slice(before).map(([, at]) => at)).toEqual([1, 1]);
  });

  test("does not wait for that of another conversation", async () => {
    const s = await greeted();
    const other = conversationId(ME, CAROL);
    await stage.device.read(other, AT);
    await stage.clock.advance(10 * MINUTE_MS);
    await stage.device.read(CONVERSATION, AT);
    await stage.clock.advance(16_000);
    expect(marks.map(([ms]) => Math.round(ms / 1000) - 600)).toEqual([0, 5, 15]);
    expect(sent(s, "read").filter((f) => f["conversation"] === other).length).toBeGreaterThan(6);
  });

  test("is sent at once on the next link, and goes on from there", async () => {
    await greeted();
    await stage.device.read(CONVERSATION, AT);
    await stage.clock.advance(MINUTE_MS);
    const before = marks.length;
    stage.socket.drop(1006);
    await stage.clock.advance(600);
    await greeted();
    await stage.clock.advance(16_000);
    expect(marks.slice(before).map(([ms]) => Math.round((ms - MINUTE_MS) / 1000))).toEqual([1, 6, 16]);
  });

  test("made without a link waits for one", async () => {
    const s = await greeted();
    s.drop(1006);
    await stage.device.read(CONVERSATION, AT);
    await stage.clock.advance(600);
    expect(marks).toEqual([]);
    await greeted();
    expect(marks.length).toBe(1);
  });

  test("goes on over the old link while the next one catches up, and over the next one when the old one ends", async () => {
    const old = await greeted();
    old.deliver({ type: "goaway", reason: "rotate", within_ms: 1000 });
    await stage.clock.advance(1_000);
    const next = await greeted();
    old.drop(1000);
    await stage.device.read(CONVERSATION, AT);
    await stage.clock.advance(0);
    expect(sent(next, "read").length).toBe(1);
    expect(sent(old, "read").length).toBe(0);
  });

  test("made while the store is read for another one is sent at once, too", async () => {
    const s = await greeted();
    const { store } = stage.device;
    const read = store.read.bind(store);
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    store.read = async (body) => {
      const value = await read(body);
      await gate;
      return value;
    };
    await stage.device.read(CONVERSATION, AT);
    await stage.clock.advance(0);
    await stage.device.read(conversationId(ME, CAROL), AT);
    await stage.clock.advance(0);
    expect(sent(s, "read")).toEqual([]);
    open();
    await stage.clock.advance(0);
    expect(sent(s, "read").length).toBe(2);
  });

  test("is sent although the store could not be read before", async () => {
    await greeted();
    await stage.device.read(CONVERSATION, AT);
    const read = stage.device.store.read.bind(stage.device.store);
    stage.device.store.read = () => Promise.reject(new Error("no answer"));
    await stage.clock.advance(7_000);
    expect(marks.length).toBe(1);
    expect(stage.platform.reports).toContain("read marks could not be read");
    stage.device.store.read = read;
    await stage.clock.advance(5_000);
    expect(marks.length).toBe(2);
  });

  test("is not sent after the engine has stopped", async () => {
    await greeted();
    await stage.device.read(CONVERSATION, AT);
    await stage.clock.advance(0);
    stage.device.engine.stop();
    await stage.device.read(CONVERSATION, AT + 1);
    await stage.clock.advance(MINUTE_MS);
    expect(marks.length).toBe(1);
  });
});

test("a read mark that another device has sent already is not sent", async () => {
  const s = await greeted();
  s.deliver(shown(1, 5));
  await stage.clock.advance(0);
  await stage.device.read(CONVERSATION, AT + 3);
  await stage.device.read(conversationId(ME, BOB), AT + 5);
  await stage.clock.advance(MINUTE_MS);
  expect(marks).toEqual([]);
});
