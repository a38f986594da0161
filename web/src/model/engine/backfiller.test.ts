import { beforeEach, describe, expect, test } from "vitest";
import { conversationId, messageKey, type SavedMessage } from "../../protocol/chat";
import { settle } from "../../platform/testing/fake";
import { json } from "../testing/archive";
import {
  bodies,
  BOB,
  CAROL,
  CONVERSATION,
  event,
  id,
  key,
  ME,
  message,
  NOW,
  saved,
  sent,
  Stage,
} from "../testing/stage";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let stage: Stage;
/**
 * The pages of lists and of history that were requested: when (ms since the beginning), which path, and where a page of
 * messages ends. A batch has several.
 */
let requests: { at: number; path: string; conversation: string; before: string }[];
/** The number of requests for history. */
let calls = 0;

beforeEach(async () => {
  stage = await Stage.start();
  requests = [];
  calls = 0;
  stage.archive.before = (_uid, request, path) => {
    const q = new URL(request.url).searchParams;
    const at = stage.clock.now() - NOW;
    if (path === "/api/conversations") requests.push({ at, path, conversation: "", before: "" });
    // Otherwise, messages are looked up that may have been corrected; engine.test.ts is about these.
    const pages = path === "/api/messages" ? [pageOf(q)] : q.getAll("page");
    if (pages.length > 0) calls++;
    for (const page of pages) {
      const [conversation = "", ...before] = page.split(",");
      requests.push({ at, path: "/api/messages", conversation, before: before.join(",") });
    }
    return null;
  };
});

/** Returns the place that a single request names, as a batch does. */
function pageOf(q: URLSearchParams): string {
  return [q.get("conversation"), q.get("before")].filter((part) => part !== null).join(",");
}

const lists = (): number[] => requests.filter((r) => r.path === "/api/conversations").map((r) => r.at);
const pages = (conversation = CONVERSATION): typeof requests => requests.filter((r) => r.conversation === conversation);
const keys = async (other = BOB): Promise<string[]> => (await stage.device.messages(other)).map((r) => r.key);
const newest = (messages: readonly SavedMessage[], count: number): string[] => messages.slice(-count).map(messageKey);
/** Returns the times in whole seconds. */
const seconds = (times: readonly number[]): number[] => times.map((ms) => Math.floor(ms / 1000));

/** Lets time pass on a link that answers pings. */
async function pass(ms: number): Promise<void> {
  stage.answerPings(stage.socket);
  await stage.clock.advance(ms);
}

/** Saves `count` messages of Bob, `apartMs` apart, of which the last one is of the time `lastMs`. Oldest first. */
function savedUntil(lastMs: number, count: number, apartMs: number): SavedMessage[] {
  const all = Array.from({ length: count }, (_, i) => saved(i + 1, (lastMs - (count - 1 - i) * apartMs) * 1000));
  stage.archive.save(all);
  return all;
}

