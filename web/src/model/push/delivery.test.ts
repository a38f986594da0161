import { beforeEach, describe, expect, test } from "vitest";
import type { Identity } from "../../net/identity";
import { SignInEnded } from "../../net/connection";
import type { Cancel, Notes, Platform } from "../../platform/platform";
import { FakeBrowser, FakePlatform } from "../../platform/testing/fake";
import { FakePush } from "../../platform/testing/push";
import { Household, type Tab } from "../testing/household";
import { deliver, type DeliveryParts, renew } from "./delivery";
import { Sleep } from "../tabs/sleep";
import { PushRegistration } from "./registration";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";
const WITH_BOB = `${ALICE}~${BOB}`;

let house: Household;
let browser: FakeBrowser;
let alice: Tab;
let bob: Tab;
let push: FakePush;
let worker: FakePlatform;
let parts: DeliveryParts;
let focused: boolean;
let pictures: Record<string, Blob>;
let token: () => Promise<{ value: string; endsAt: number }>;
/** The calls of /me/push. */
let registered: string[];
/** Whether they fail. */
let failing: boolean;
let registration: PushRegistration;

beforeEach(async () => {
  house = new Household();
  browser = new FakeBrowser();
  registered = [];
  failing = false;
  house.server.archive.before = (uid, { method, body }, path) => {
    if (!path.startsWith("/api/me/push")) return null;
    if (failing) return { status: 503, header: () => null, body: JSON.stringify({ code: "unavailable", detail: "" }) };
    registered.push(`${uid} ${method} ${(JSON.parse(body ?? "{}") as { endpoint?: string }).endpoint ?? ""}`);
    return { status: 200, header: () => null, body: JSON.stringify({ public_key: "k", devices: [] }) };
  };
  bob = await house.user(BOB);
  alice = await house.user(ALICE, browser);
  browser.notes.set("phoenix.sign-in", JSON.stringify({ uid: ALICE, refreshToken: "r" }));
  push = new FakePush();
  registration = new PushRegistration(alice.chat().late, push);
  await registration.turnOn(true);
  await say("known before");
  await house.pass(1_000);
  worker = workerOf(browser);
  focused = false;
  pictures = {};
  token = async () => ({ value: `${ALICE} worker`, endsAt: house.clock.now() + 3_600_000 });
  parts = {
    platform: (notes: Notes) => Object.create(worker, { notes: { value: notes } }) as Platform,
    push,
    texts: { app: "Phoenix Chat", unseen: (n) => `${n} new`, test: "it works", named: (name) => name.trim() },
    identity: () => ({ token: async () => token() }) as unknown as Identity,
    blobs: () => ({ get: async (key) => pictures[key] ?? null, put: async () => undefined }),
    focused: async () => focused,
    databases: async () => [...browser.disks.keys()],
    async lockIfFree(name, onLost): Promise<Cancel | null> {
      if ((browser.locks.get(name) ?? []).length > 0) return null;
      return await new Promise((resolve) => {
        const release = worker.tabs.lock(name, false, { onHeld: () => resolve(release), onLost });
      });
    },
  };
});

function workerOf(of: FakeBrowser): FakePlatform {
  const platform = new FakePlatform({ clock: house.clock, browser: of });
  platform.setVisible(false);
  platform.onSocket = (socket) => {
    if (house.online) house.server.open(socket);
    else house.clock.after(1, () => socket.drop(1006));
  };
  platform.answer = (request) => house.server.archive.answer(ALICE, request);
  return platform;
}

/** Bob writes. Returns the id of the message. */
async function say(body: string): Promise<string> {
  const sent = await bob.chat().conversation(ALICE).send(body);
  if (!sent.ok) throw new Error(sent.problem.code);
  await house.pass(100);
  return sent.value.split(".")[0] ?? "";
}

function content(ids: readonly string[], text = "", changed: object = {}): string {
  const names = { to: ALICE, conversation: WITH_BOB, from: BOB, name: "Bob" };
  return JSON.stringify({ v: 1, ...names, ids, count: ids.length, ...(text === "" ? {} : { text }), ...changed });
}

