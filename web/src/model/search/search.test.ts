import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FakeClock } from "../../platform/testing/clock";
import { json } from "../testing/archive";
import { BOB, CONVERSATION, ME, NOW, saved, Stage } from "../testing/stage";
import { NetworkError } from "../../platform/platform";
import { settle } from "../../platform/testing/fake";
import { fold } from "../../text/folding";
import type { Chat } from "../interface/chat";
import { Value } from "../observable";
import { excerptOf, matchesIn } from "./excerpt";
import { MessageIndex, newestOf } from "./messageIndex";
import { Hits } from "./hits";
import { matchesName } from "./names";
import { Allowance, OlderHistory, PAGE, PAGE_EXTRA, READS_PER_MINUTE } from "./olderHistory";
import { Searches } from "./search";

const hitsOf = (text: string, query: string): string[] =>
  matchesIn(text, fold(query)).map(({ start, end }) => text.slice(start, end));

describe("the matches in a text", () => {
  test.each([
    ["Straße nach Łódź", "strasse", ["Straße"]],
    ["Straße", "s", ["S", "ß"]],
    ["e\u0301te\u0301", "ETE", ["e\u0301te\u0301"]],
    ["don’t  \n stop", "dont stop", ["don’t  \n stop"]],
    ["ﬁn ﬁn", "fin", ["ﬁn", "ﬁn"]],
    ["ŉ", "n", ["ŉ"]],
    ["İstanbul", "istanbul", ["İstanbul"]],
    ["👍🏽 ok", "👍🏽", ["👍🏽"]],
    ["aaaa", "aa", ["aa", "aa"]],
    ["nothing here", "else", []],
    ["anything", " ", []],
  ])("of %j: %j finds %j", (text, query, found) => expect(hitsOf(text, query)).toEqual(found));

  const text = fc.string({
    unit: fc.oneof(
      fc.constantFrom(..."aAbß éÉİ’'\n\u00a0ﬁ½", "e\u0301", "\u0301", "\u200d"),
      fc.integer({ min: 0, max: 0x10ffff }).map((code) => String.fromCodePoint(code)),
    ),
  });

  test("are found exactly if the folded text contains the folded query, and are in order", () => {
    fc.assert(
      fc.property(text, text, fc.boolean(), (body, other, inside) => {
        const query = fold(inside ? body.slice(0, 3) : other);
        const spans = matchesIn(body, query);
        expect(spans.length > 0).toBe(query !== "" && fold(body).includes(query));
        let before = 0;
        for (const { start, end } of spans) {
          expect(start).toBeGreaterThanOrEqual(before);
          expect(end).toBeGreaterThan(start);
          expect(fold(body.slice(start, end))).toContain(query.trim());
          before = end;
        }
      }),
    );
  });

  test("are in the excerpt, which shows a long text around the first one", () => {
    const long = `${"before ".repeat(200)}the needle ${"after ".repeat(200)}`;
    const parts = excerptOf(long, "needle");
    expect(parts[0]).toEqual({ text: "…", hit: false });
    expect(parts.filter(({ hit }) => hit)).toEqual([{ text: "needle", hit: true }]);
    expect(parts.map((part) => part.text).join("").length).toBeLessThan(300);
    fc.assert(
      fc.property(text, (body) => {
        const whole = excerptOf(body, fold(body.slice(0, 2))).map((part) => part.text);
        expect(body.startsWith(whole.join("").replace(/…$/u, ""))).toBe(true);
      }),
    );
  });
});

