import { beforeEach, describe, expect, test } from "vitest";
import { settle } from "../../platform/testing/fake";
import { BOB, CAROL, LIMITS, NOW, sent, Stage } from "../testing/stage";

let stage: Stage;

beforeEach(async () => {
  stage = await Stage.start();
});

const watched = (): unknown[] => sent(stage.socket, "watch").map((f) => f["users"]);

describe("the users whose presence is watched", () => {
  test("are sent in any order once, after the list has not changed for 200 ms", async () => {
    await stage.greeted();
    stage.device.engine.watch([CAROL]);
    await stage.clock.advance(100);
    stage.device.engine.watch([CAROL, BOB, BOB]);
    await stage.clock.advance(99);
    expect(watched()).toEqual([]);
    await stage.clock.advance(1);
    expect(watched()).toEqual([[BOB, CAROL]]);
    stage.device.engine.watch([BOB, CAROL]);
    await stage.clock.advance(1_000);
    expect(watched().length).toBe(1);
    stage.device.engine.watch([]);
    await stage.clock.advance(200);
    expect(watched()).toEqual([[BOB, CAROL], []]);
    for (const list of [
      ["a", "bc"],
      ["ab", "c"],
    ]) {
      stage.device.engine.watch(list);
      await stage.clock.advance(200);
    }
    expect(watched().slice(2)).toEqual([
      ["a", "bc"],
      ["ab", "c"],
    ]);
  });

  test("are the first ones, as many as the server accepts, without those that cannot be users", async () => {
    await stage.greeted();
    const many = Array.from({ length: 1_500 }, (_, n) => `user${String(1_500 - n)}`);
    stage.device.engine.watch(["not a user", ...many]);
    await stage.clock.advance(200);
    expect(watched()).toEqual([many.slice(0, LIMITS.watch).sort()]);
  });

  test("are sent again on the next link", async () => {
    await stage.greeted();
    stage.device.engine.watch([BOB]);
    await stage.clock.advance(200);
    const next = await stage.reconnected(true);
    expect(sent(next, "watch").map((f) => f["users"])).toEqual([[BOB]]);
  });

  test("wait for a link", async () => {
    stage.device.engine.watch([BOB]);
    await stage.clock.advance(200);
    expect(watched()).toEqual([]);
    await stage.greeted();
    expect(watched()).toEqual([[BOB]]);
  });

  test("are not sent after the engine has stopped", async () => {
    const s = await stage.greeted();
    stage.device.engine.watch([BOB]);
    stage.device.engine.stop();
    await stage.clock.advance(1_000);
    expect(sent(s, "watch")).toEqual([]);
  });

  test("are sent on a new link although the old one ends later", async () => {
    const old = await stage.greeted();
    old.deliver({ type: "goaway", reason: "rotate", within_ms: 1000 });
    await stage.clock.advance(1_000);
    const next = await stage.greeted();
    old.drop(1000);
    stage.device.engine.watch([BOB]);
    await stage.clock.advance(200);
    expect(sent(next, "watch").map((f) => f["users"])).toEqual([[BOB]]);
  });
});

describe("a typing hint", () => {
  const typed = (): unknown[] => sent(stage.socket, "typing").map((f) => f["to"]);

  test("is sent at once", async () => {
    await stage.greeted();
    stage.device.engine.typing(BOB);
    expect(typed()).toEqual([BOB]);
  });

  test("made without a link is sent on the next one, once, if that comes within 3 s", async () => {
    stage.device.engine.typing(CAROL);
    stage.device.engine.typing(BOB);
    await stage.clock.advance(2_999);
    await stage.greeted();
    expect(typed()).toEqual([BOB]);
    await stage.reconnected(true);
    expect(typed()).toEqual([]);
  });

  test("made after the link has ended is sent on the next one", async () => {
    const s = await stage.greeted();
    await stage.clock.advance(20_000);
    s.drop(1006);
    stage.device.engine.typing(BOB);
    await stage.clock.advance(600);
    const next = await stage.greeted();
    expect(sent(next, "typing").map((f) => f["to"])).toEqual([BOB]);
  });

  test("made while the old link is still open beside a new one is sent on one of them", async () => {
    const old = await stage.greeted();
    old.deliver({ type: "goaway", reason: "rotate", within_ms: 1000 });
    await stage.clock.advance(1_000);
    const next = await stage.greeted();
    old.drop(1000);
    stage.device.engine.typing(BOB);
    expect(sent(next, "typing").map((f) => f["to"])).toEqual([BOB]);
  });

  test("made without a link is dropped after 3 s", async () => {
    stage.device.engine.typing(BOB);
    await stage.clock.advance(3_000);
    await stage.greeted();
    expect(typed()).toEqual([]);
  });

  test("of another user is reported", async () => {
    const s = await stage.greeted();
    s.deliver({ type: "typing", from: BOB });
    expect(stage.device.typing).toEqual([BOB]);
    expect(stage.device.presences).toEqual([]);
  });
});

test("presence is reported with the last visit in ms", async () => {
  const s = await stage.greeted();
  s.deliver({ type: "presence", user: BOB, online: true });
  s.deliver({ type: "presence", user: CAROL, online: false, last_seen: NOW * 1000 + 600 });
  expect(stage.device.presences).toEqual([
    { uid: BOB, presence: { online: true, lastSeen: null } },
    { uid: CAROL, presence: { online: false, lastSeen: NOW + 1 } },
  ]);
  expect(stage.device.typing).toEqual([]);
});

describe("whether the user looks at this device", () => {
  const looked = (): unknown[] => sent(stage.socket, "looking").map((f) => f["looking"]);

  test("is sent when it changes", async () => {
    await stage.greeted();
    stage.device.engine.look(true);
    stage.device.engine.look(true);
    stage.device.engine.look(false);
    expect(looked()).toEqual([true, false]);
  });

  test("is part of the next hello, and is corrected if it changes before the link is ready", async () => {
    await stage.greeted();
    stage.device.engine.look(true);
    const next = await stage.reconnected(true);
    expect(sent(next, "hello")).toMatchObject([{ looking: true }]);
    expect(sent(next, "looking")).toEqual([]);

    next.drop(1006);
    await stage.clock.advance(2_000);
    const last = stage.socket;
    last.accept();
    stage.device.engine.look(false);
    last.deliver(stage.welcome(true));
    expect(sent(last, "looking")).toEqual([]);
    last.deliver({ type: "caught_up", cursor: "e:0-0" });
    await settle();
    expect(sent(last, "hello")).toMatchObject([{ looking: true }]);
    expect(sent(last, "looking")).toMatchObject([{ looking: false }]);
  });
});