async function pushed(text: string | null, ms = 3_000): Promise<void> {
  const done = deliver(parts, text);
  await house.pass(ms);
  await done;
}

/** Returns the own messages of Bob's screen with their states. */
async function atBob(): Promise<readonly string[]> {
  const conversation = bob.chat().conversation(ALICE);
  await house.pass(1_000);
  return conversation.timeline.get().items.map(({ body, state }) => `${body}: ${state}`);
}

/** Opens a page of this browser without a network, and returns what it shows of the conversation. */
async function offlinePage(): Promise<readonly string[]> {
  house.setOnline(false);
  const tab = await house.tab(browser);
  const conversation = tab.chat().conversation(BOB);
  await house.pass(1_000);
  const bodies = conversation.timeline.get().items.map(({ body }) => body);
  tab.platform.kill();
  house.setOnline(true);
  return bodies;
}

describe("while no page is open", () => {
  beforeEach(() => alice.platform.kill());

  test("a push shows its message, delivers it, and the next page has it without a network", async () => {
    const id = await say("for later");
    expect(await atBob()).toEqual(["known before: delivered", "for later: sent"]);
    await pushed(content([id], "for later"));
    expect(push.log).toEqual(["Bob: for later"]);
    expect(push.notices).toMatchObject([{ tag: BOB, data: { account: ALICE, conversation: WITH_BOB } }]);
    expect(await atBob()).toEqual(["known before: delivered", "for later: delivered"]);
    expect(worker.badge).toBe(2);
    expect(house.server.socketsOf(ALICE)).toBe(0);
    expect(await offlinePage()).toEqual(["known before", "for later"]);
    expect(house.server.faults).toEqual([]);
  });

  test("the visit is that of the page's device, and nobody sees the user come online", async () => {
    const seen: unknown[] = [];
    bob
      .chat()
      .presence(ALICE)
      .subscribe(({ online }) => seen.push(online));
    await house.pass(1_000);
    const hello = (platform: FakePlatform): Record<string, unknown> =>
      JSON.parse(platform.opened[0]?.sent[0] ?? "{}") as Record<string, unknown>;
    await pushed(content([await say("hello")]));
    expect(hello(worker)).toMatchObject({ type: "hello", background: true, device: hello(alice.platform)["device"] });
    expect(hello(worker)["looking"]).toBeUndefined();
    expect(seen.filter((online) => online === true)).toEqual([]);
    expect(push.log).toEqual(["Bob: 1 new"]);
  });

  test("pushes that come twice or out of order change nothing, and make no sound", async () => {
    const [first, second] = [await say("one"), await say("two")];
    await pushed(content([second], "two"));
    await pushed(content([second], "two"));
    await pushed(content([first], "one"));
    expect(push.log).toEqual(["Bob: two", "Bob: two, silent", "Bob: two, silent"]);
    expect(push.notices).toMatchObject([{ data: { keys: [`${first}.${BOB}`, `${second}.${BOB}`] } }]);
    await pushed(content([await say("three")], "three"));
    expect(push.log.slice(3)).toEqual(["Bob: three"]);
  });

  test("a push in quiet hours, or without a sound, is silent", async () => {
    const choose = async (run: (registration: PushRegistration) => Promise<void>): Promise<void> => {
      const page = await house.tab(browser);
      await run(new PushRegistration(page.chat().late, push));
      page.platform.kill();
    };
    const until = house.clock.now() + 20_000;
    await choose((registration) => registration.setQuiet({ from: 0, to: 0, until }));
    await pushed(content([await say("late")], "late"));
    await house.pass(20_000);
    await pushed(content([await say("in time")], "in time"));
    await choose((registration) => registration.setSound("none"));
    await pushed(content([await say("still")], "still"));
    expect(push.log).toEqual(["Bob: late, silent", "Bob: in time", "Bob: still, silent"]);
  });

  test("a push that comes a day late, after its message was read elsewhere, ends with no notification", async () => {
    const id = await say("soon read");
    const phone = await house.user(ALICE);
    const conversation = phone.chat().conversation(BOB);
    await house.pass(500);
    conversation.markRead(conversation.timeline.get().items.at(-1)?.key ?? "");
    await house.pass(24 * 3_600_000);
    await pushed(content([id], "soon read"));
    expect(push.log).toEqual(["Bob: soon read"]);
    expect(push.notices).toEqual([]);
    expect(worker.badge).toBe(0);
  });

  test("what this version does not know shows something neutral, and opens no socket", async () => {
    const id = await say("secret");
    const malformed = [
      null,
      "",
      "not JSON",
      "[]",
      content([id], "secret", { v: 2 }),
      content([], "secret"),
      content(["not an id"], "secret"),
      content([id], "secret", { from: "carolUid00003" }),
      content([id], "secret", { to: "../phoenix" }),
      content([id], "secret", { conversation: 7 }),
      content([id], "x".repeat(5_000)),
    ];
    for (const text of malformed) await pushed(text, 10);
    expect(push.log).toEqual(malformed.map(() => "Phoenix Chat: 1 new, silent"));
    expect(push.notices).toEqual([]);
    expect(worker.opened).toEqual([]);
  });

  test("long and strange texts are cut, and the picture of the sender is shown if it is on the device", async () => {
    const page = await house.tab(browser);
    page
      .chat()
      .late.found([{ uid: BOB, username: "bob", displayName: "bob", deleted: false, admin: false, picture: "v1" }]);
    await house.pass(100);
    page.platform.kill();
    pictures[`${BOB}/v1`] = new Blob(["x"]);
    await pushed(content([await say("long")], "é".repeat(300), { name: "B".repeat(300), count: 0 }));
    expect(push.log.at(-1)).toMatch(/^B{1,100}…?: é{199,200}…?, with a picture$/u);
  });

  test("an account that is not signed in here, or no longer gets pushes here, shows nothing of the message", async () => {
    const id = await say("secret");
    await pushed(content([id], "secret", { to: "zoeUid000009", conversation: `${BOB}~zoeUid000009` }));
    expect([...browser.disks.keys()]).toEqual([`phoenix:${ALICE}`]);
    // Another account of this browser has subscribed.
    await push.subscribe("k");
    await pushed(content([id], "secret"));
    browser.disks.clear();
    await pushed(content([id], "secret"));
    expect(push.log).toEqual(Array.from({ length: 3 }, () => "Phoenix Chat: 1 new, silent"));
    expect(push.notices).toEqual([]);
    expect(worker.opened).toEqual([]);
  });

  test("without a network, it shows the push, gives up in time, and loses nothing", async () => {
    const id = await say("waits");
    house.setOnline(false);
    let over = false;
    const done = deliver(parts, content([id], "waits")).then(() => (over = true));
    await house.pass(21_000);
    expect(over).toBe(true);
    await done;
    expect(push.notices).toHaveLength(1);
    house.setOnline(true);
    worker = workerOf(browser);
    await pushed(content([id], "waits"));
    expect((await atBob()).at(-1)).toBe("waits: delivered");
  });

  test("a full disk acknowledges nothing", async () => {
    const id = await say("does not fit");
    worker.full = true;
    await pushed(content([id]), 25_000);
    expect((await atBob()).at(-1)).toBe("does not fit: sent");
    expect(push.notices).toHaveLength(1);
  });

  test("a sign-in that has ended is forgotten, and the push is shown all the same", async () => {
    token = () => Promise.reject(new SignInEnded("ended"));
    await pushed(content([await say("who knows")]));
    expect(push.log).toEqual(["Bob: 1 new"]);
    expect(house.server.socketsOf(ALICE)).toBe(0);
  });

  test("a new person's name is on the device afterwards", async () => {
    const carol = await house.user("carolUid00003");
    const sent = await carol.chat().conversation(ALICE).send("hi, I am new");
    await house.pass(100);
    const names = { from: "carolUid00003", conversation: `${ALICE}~carolUid00003`, name: "Carol" };
    await pushed(content([sent.ok ? (sent.value.split(".")[0] ?? "") : ""], "hi, I am new", names));
    house.setOnline(false);
    const page = await house.tab(browser);
    await house.pass(1_000);
    expect(page.chat().conversations.get().all).toMatchObject([{ user: { displayName: "carol" } }, {}]);
  });

  test("a page that is opened meanwhile takes over at once", async () => {
    const id = await say("both want it");
    house.server.refusing = true;
    let over = false;
    const done = deliver(parts, content([id])).then(() => (over = true));
    await house.pass(1_000);
    const page = await house.tab(browser);
    await house.pass(100);
    expect(over).toBe(true);
    await done;
    house.server.refusing = false;
    await house.pass(2_000);
    expect(page.chat().connection.get().state).toBe("online");
    expect((await atBob()).at(-1)).toBe("both want it: delivered");
  });

  test("a subscription that the browser has replaced is registered, for the account that had it", async () => {
    registered = [];
    await renew(parts);
    expect(registered).toEqual([]);
    push.current = null;
    const done = renew(parts);
    await house.pass(100);
    await done;
    expect(registered).toEqual([`${ALICE} PUT https://push.test/2`]);
    await pushed(content([await say("after that")], "after that"));
    expect(push.log).toEqual(["Bob: after that"]);
  });
});