describe("the index", () => {
  const row = (n: number, body: string, conversation = "a~b", place = n) => ({
    conversation,
    key: `k${n}`,
    place,
    body,
  });
  const keys = async (index: MessageIndex, query: string, scope: string | null = null): Promise<string[]> =>
    newestOf((await index.find(query, scope, () => true)) ?? [], 100).map(({ key }) => key);

  test("finds the newest first, over all conversations, in any order of arrival", async () => {
    const rows = Array.from({ length: 40 }, (_, n) => row(n, `word ${n}`, n % 3 === 0 ? "a~b" : "a~c"));
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(rows, { minLength: 40 }), async (shuffled) => {
        const index = new MessageIndex();
        index.put(shuffled);
        expect(await keys(index, "word")).toEqual(rows.map(({ key }) => key).reverse());
        expect(await keys(index, "word", "a~b")).toHaveLength(14);
      }),
    );
  });

  test("finds in earlier matches what it finds in all messages, if the query has grown", async () => {
    const words = fc.string({ unit: fc.constantFrom("a", "b", "c", " "), maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(words, { maxLength: 40 }),
        words,
        words,
        words,
        async (bodies, query, before, after) => {
          const index = new MessageIndex();
          index.put(bodies.map((body, n) => row(n, body, n % 3 === 0 ? "a~b" : "a~c")));
          const grown = fold(`${before}${query}${after}`);
          const short = fold(query);
          fc.pre(short !== "" && grown.includes(short));
          const within = (await index.find(short, null, () => true)) ?? [];
          const found = await index.find(grown, null, () => true, within);
          expect(found).toEqual(await index.find(grown, null, () => true));
        },
      ),
    );
  });

  test("forgets the earlier text of a message, and messages that are deleted", async () => {
    const index = new MessageIndex();
    index.put([row(1, "the old text"), row(2, "another")]);
    index.put([row(1, "the new one", "a~b", 9)]);
    expect(await keys(index, "old text")).toEqual([]);
    expect(await keys(index, "the new")).toEqual(["k1"]);
    index.put([row(1, "")]); // deleted for everyone
    index.delete("a~b", "k2");
    index.delete("a~b", "k3");
    expect(await keys(index, "e")).toEqual([]);
    expect(index.size).toBe(1);
  });

  test("pauses, and ends when the search is not wanted any more", async () => {
    const index = new MessageIndex();
    index.put(Array.from({ length: 2_000 }, (_, n) => row(n, "x")));
    let pauses = 0;
    expect(await index.find("x", null, () => Promise.resolve(++pauses < 3))).toBeNull();
    expect(pauses).toBe(3);
  });
});

test("a name matches by the beginnings of its words, and by the username", () => {
  const user = { uid: "u", username: "jonas.a", displayName: "Jönas O’Neil" };
  expect(["jon", "oneil", "o", "jonas o", "@jonas.a"].every((query) => matchesName(user, fold(query)))).toBe(true);
  expect(["nas", "x", ""].some((query) => matchesName(user, fold(query)))).toBe(false);
});

test("what searches read in a minute is bounded", () => {
  const clock = new FakeClock(NOW, settle);
  const allowance = new Allowance(clock);
  let reads = 0;
  for (; allowance.wait() === 0; reads += PAGE + PAGE_EXTRA) allowance.spend(PAGE + PAGE_EXTRA);
  expect(reads).toBeLessThanOrEqual(READS_PER_MINUTE);
  expect(allowance.wait()).toBeLessThanOrEqual(((PAGE + PAGE_EXTRA) * 60_000) / READS_PER_MINUTE);
});

/** A device with `count` messages from Bob in its history, of which it has the newest page. */
async function device(count: number) {
  const stage = await Stage.start();
  stage.archive.save(Array.from({ length: count }, (_, n) => saved(n + 1, (NOW - (count - n) * 60_000) * 1000)));
  await stage.greeted();
  await stage.device.open(CONVERSATION);
  const { store, history, platform } = stage.device;
  const stops: (() => void)[] = [];
  const connection = new Value<ReturnType<Chat["connection"]["get"]>>({ state: "online" });
  const late = {
    uid: ME,
    platform,
    store,
    history,
    connection,
    conversations: new Value({ items: [], loading: false, more: false, problem: null }),
    moreConversations: async () => undefined,
    onStop: (run: () => void) => stops.push(run),
  } as unknown as Chat["late"];
  const searches = new Searches(late);
  const search = searches.open(null);
  const pass = (ms: number): Promise<void> => stage.clock.advance(ms);
  return { stage, late, searches, search, connection, pass, stop: () => stops.forEach((run) => run()) };
}

