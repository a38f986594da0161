import { describe, expect, test } from "vitest";
import { FakeBrowser } from "../../platform/testing/fake";
import { Household, type Tab } from "../testing/household";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";

async function twoTabs(): Promise<{ house: Household; first: Tab; second: Tab; bob: Tab; browser: FakeBrowser }> {
  const house = new Household();
  const bob = await house.user(BOB);
  const browser = new FakeBrowser();
  const first = await house.user(ALICE, browser);
  const second = await house.tab(browser);
  await house.pass(1_000);
  return { house, first, second, bob, browser };
}

const bodies = (tab: Tab, uid: string): { get(): (readonly [string, string])[] } => {
  const conversation = tab.chat().conversation(uid);
  return { get: () => conversation.timeline.get().items.map((m) => [m.body, m.state] as const) };
};

describe("tabs of one browser", () => {
  test("have one socket and show the same, whichever tab acts", async () => {
    const { house, first, second, bob } = await twoTabs();
    expect(house.server.socketsOf(ALICE)).toBe(1);
    expect(second.chat().connection.get().state).toBe("online");
    const here = bodies(first, BOB);
    const there = bodies(second, BOB);
    await house.pass(100);
    // The tab without a socket writes.
    await second.chat().conversation(BOB).send("from the second tab");
    await house.pass(500);
    expect(here.get()).toEqual([["from the second tab", "delivered"]]);
    expect(there.get()).toEqual(here.get());
    const toAlice = bob.chat().conversation(ALICE);
    await toAlice.send("an answer");
    await house.pass(500);
    expect(there.get()).toEqual([
      ["from the second tab", "delivered"],
      ["an answer", "delivered"],
    ]);
    expect(second.chat().unreadTotal.get()).toBe(1);
    const conversation = second.chat().conversation(BOB);
    await house.pass(100);
    conversation.markRead(conversation.timeline.get().items[1]?.key ?? "");
    await house.pass(1_000);
    expect(first.chat().unreadTotal.get()).toBe(0);
    expect(house.server.archive.marks[`${ALICE}~${BOB}`]?.[ALICE]).toBeGreaterThan(0);
    expect(house.server.socketsOf(ALICE)).toBe(1);
    expect(house.server.faults).toEqual([]);
  });

  test("report that the user looks at one of them, and that they stop", async () => {
    const { house, first, second } = await twoTabs();
    const looks = async (): Promise<boolean> => {
      await house.pass(100);
      return house.server.looks(ALICE);
    };
    expect(await looks()).toBe(true);
    first.platform.setFocused(false);
    expect(await looks()).toBe(true);
    // The window of the second tab, which has no socket, goes behind another one.
    second.platform.setFocused(false);
    expect(await looks()).toBe(false);
    second.platform.setFocused(true);
    expect(await looks()).toBe(true);
    second.platform.setVisible(false);
    expect(await looks()).toBe(false);
    first.platform.setFocused(true);
    house.server.drop(ALICE);
    await house.pass(5_000);
    expect(await looks()).toBe(true);
    first.platform.setVisible(false);
    expect(await looks()).toBe(false);
    second.platform.setVisible(true);
    expect(await looks()).toBe(true);
    // It ends without a message to the leader.
    second.platform.kill();
    await house.pass(185_000);
    expect(await looks()).toBe(false);
    expect(house.server.faults).toEqual([]);
  });

  test("a tab without others reports it, too", async () => {
    const house = new Household();
    const tab = await house.user(ALICE, new FakeBrowser(), { locks: false });
    expect(house.server.looks(ALICE)).toBe(true);
    tab.platform.setFocused(false);
    await house.pass(100);
    expect(house.server.looks(ALICE)).toBe(false);
  });

  test("share drafts, typing and presence", async () => {
    const { house, first, second, bob } = await twoTabs();
    const here = first.chat().conversation(BOB);
    const there = second.chat().conversation(BOB);
    there.setDraft("begun here", null);
    await house.pass(500);
    expect(here.draft.get().text).toBe("begun here");
    const presence = second.chat().presence(BOB);
    presence.subscribe(() => undefined);
    await house.pass(1_000);
    expect(presence.get().online).toBe(true);
    bob.chat().conversation(ALICE).noteTyping();
    await house.pass(20);
    expect([here.typing.get(), there.typing.get()]).toEqual([true, true]);
    const toAlice = bob.chat().conversation(ALICE);
    there.noteTyping();
    await house.pass(20);
    expect(toAlice.typing.get()).toBe(true);
  });

  test("elect a new leader at once when the leader's tab is closed", async () => {
    const { house, first, second, bob } = await twoTabs();
    first.platform.kill();
    await house.pass(600);
    expect(house.server.socketsOf(ALICE)).toBe(1);
    expect(second.chat().connection.get().state).toBe("online");
    await second.chat().conversation(BOB).send("still here");
    await house.pass(500);
    expect(bob.chat().conversations.get().items[0]?.preview?.body).toBe("still here");
  });

  test("replace a frozen leader after 1 s if they are visible, and it follows when it thaws", async () => {
    const { house, first, second, bob } = await twoTabs();
    const there = bodies(second, BOB);
    await house.pass(100);
    first.platform.setVisible(false);
    first.platform.freeze();
    // A hidden tab does not steal the lock.
    second.platform.setVisible(false);
    await house.pass(20_000);
    expect(second.platform.opened.length).toBe(0);
    second.platform.setVisible(true);
    await house.pass(990);
    expect(second.platform.opened.length).toBe(0);
    await house.pass(100);
    expect(second.platform.opened.length).toBe(1);
    await second.chat().conversation(BOB).send("from the new leader");
    await house.pass(500);
    expect(there.get()).toEqual([["from the new leader", "delivered"]]);
    first.platform.thaw();
    await house.pass(1_000);
    expect(house.server.socketsOf(ALICE)).toBe(1);
    await bob.chat().conversation(ALICE).send("to both");
    await house.pass(500);
    const here = first.chat().conversation(BOB);
    await house.pass(100);
    expect(here.timeline.get().items.map((m) => m.body)).toEqual(["from the new leader", "to both"]);
    expect(second.chat().connection.get().state).toBe("online");
    expect(house.server.faults).toEqual([]);
  });

  test("keep a message that is written while the leader is frozen, and send it under the next leader", async () => {
    const { house, first, second } = await twoTabs();
    first.platform.freeze();
    const conversation = second.chat().conversation(BOB);
    await conversation.send("while nobody leads");
    await house.pass(50);
    expect(conversation.timeline.get().items.map((m) => m.state)).toEqual(["waiting"]);
    await house.pass(2_000);
    expect(conversation.timeline.get().items.map((m) => m.state)).toEqual(["delivered"]);
  });

  test("report a new message in one tab only, and whether any tab is visible", async () => {
    const { house, first, second, bob } = await twoTabs();
    const notified: string[] = [];
    for (const [name, tab] of [
      ["first", first],
      ["second", second],
    ] as const) {
      tab.app.attention.onIncoming((m) => notified.push(`${name} ${m.body} ${m.hidden}`));
    }
    first.platform.setVisible(false);
    await house.pass(10);
    await bob.chat().conversation(ALICE).send("one");
    await house.pass(500);
    second.platform.setVisible(false);
    await house.pass(10);
    await bob.chat().conversation(ALICE).send("two");
    await house.pass(500);
    expect(notified).toEqual(["first one false", "first two true"]);
  });

  test("notice a missed change", async () => {
    const { house, second, bob, browser } = await twoTabs();
    const toAlice = bob.chat().conversation(ALICE);
    await toAlice.send("zero");
    await house.pass(200);
    const there = bodies(second, BOB);
    await house.pass(200);
    browser.losing = true;
    await toAlice.send("lost between the tabs");
    await house.pass(200);
    browser.losing = false;
    expect(there.get().length).toBe(1);
    // The next change shows that one was missed.
    await toAlice.send("heard");
    await house.pass(200);
    expect(there.get().map(([body]) => body)).toEqual(["zero", "lost between the tabs", "heard"]);
    // After the last change, a clock that has jumped shows it.
    browser.losing = true;
    await toAlice.send("lost at the end");
    await house.pass(200);
    browser.losing = false;
    expect(there.get().length).toBe(3);
    second.platform.skew += 60_000;
    await house.pass(5_100);
    expect(there.get().map(([body]) => body)).toContain("lost at the end");
  });

  test("work alone without Web Locks, and lose nothing", async () => {
    const house = new Household();
    const bob = await house.user(BOB);
    const browser = new FakeBrowser();
    const first = await house.user(ALICE, browser);
    const second = await house.tab(browser, { locks: false });
    await house.pass(1_000);
    expect(house.server.socketsOf(ALICE)).toBe(2);
    for (let i = 0; i < 5; i++) {
      await first.chat().conversation(BOB).send(`first ${i}`);
      await second.chat().conversation(BOB).send(`second ${i}`);
    }
    await house.pass(5_000);
    const toAlice = bob.chat().conversation(ALICE);
    await house.pass(100);
    const got = toAlice.timeline.get().items.map((m) => m.body);
    expect(got.length).toBe(10);
    expect(got.filter((b) => b.startsWith("first"))).toEqual([0, 1, 2, 3, 4].map((i) => `first ${i}`));
    expect(got.filter((b) => b.startsWith("second"))).toEqual([0, 1, 2, 3, 4].map((i) => `second ${i}`));
    expect(house.server.faults).toEqual([]);
  });

  test("eleven devices do not close each other's sockets in a loop", async () => {
    const house = new Household();
    house.server.maxSockets = 10;
    const devices: Tab[] = [];
    for (let i = 0; i < 11; i++) {
      const device = await house.user(ALICE);
      device.platform.setVisible(false);
      devices.push(device);
    }
    const states = (): string[] => devices.map((d) => d.chat().connection.get().state);
    expect(house.server.replacements).toBe(1);
    // The oldest device shows it at once.
    expect(states()).toEqual(["replaced", ...Array.from({ length: 10 }, () => "online")]);
    await house.pass(3_600_000);
    // One device stands aside at a time, for 5 to 10 minutes.
    expect(house.server.replacements).toBeGreaterThan(5);
    expect(house.server.replacements).toBeLessThanOrEqual(13);
    expect(house.server.socketsOf(ALICE)).toBe(10);
    const before = house.server.replacements;
    const aside = devices[states().indexOf("replaced")];
    aside?.platform.setVisible(true);
    await house.pass(1_000);
    expect(aside?.chat().connection.get().state).toBe("online");
    expect(house.server.replacements).toBe(before + 1);
  });

  test("stand aside together, and connect when the user looks at any of them or asks for it", async () => {
    const { house, first, second } = await twoTabs();
    const tabs = [first, second];
    const states = (): string[] => tabs.map((t) => t.chat().connection.get().state);
    for (const tab of tabs) tab.platform.setVisible(false);
    house.server.replace(ALICE);
    await house.pass(100);
    expect(states()).toEqual(["replaced", "replaced"]);
    second.platform.setVisible(true);
    await house.pass(500);
    expect(states()).toEqual(["online", "online"]);
    house.server.replace(ALICE);
    await house.pass(10_000);
    expect(states()).toEqual(["replaced", "replaced"]);
    second.chat().tryNow();
    await house.pass(500);
    expect(states()).toEqual(["online", "online"]);
    expect(house.server.socketsOf(ALICE)).toBe(1);
  });

  test("stand aside when another tab becomes the leader, unless the user has asked for this device", async () => {
    for (const asked of [false, true]) {
      const { house, first, second } = await twoTabs();
      house.server.replace(ALICE);
      await house.pass(100);
      if (asked) {
        first.platform.frozen = true;
        second.chat().tryNow();
        second.platform.setVisible(true);
      } else first.platform.kill();
      await house.pass(10_000);
      expect(second.chat().connection.get().state).toBe(asked ? "online" : "replaced");
      expect(house.server.socketsOf(ALICE)).toBe(asked ? 1 : 0);
      await house.pass(600_000);
      expect(house.server.socketsOf(ALICE)).toBe(1);
    }
  });

  test("a tab whose lock is refused at once asks again by the clock, not in the same turn", async () => {
    const { house, first, browser } = await twoTabs();
    let asked = 0;
    // WebKit answers every request of a page that is being unloaded like this.
    first.platform.tabs.lock = (_name, _steal, handlers) => {
      if (++asked < 1_000) queueMicrotask(() => handlers.onLost());
      return () => undefined;
    };
    for (const queue of browser.locks.values()) queue.find((w) => w.tab === first.platform)?.handlers.onLost();
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked).toBe(0);
    await house.pass(3_000);
    expect(asked).toBeGreaterThan(0);
    expect(asked).toBeLessThan(10);
  });
});