/** The content of the push that the server sends as a test. */
const TEST = JSON.stringify({ v: 1, to: ALICE, kind: "test" });

describe("a test", () => {
  const proof = (): Promise<string | undefined> =>
    alice.chat().late.store.read(async (tx) => (await tx.meta("push"))?.proved);

  test("is asked for once a browser is registered, and its arrival lets the pages sleep", async () => {
    expect(registered.filter((call) => call.includes("POST"))).toHaveLength(1);
    expect(registration.proved.get()).toBe(false);
    await pushed(TEST, 100);
    expect(push.log).toEqual(["Phoenix Chat: it works"]);
    expect(push.notices).toHaveLength(1);
    expect([registration.proved.get(), worker.opened.length]).toEqual([true, 0]);
    // It stays proved, and nobody sees another one.
    await registration.keep();
    registration = new PushRegistration(alice.chat().late, push);
    await registration.turnOn(false);
    expect([registration.proved.get(), await proof()]).toEqual([true, "https://push.test/1"]);
    expect(registered.filter((call) => call.includes("POST"))).toHaveLength(1);
    expect(await registration.test()).toBe(true);
    expect(registered.filter((call) => call.includes("POST"))).toHaveLength(2);
  });

  test("counts for the present subscription of a user who is signed in here, and for no other", async () => {
    await pushed(TEST.replace(ALICE, BOB), 100);
    await pushed(TEST.replace('"v":1', '"v":2'), 100);
    expect(push.log).toEqual(["Phoenix Chat: 1 new, silent", "Phoenix Chat: 1 new, silent"]);
    await push.subscribe("k");
    await pushed(TEST, 100);
    expect(push.log.at(-1)).toBe("Phoenix Chat: 1 new, silent");
    expect([registration.proved.get(), await proof()]).toEqual([false, ""]);
    await registration.keep();
    await pushed(TEST, 100);
    expect([registration.proved.get(), await proof()]).toEqual([true, push.current?.endpoint]);
    // The browser replaces the subscription.
    push.current = null;
    const done = renew(parts);
    await house.pass(100);
    await done;
    expect(registration.proved.get()).toBe(false);
  });

  test("must be repeated when the subscription has ended, of which the server may learn first", async () => {
    const verify = async (received: boolean): Promise<boolean> => {
      alice.platform.permission = "granted";
      await registration.verify(received);
      await house.pass(10);
      return registration.proved.get();
    };
    await pushed(TEST, 100);
    expect(await verify(false)).toBe(true);
    // A message has come without a push, and the server does not know the device.
    expect(await verify(true)).toBe(false);
    registered = [];
    await registration.keep();
    await house.pass(10);
    expect(registered).toEqual([`${ALICE} PUT https://push.test/1`, `${ALICE} POST `]);
    await pushed(TEST, 100);
    expect(await verify(false)).toBe(true);
    alice.platform.permission = "denied";
    await registration.verify(false);
    await house.pass(10);
    expect(registration.proved.get()).toBe(false);
  });

  test("fails without an effect, and not more than once a day unless the user asks", async () => {
    failing = true;
    expect(await registration.test()).toBe(false);
    expect(registration.state.get()).toBe("on");
    failing = false;
    await registration.keep();
    const tests = (): number => registered.filter((call) => call.includes("POST")).length;
    const before = tests();
    await house.pass(25 * 3_600_000);
    await registration.keep();
    await registration.keep();
    expect(tests()).toBe(before + 1);
  });
});