describe("after a gap, history is loaded", () => {
  test("at once, and again 1, 5 and 15 minutes later, for what was saved late", async () => {
    await stage.greeted(false);
    await pass(2 * HOUR_MS);
    expect(seconds(lists())).toEqual([0, 60, 300, 900]);
  });

  test("from the start again when there is another gap meanwhile", async () => {
    await stage.greeted(false);
    await pass(30_000);
    await stage.reconnected(false);
    await pass(2 * HOUR_MS);
    expect(seconds(lists())).toEqual([0, 30, 90, 330, 930]);
  });

  test("from the start again when the other gap is found during a load", async () => {
    const s = await stage.greeted(false);
    await pass(MINUTE_MS - 10);
    const { answer } = stage.platform;
    stage.platform.answer = async (request) => {
      stage.platform.answer = answer;
      s.deliver("not a frame");
      await settle();
      return (await answer?.(request)) ?? json(503, {});
    };
    await pass(2 * HOUR_MS);
    expect(seconds(lists()).slice(1)).toEqual([60, 60, 120, 360, 960]);
  });

  test("after a restart, too, and not before there is a link", async () => {
    stage.archive.save([saved(1, NOW * 1000)]);
    stage.platform.answer = null;
    await stage.greeted(false);
    await stage.restart();
    await stage.device.send(BOB, "one");
    await stage.clock.advance(1_000);
    expect(requests).toEqual([]);
    await stage.greeted(true);
    await stage.clock.advance(10);
    expect((await keys()).slice(0, 1)).toEqual([key(1)]);
  });

  test("down to ten minutes before the last stored event", async () => {
    const s = await stage.greeted();
    s.deliver(event(1, message(9_999)));
    await settle();
    // A message every half minute, for two hours before and five minutes after the last event.
    const all = savedUntil(NOW + 5 * MINUTE_MS, 250, 30_000);
    s.drop(1006);
    await stage.clock.advance(10 * MINUTE_MS);
    await stage.greeted(false);
    await stage.clock.advance(2_000);
    expect(pages().length).toBe(1);
    expect((await keys()).filter((k) => !k.startsWith(id(9_999)))).toEqual(newest(all, 50));
  });

  test("with as many pages as it takes, and later only for the last hour before the gap was found", async () => {
    const s = await stage.greeted();
    s.deliver(event(1, message(9_999)));
    await settle();
    s.drop(1006);
    await stage.clock.advance(5 * HOUR_MS);
    const all = savedUntil(stage.clock.now(), 500, 36_000);
    await stage.greeted(false);
    await pass(30_000);
    expect(pages().length).toBe(10);
    expect((await keys()).filter((k) => !k.startsWith(id(9_999)))).toEqual(newest(all, 500));
    await pass(MINUTE_MS);
    // 70 minutes with 100 messages an hour.
    expect(pages().length).toBe(13);
  });

  test("of one conversation, at most 20 pages", async () => {
    const s = await stage.greeted();
    s.deliver(event(1, message(9_999)));
    await settle();
    s.drop(1006);
    await stage.clock.advance(HOUR_MS);
    savedUntil(stage.clock.now(), 1_200, 1_000);
    await stage.greeted(false);
    await pass(30_000);
    expect(pages().length).toBe(20);
  });

  test("of the conversations that have something new since then", async () => {
    const s = await stage.greeted();
    s.deliver(event(1, message(9_999)));
    await settle();
    const other = conversationId(ME, CAROL);
    stage.archive.save([
      saved(1, (NOW - HOUR_MS) * 1000),
      { ...saved(2, (NOW - 9 * MINUTE_MS) * 1000), conversation: other, from: CAROL },
    ]);
    await stage.reconnected(false);
    await pass(2_000);
    expect(pages().length).toBe(0);
    expect(pages(other).length).toBe(1);
    expect((await stage.device.messages(CAROL)).map((r) => r.id)).toEqual([id(2)]);
  });

  test("over the pages of the list, as far as they have something new since then", async () => {
    const s = await stage.greeted();
    s.deliver(event(1, message(9_999)));
    await settle();
    const hook = stage.archive.before;
    const asked: string[] = [];
    // Each page has one conversation, two minutes older than that of the page before.
    stage.archive.before = (uid, request, path) => {
      hook(uid, request, path);
      if (path !== "/api/conversations") return null;
      const cursor = new URL(request.url).searchParams.get("cursor") ?? "0";
      asked.push(cursor);
      const n = Number(cursor);
      return json(200, {
        conversations: [
          {
            id: conversationId(ME, `user${n}`),
            with: { uid: `user${n}`, username: `user${n}`, display_name: `User ${n}` },
            last_at: (NOW - n * 2 * MINUTE_MS) * 1000,
            unread: 1,
            read: {},
          },
        ],
        next: String(n + 1),
      });
    };
    await stage.reconnected(false);
    await stage.clock.advance(2_000);
    // The margin ends ten minutes before the gap.
    expect(asked).toEqual(["0", "1", "2", "3", "4", "5", "6"]);
    expect(requests.filter((r) => r.path === "/api/messages").map((r) => r.conversation)).toEqual(
      [0, 1, 2, 3, 4, 5].map((n) => conversationId(ME, `user${n}`)),
    );
    expect((await stage.device.store.read((tx) => tx.user("user3")))?.displayName).toBe("User 3");
  });

  test("both messages of one time, where a page ends between them", async () => {
    const pair = (n: number): SavedMessage[] => [saved(n, NOW * 1000 + n, BOB), saved(n, NOW * 1000 + n, ME)];
    stage.archive.save([...Array.from({ length: 51 }, (_, n) => pair(n)).flat(), saved(60, NOW * 1000 + 60)]);
    await stage.greeted(false);
    await stage.clock.advance(2_000);
    const all = [...stage.archive.saved.values()].sort(
      (a, b) => a.at - b.at || (messageKey(a) < messageKey(b) ? -1 : 1),
    );
    expect(await keys()).toEqual(newest(all, 100));
  });

  test("although one of the conversations may not be read any more", async () => {
    const s = await stage.greeted();
    s.deliver(event(1, message(9_999)));
    await settle();
    const other = conversationId(ME, CAROL);
    stage.archive.save([
      saved(1, (NOW + 2) * 1000),
      { ...saved(2, (NOW + 1) * 1000), conversation: other, from: CAROL },
    ]);
    const hook = stage.archive.before;
    stage.archive.before = (uid, request, path) => {
      hook(uid, request, path);
      const q = new URL(request.url).searchParams;
      const gone = [...q.getAll("page"), ...q.getAll("conversation")].includes(CONVERSATION);
      return gone ? json(404, { code: "not_found", detail: "There is nothing here." }) : null;
    };
    await stage.reconnected(false);
    await pass(30_000);
    expect((await stage.device.messages(CAROL)).map((r) => r.id)).toEqual([id(2)]);
    // Together with the other one, then alone.
    expect(pages().length).toBe(2);
    expect((await stage.device.store.read((tx) => tx.gap())).loads).toBe(1);
  });

  test("again and again, ever more slowly, while the server is down, and at once over a new link", async () => {
    stage.archive.save([saved(1, NOW * 1000)]);
    const hook = stage.archive.before;
    let down = true;
    stage.archive.before = (uid, request, path) => {
      hook(uid, request, path);
      return down ? json(503, { code: "unavailable", detail: "Later.", retry_after_ms: 2000 }) : null;
    };
    await stage.greeted(false);
    await pass(10 * MINUTE_MS);
    const times = lists();
    // The server asks for 2 s, and the rest is random, up to a minute.
    expect(times.length).toBeGreaterThan(10);
    expect(times.length).toBeLessThan(60);
    for (const [i, at] of times.slice(1).entries()) {
      expect(at - (times[i] ?? 0)).toBeGreaterThanOrEqual(2_000);
      expect(at - (times[i] ?? 0)).toBeLessThanOrEqual(62_001);
    }
    expect(times.slice(0, 4).at(-1)).toBeLessThan(15_000);
    down = false;
    await stage.reconnected(true);
    await stage.clock.advance(10);
    expect(lists().length).toBe(times.length + 1);
    expect((await stage.device.messages(BOB)).map((r) => r.id)).toEqual([id(1)]);
    expect(stage.platform.reports).toContain("history could not be loaded");
  });

  test("without a report when there is no network", async () => {
    stage.platform.answer = null;
    await stage.greeted(false);
    await stage.clock.advance(5_000);
    expect(stage.platform.reports).toEqual([]);
  });
});