describe("a search in messages", () => {
  test("loads older history, keeps it, and finds it; what arrives joins", async () => {
    const { stage, late, search, pass } = await device(320);
    const hits = new Hits(late, search);
    search.search("MESSAGE 7");
    await pass(600);
    expect(search.found.get()).toMatchObject({ query: "message 7", count: 0, busy: false });
    await pass(10_000);
    expect(search.older.progress.get()).toMatchObject({ state: "done", from: null });
    expect(search.found.get().count).toBe(11); // 7 and 70 to 79
    expect(hits.list.get().hits[0]).toMatchObject({ uid: BOB, mine: false });
    expect(hits.list.get().hits.map(({ excerpt }) => excerpt.at(0)?.text)).toEqual(Array(11).fill("message 7"));
    expect(await stage.device.messages(BOB)).toHaveLength(320);

    const asked = stage.archive.requests;
    await stage.device.send(BOB, "About message 7?");
    await pass(1_000);
    expect(search.found.get().count).toBe(12);
    expect(hits.list.get().hits[0]).toMatchObject({ mine: true });
    await pass(60_000);
    expect(stage.archive.requests).toBe(asked);
  });

  test("narrows its matches while the query grows, and searches everything after a change", async () => {
    const { stage, searches, search, pass } = await device(60);
    await pass(10_000);
    const within: (number | undefined)[] = [];
    const index = searches.prepare();
    const find = index.find.bind(index);
    index.find = (query, scope, wanted, among) => {
      within.push(among?.flat().length);
      return find(query, scope, wanted, among);
    };
    const type = async (query: string): Promise<number> => {
      search.search(query);
      await pass(0);
      return search.found.get().count;
    };
    expect(await type("message 1")).toBe(11); // 1, and 10 to 19
    expect(await type("message 12")).toBe(1);
    expect(await type("essage 1")).toBe(11); // shorter: everything
    expect(within).toEqual([undefined, 11, undefined]);
    await stage.device.send(BOB, "About message 12?");
    await pass(1_000);
    within.length = 0;
    expect(await type("essage 12")).toBe(2);
    expect(within).toEqual([12]);
  });

  test("stops when the user says so, and goes on", async () => {
    const { stage, search, pass } = await device(320);
    await pass(500);
    search.older.stop();
    await pass(60_000);
    expect(search.older.progress.get().state).toBe("stopped");
    expect(await stage.device.messages(BOB)).toHaveLength(50);
    search.older.resume();
    await pass(10_000);
    expect(await stage.device.messages(BOB)).toHaveLength(320);
  });

  test("becomes slower beyond the server's budget", async () => {
    const { stage, search, pass } = await device(320);
    let refusals = 0;
    stage.archive.before = (_uid, _request, path) =>
      path === "/api/messages" && ++refusals <= 2
        ? json(429, { code: "rate_limited", detail: "Wait.", retry_after_ms: 20_000 })
        : null;
    await pass(15_000);
    expect(refusals).toBe(1);
    expect(search.older.progress.get().state).toBe("loading");
    await pass(60_000);
    expect(refusals).toBe(5); // two refused, and three pages
    expect(search.older.progress.get().state).toBe("done");
    expect(await stage.device.messages(BOB)).toHaveLength(320);
  });

  test("waits without a network, and goes on as soon as the connection is back", async () => {
    const { stage, search, connection, pass } = await device(320);
    const { answer } = stage.platform;
    stage.platform.answer = () => Promise.reject(new NetworkError("no network"));
    connection.set({ state: "offline", since: NOW, nextTryAt: null });
    search.search("message 3");
    await pass(5_000);
    expect(search.older.progress.get().state).toBe("offline");
    expect(search.found.get().count).toBe(21); // 300 to 320, which are on the device
    stage.platform.answer = answer;
    connection.set({ state: "online" });
    await pass(10_000);
    expect(search.older.progress.get().state).toBe("done");
    expect(search.found.get().count).toBe(32); // and 3, and 30 to 39
  });

  test("pauses at its limit, until the user wants more", async () => {
    const { stage, late, search, pass } = await device(320);
    search.close();
    const older = new OlderHistory(late, new Allowance(stage.clock), CONVERSATION, 100);
    await pass(10_000);
    expect(older.progress.get()).toMatchObject({ state: "limit", loaded: 100 });
    expect(await stage.device.messages(BOB)).toHaveLength(149); // the page begins with the message before it
    older.resume();
    await pass(10_000);
    expect(older.progress.get()).toMatchObject({ state: "limit", loaded: 200 });
    older.close();
  });

  test("ends with the sign-out, which drops the index", async () => {
    const { searches, search, pass, stop } = await device(60);
    await pass(10_000);
    expect(searches.prepare().size).toBe(60);
    search.close();
    stop();
    expect(searches.prepare().size).toBe(0);
  });
});