describe("beside open pages", () => {
  test("a browser that sleeps leaves the push to its worker, and its pages show the message", async () => {
    new Sleep(alice.chat().late, registration);
    alice.platform.permission = "granted";
    await pushed(TEST, 100);
    // A new device loads history for 15 minutes.
    await house.pass(16 * 60_000);
    alice.platform.setVisible(false);
    await house.pass(3 * 60_000);
    expect(house.server.socketsOf(ALICE)).toBe(0);
    const before = alice.platform.opened.length;
    await pushed(content([await say("in your sleep")], "in your sleep"));
    expect(await atBob()).toContain("in your sleep: delivered");
    expect([alice.platform.opened.length, worker.opened.length]).toEqual([before, 1]);
    expect(house.server.socketsOf(ALICE)).toBe(0);
    expect(alice.chat().conversations.get().items).toMatchObject([{ preview: { body: "in your sleep" }, unread: 2 }]);
    await registration.turnOff();
    await house.pass(500);
    expect(house.server.socketsOf(ALICE)).toBe(1);
    expect(house.server.faults).toEqual([]);
  });

  test("a page with the focus takes the push", async () => {
    focused = true;
    await pushed(content([await say("you see it")], "you see it"));
    expect(push.log).toEqual(["Bob: you see it"]);
    expect(push.notices).toEqual([]);
    expect(worker.opened).toEqual([]);
  });

  test("a hidden page that is awake keeps the socket, and connects if it has none", async () => {
    alice.platform.setVisible(false);
    await pushed(content([await say("hidden")], "hidden"));
    expect(worker.opened).toEqual([]);
    house.server.refusing = true;
    house.server.drop(ALICE);
    await house.pass(60_000);
    const id = await say("while it waits");
    house.server.refusing = false;
    const before = alice.platform.opened.length;
    await pushed(content([id], "while it waits"), 500);
    await house.pass(100);
    expect(alice.platform.opened.length).toBe(before + 1);
    expect(worker.opened).toEqual([]);
    expect((await atBob()).at(-1)).toBe("while it waits: delivered");
    expect(push.log).toEqual(["Bob: hidden", "Bob: while it waits"]);
  });

  test("a frozen page loses the lock, and shows afterwards what the worker has stored", async () => {
    alice.platform.setVisible(false);
    alice.platform.freeze();
    house.server.drop(ALICE);
    const id = await say("frozen");
    await pushed(content([id], "frozen"));
    expect(worker.opened.length).toBe(1);
    expect((await atBob()).at(-1)).toBe("frozen: delivered");
    alice.platform.thaw();
    alice.platform.setVisible(true);
    await house.pass(5_000);
    expect(alice.chat().conversations.get().items).toMatchObject([{ preview: { body: "frozen" } }]);
    expect(alice.chat().connection.get().state).toBe("online");
    expect(house.server.faults).toEqual([]);
  });

  test("a notification of the worker is closed by the page once its message is read", async () => {
    alice.platform.setVisible(false);
    await pushed(content([await say("read me")], "read me"));
    expect(push.notices).toHaveLength(1);
    alice.platform.setVisible(true);
    const conversation = alice.chat().conversation(BOB);
    await house.pass(500);
    expect(push.notices).toHaveLength(1);
    conversation.markRead(conversation.timeline.get().items.at(-1)?.key ?? "");
    await house.pass(1_000);
    expect(push.notices).toEqual([]);
  });
});