describe("on a first visit, history is loaded", () => {
  test("of 30 conversations with unread messages, two pages each, and of none that was read", async () => {
    for (let n = 1; n <= 40; n++) {
      const other = `user${String(n).padStart(4, "0")}`;
      const conversation = conversationId(ME, other);
      stage.archive.save(
        Array.from({ length: n === 40 ? 150 : 1 }, (_, i) => ({
          ...saved(n * 200 + i, (NOW - 1_000_000 + n * 1_000 + i) * 1000),
          conversation,
          from: other,
        })),
      );
      if (n === 39) stage.archive.read(conversation, ME, NOW * 1000);
    }
    await stage.greeted(false);
    await stage.clock.advance(10_000);
    const loaded = requests.filter((r) => r.path === "/api/messages").map((r) => r.conversation);
    expect(new Set(loaded).size).toBe(30);
    // Only one of them has more than the few messages that are loaded at first.
    expect(loaded.length).toBe(32);
    expect((await keys("user0040")).length).toBe(100);
    expect(loaded).not.toContain(conversationId(ME, "user0039"));
    expect(calls).toBe(4);
    // The list has all of them.
    expect((await stage.device.store.read((tx) => tx.conversations())).length).toBe(40);
  });

  test("down to the messages that were read elsewhere", async () => {
    const all = savedUntil(NOW, 200, 1_000);
    stage.archive.read(CONVERSATION, ME, all[149]?.at ?? 0);
    await stage.greeted(false);
    await stage.clock.advance(2_000);
    expect(pages().length).toBe(2);
    stage.archive.read(CONVERSATION, ME, all[160]?.at ?? 0);
    const visit = await Stage.start();
    visit.archive.save(all);
    visit.archive.read(CONVERSATION, ME, all[160]?.at ?? 0);
    await visit.greeted(false);
    await visit.clock.advance(2_000);
    expect((await visit.device.messages(BOB)).length).toBe(50);
  });

  test("of the first page of the list only, and later of 20 pages at most", async () => {
    const asked: (string | null)[] = [];
    stage.archive.before = (_uid, request, path) => {
      if (path !== "/api/conversations") return null;
      asked.push(new URL(request.url).searchParams.get("cursor"));
      return json(200, {
        conversations: [{ id: CONVERSATION, last_at: NOW * 1000, unread: 0, read: {} }],
        next: "more",
      });
    };
    await stage.greeted(false);
    await stage.clock.advance(2_000);
    expect(asked).toEqual([null]);
    expect(await stage.device.store.read((tx) => tx.meta("list"))).toMatchObject({ next: "more", loaded: true });
    // A later load keeps how far down the list was loaded.
    await stage.device.store.write((tx) => tx.putMeta({ name: "list", next: "further", loaded: true }));
    await pass(MINUTE_MS);
    expect(asked.length).toBe(1 + 20);
    expect(await stage.device.store.read((tx) => tx.meta("list"))).toMatchObject({ next: "further" });
  });
});

