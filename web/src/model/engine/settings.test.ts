/** The user's settings of conversations, on a device whose server is the test. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Setting } from "../../protocol/frames";
import { settle } from "../../platform/testing/fake";
import { json } from "../testing/archive";
import { choose } from "../store/settings";
import { BOB, CAROL, CONVERSATION, event, id, ME, NOW, saved, Stage } from "../testing/stage";
import { contextOf } from "./ports";

const AT = NOW * 1000;
const PIN = { kind: "pin", conversation: CONVERSATION, message: "" };
const DAY_MS = 24 * 3_600_000;

let stage: Stage;
/** The settings that the server was asked to store. */
let asked: Setting[];
/** Whether the server answers. */
let answers: boolean;

beforeEach(async () => {
  stage = await Stage.start();
  asked = [];
  answers = true;
  stage.archive.before = (_uid, { method, body }, path) => {
    if (method !== "PUT" || path !== "/api/me/setting") return null;
    asked.push(JSON.parse(body ?? "") as Setting);
    return answers ? null : json(503, { code: "unavailable", detail: "Later." });
  };
});

/** Makes a choice as the screens do. */
async function pick(n: number, value: number, subject = PIN): Promise<void> {
  const { device } = stage;
  await device.store.write((tx) => choose(tx, contextOf(device.parts), id(n), subject, value));
  await settle();
}

const stored = (): Promise<Pick<Setting, "kind" | "value" | "at">[]> =>
  stage.device.store.read(async (tx) => (await tx.settings()).map(({ kind, value, at }) => ({ kind, value, at })));
const unsent = (): Promise<number> => stage.device.store.read(async (tx) => (await tx.unsentSettings()).length);
const shows = (n: number, setting: Partial<Setting>): object =>
  event(n, { type: "setting", kind: "pin", conversation: CONVERSATION, value: 1, at: AT, id: id(n), ...setting });

describe("a choice", () => {
  test("made without a network is stored at once, and sent until the server answers", async () => {
    answers = false;
    await pick(1, 1);
    expect(await stored()).toEqual([{ kind: "pin", value: 1, at: AT }]);
    await stage.restart();
    expect(asked).toEqual([]);
    await stage.greeted();
    await stage.clock.advance(60_000);
    expect(asked.length).toBeGreaterThan(2);
    expect(asked.every((s) => JSON.stringify(s) === JSON.stringify(asked[0]))).toBe(true);
    answers = true;
    await stage.clock.advance(5 * 60_000);
    const count = asked.length;
    expect([await unsent(), await stored()]).toEqual([0, [{ kind: "pin", value: 1, at: AT }]]);
    await stage.clock.advance(60 * 60_000);
    expect(asked.length).toBe(count);
  });

  test("that changes several times before it is sent is sent once, as it is in the end", async () => {
    await pick(1, 1);
    await pick(2, 0);
    await pick(3, 1);
    await stage.greeted();
    await stage.clock.advance(0);
    expect(asked.map(({ value, id: of }) => [value, of])).toEqual([[1, id(3)]]);
  });

  test("of a clock that is ahead, or of weeks ago, has a time that the server accepts", async () => {
    stage.platform.skew = -31 * DAY_MS;
    await pick(1, 1);
    stage.platform.skew = 3_600_000;
    await pick(2, 1, { ...PIN, kind: "archive" });
    stage.platform.skew = 0;
    await stage.greeted();
    await stage.clock.advance(0);
    const ages = asked.map(({ kind, at }) => [kind, (stage.clock.now() - at / 1000) / DAY_MS]);
    expect(ages).toEqual([
      ["pin", 29],
      ["archive", 0],
    ]);
  });

  test("that the server refuses is taken back to the one that counts there", async () => {
    const s = await stage.greeted();
    s.deliver(shows(1, { kind: "mute", value: AT }));
    await settle();
    stage.archive.before = (_uid, _request, path) =>
      path === "/api/me/setting" ? json(409, { code: "pins_full", detail: "Too many." }) : null;
    await pick(2, 1);
    await pick(3, AT + 5, { ...PIN, kind: "mute" });
    await stage.clock.advance(0);
    expect([await unsent(), await stored()]).toEqual([0, [{ kind: "mute", value: AT, at: AT }]]);
  });

  test("that another device made later counts, whether it arrives before or after the own one is answered", async () => {
    const s = await stage.greeted();
    answers = false;
    await pick(1, 1);
    await stage.clock.advance(10);
    s.deliver(shows(2, { value: 0, at: AT + 20_000, id: id(2) }));
    await settle();
    expect([await unsent(), await stored()]).toEqual([0, [{ kind: "pin", value: 0, at: AT + 20_000 }]]);
    await stage.clock.advance(60_000);
    // An older one does not count, and neither does one of the same time with a smaller id.
    s.deliver(shows(3, { value: 1, at: AT + 10_000 }));
    s.deliver(shows(4, { value: 1, at: AT + 20_000, id: id(1) }));
    await settle();
    expect(await stored()).toEqual([{ kind: "pin", value: 0, at: AT + 20_000 }]);
  });

  test("that another device made earlier does not replace an unsent one", async () => {
    const s = await stage.greeted();
    answers = false;
    await stage.clock.advance(10);
    await pick(1, 0, { ...PIN, kind: "unread" });
    await pick(2, 1);
    s.deliver(shows(3, { value: 1, at: AT }));
    await settle();
    expect([await unsent(), (await stored())[0]]).toEqual([1, { kind: "pin", value: 1, at: AT + 10_000 }]);
  });

  test("about a conversation of other people is ignored", async () => {
    const s = await stage.greeted();
    s.deliver(shows(1, { conversation: `${BOB}~${CAROL}` }));
    await settle();
    expect(await stored()).toEqual([]);
  });
});

describe("after a gap, a device", () => {
  const listed = (setting: Partial<Setting>): void => {
    const request = { method: "PUT", url: "https://chat.test/api/me/setting", headers: {}, timeoutMs: 1_000 } as const;
    const full = { ...PIN, value: 1, at: AT, id: id(1), ...setting };
    void stage.archive.answer(ME, { ...request, body: JSON.stringify(full) });
  };

  test("has the settings that the server lists, and keeps its own unsent ones", async () => {
    const s = await stage.greeted();
    const star = { kind: "star", message: `${id(9)}.${BOB}` };
    s.deliver(shows(1, star));
    s.deliver(shows(2, { kind: "mute", value: AT + 1 }));
    await settle();
    answers = false;
    await pick(3, 1, { ...PIN, kind: "archive" });
    s.drop(1006);
    await stage.clock.advance(100);
    answers = true;
    listed({ kind: "mute", value: 0, at: AT + 50 });
    answers = false;
    await stage.clock.advance(600);
    await stage.greeted(false);
    await stage.clock.advance(1_000);
    expect(await stored()).toEqual([
      { kind: "archive", value: 1, at: AT },
      { kind: "mute", value: 0, at: AT + 50 },
    ]);
    expect(await unsent()).toBe(1);
  });

  test("has the pinned conversations, also those that are not on the first page of the list", async () => {
    stage.archive.save([saved(1, AT)]);
    listed({});
    stage.archive.before = (_uid, { url }, path) =>
      path === "/api/conversations" && !url.includes("pinned") ? json(200, { conversations: [], next: "" }) : null;
    await stage.greeted(false);
    await stage.clock.advance(1_000);
    const rows = await stage.device.store.read((tx) => tx.conversations(10));
    expect(rows.map((row) => [row.id, row.preview?.body])).toEqual([[CONVERSATION, "message 1"]]);
  });
});
