import { beforeEach, describe, expect, test } from "vitest";
import { type FakeSocket, settle } from "../../platform/testing/fake";
import { bodies, BOB, CAROL, CONVERSATION, event, id, message, NOW, sent, Stage } from "../testing/stage";

let stage: Stage;

beforeEach(async () => {
  stage = await Stage.start();
});

/** Makes the device open a link beside the one that it has, and welcomes it there. */
async function nextBeside(old: FakeSocket): Promise<FakeSocket> {
  old.deliver({ type: "goaway", reason: "rotate", within_ms: 5000 });
  await stage.clock.advance(5_000, () => stage.socket !== old);
  const next = stage.socket;
  next.accept();
  next.deliver(stage.welcome(true));
  await settle();
  return next;
}

/** Does everything that sends something, and returns the types of the frames on a link that it caused. */
async function sendsEverythingOn(s: FakeSocket): Promise<Set<unknown>> {
  const before = s.sent.length;
  await stage.device.send(CAROL, "hello");
  await stage.device.read(CONVERSATION, NOW * 1000 + 9);
  stage.device.engine.typing(BOB);
  stage.device.engine.watch([BOB, CAROL]);
  await stage.clock.advance(300);
  return new Set(s.sent.slice(before).map((text) => (JSON.parse(text) as { type: string }).type));
}

const EVERYTHING = new Set(["send", "read", "typing", "watch"]);

describe("while a link catches up beside the old one", () => {
  test("everything goes over the old one", async () => {
    const old = await stage.greeted();
    const next = await nextBeside(old);
    expect(await sendsEverythingOn(old)).toEqual(EVERYTHING);
    expect(next.sent.length).toBe(1);
  });

  test("and then ends, everything goes on over the old one", async () => {
    const old = await stage.greeted();
    await stage.device.send(BOB, "one");
    await settle();
    const next = await nextBeside(old);
    next.drop(1006);
    await settle();
    expect(await sendsEverythingOn(old)).toEqual(EVERYTHING);
    // A message that was sent on the old socket is not sent again, and its answer counts.
    expect(bodies(old)).toEqual(["one", "hello"]);
    await stage.device.send(BOB, "two");
    await stage.accept(old, 0);
    expect(bodies(old)).toEqual(["one", "hello", "two"]);
    old.deliver(event(1, message(1)));
    await settle();
    expect((await stage.device.see()).cursor).toBe("e:1-0");
  });

  test("and its events are stored, but do not move the place of the device", async () => {
    const old = await stage.greeted();
    old.deliver(event(5, message(5)));
    await settle();
    const next = await nextBeside(old);
    next.deliver(event(3, message(3)));
    await settle();
    expect((await stage.device.see()).cursor).toBe("e:5-0");
    old.drop(1006);
    next.deliver(event(4, message(4)));
    await settle();
    expect((await stage.device.messages(BOB)).map((r) => r.id)).toEqual([3, 4, 5].map((n) => id(n)));
  });
});

test("once a link has caught up, everything goes over it", async () => {
  const old = await stage.greeted();
  const next = await nextBeside(old);
  next.deliver({ type: "caught_up", cursor: "e:0-0" });
  await settle();
  expect(await sendsEverythingOn(next)).toEqual(EVERYTHING);
  expect(old.state).toBe("closed");
});

test("what is made without a link goes over the next one", async () => {
  const old = await stage.greeted();
  old.drop(1006);
  const quiet = await sendsEverythingOn(old);
  expect(quiet).toEqual(new Set());
  await stage.clock.advance(600);
  const next = await stage.greeted();
  await stage.clock.advance(300);
  for (const type of EVERYTHING) expect(sent(next, type).length, type).toBe(1);
});

test("nothing is sent on a link before what it brought is stored", async () => {
  await stage.device.send(BOB, "one");
  stage.platform.full = true;
  const s = await stage.greeted();
  await stage.clock.advance(100);
  expect(sent(s, "send")).toEqual([]);
  stage.platform.full = false;
  await stage.clock.advance(2_000);
  expect(bodies(s)).toEqual(["one"]);
});