describe("a message that an event mentions and that is not on this device", () => {
  const mention = (n: number, at: number): object =>
    event(n, { type: "read", conversation: CONVERSATION, by: BOB, at });

  test("is loaded after 3 s, also if another event mentions a later one", async () => {
    const s = await stage.greeted();
    stage.archive.save([saved(1, NOW * 1000), saved(2, NOW * 1000 + 1)]);
    s.deliver(mention(1, NOW * 1000));
    await stage.clock.advance(2_000);
    s.deliver(mention(2, NOW * 1000 + 1));
    await stage.clock.advance(2_900);
    expect(pages()).toEqual([]);
    await stage.clock.advance(200);
    expect(pages().map((r) => r.before)).toEqual([String(NOW * 1000 + 2)]);
    expect((await stage.device.messages(BOB)).map((r) => r.id)).toEqual([id(1), id(2)]);
    expect(await stage.device.store.read((tx) => tx.backfills())).toEqual([]);
    await pass(HOUR_MS);
    expect(pages().length).toBe(1);
    expect(stage.platform.reports).toEqual([]);
  });

  test("is looked for ever more seldom, at least once an hour, and for seven days", async () => {
    const s = await stage.greeted();
    s.deliver(mention(1, NOW * 1000));
    await pass(DAY_MS);
    const times = seconds(pages().map((r) => r.at));
    const waits = times.slice(1).map((at, i) => at - (times[i] ?? 0));
    expect(times[0]).toBe(3);
    expect(waits.slice(0, 10)).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560]);
    expect(new Set(waits.slice(10))).toEqual(new Set([3600]));
    // Days pass while the device sleeps.
    stage.platform.skew = 5.9 * DAY_MS;
    await pass(HOUR_MS);
    expect((await stage.device.store.read((tx) => tx.backfills())).length).toBe(1);
    stage.platform.skew = 6.1 * DAY_MS;
    await pass(HOUR_MS);
    expect(await stage.device.store.read((tx) => tx.backfills())).toEqual([]);
    const count = pages().length;
    await pass(2 * HOUR_MS);
    expect(pages().length).toBe(count);
  });

  test("is loaded as soon as it is due, although another one is due later", async () => {
    const s = await stage.greeted();
    s.deliver(mention(1, NOW * 1000));
    await pass(10 * MINUTE_MS);
    const other = conversationId(ME, CAROL);
    stage.archive.save([{ ...saved(2, NOW * 1000), conversation: other, from: CAROL }]);
    s.deliver(event(2, { type: "read", conversation: other, by: CAROL, at: NOW * 1000 }));
    await stage.clock.advance(3_001);
    expect((await stage.device.messages(CAROL)).map((r) => r.id)).toEqual([id(2)]);
  });
});

describe("before the outbox is sent after a gap", () => {
  test("history is loaded down to the oldest message that was transmitted, once", async () => {
    const s = await stage.greeted();
    // The older message of another conversation does not make it load more.
    await stage.device.send(CAROL, "earlier");
    await settle();
    await stage.accept(s);
    await pass(1_000_000);
    await stage.device.send(BOB, "mine");
    await settle();
    await stage.accept(s);
    await pass(HOUR_MS);
    savedUntil(stage.clock.now(), 120, 1_000);
    await stage.device.send(BOB, "mine, too");
    await settle();
    await stage.accept(s);
    const mine = sent(s, "send").slice(1);
    const saveOwn = (f: Record<string, unknown>): SavedMessage => ({
      ...saved(0, Number(f["at"]), ME),
      id: String(f["id"]),
      body: String(f["body"]),
    });
    const at = Number(mine[0]?.["at"]);
    stage.archive.save([
      ...mine.map(saveOwn),
      ...Array.from({ length: 200 }, (_, n) => saved(1_000 + n, at - (n + 1) * 1_000_000)),
    ]);
    const again = await stage.reconnected(false);
    await stage.clock.advance(5_000);
    expect(bodies(again)).toEqual(["earlier"]);
    expect((await stage.device.see()).outbox.length).toBe(1);
    // Three pages: the message is on the last one. The next request begins another walk, that of the gap.
    expect(
      pages()
        .map((r) => r.before === "")
        .slice(0, 4),
    ).toEqual([true, false, false, true]);
  });
});
