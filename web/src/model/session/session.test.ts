import { describe, expect, test } from "vitest";
import { ApiProblem } from "../../net/problem";
import { openAccount } from "../chat/open";
import { SHAPE } from "../store/rows";
import { databaseName } from "../store/name";
import { FakeBrowser } from "../../platform/testing/fake";
import { Household } from "../testing/household";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";

describe("who uses the browser", () => {
  test("nobody, then somebody; a wrong password says so", async () => {
    const house = new Household();
    const tab = await house.tab();
    expect(tab.app.session.get()).toEqual({ state: "signed-out", reason: "none" });
    expect(await tab.app.signIn(`${ALICE}@example.org`, "wrong")).toMatchObject({
      ok: false,
      problem: { code: "wrong_password" },
    });
    expect(tab.app.session.get().state).toBe("signed-out");
    expect(await tab.app.signIn(`${ALICE}@example.org`, "correct horse")).toEqual({ ok: true, value: undefined });
    expect(tab.chat().uid).toBe(ALICE);
  });

  test("the sign-in survives a restart of the browser, without a network too", async () => {
    const house = new Household();
    const bob = await house.person(BOB);
    const browser = new FakeBrowser();
    const alice = await house.person(ALICE, browser);
    await bob.chat().conversation(ALICE).send("remember this");
    await house.pass(500);
    alice.platform.kill();
    house.setOnline(false);
    const again = await house.tab(browser);
    again.platform.answer = null;
    await house.pass(100);
    expect(again.chat().uid).toBe(ALICE);
    expect(again.chat().conversations.get()).toMatchObject({
      loading: false,
      items: [{ preview: { body: "remember this" } }],
    });
    const talk = again.chat().conversation(BOB);
    await house.pass(100);
    expect(talk.timeline.get()).toMatchObject({ loading: false, items: [{ body: "remember this" }] });
    expect((await talk.send("answered offline")).ok).toBe(true);
    await house.pass(10_000);
    expect(again.chat().connection.get().state).toBe("offline");
    expect(again.chat().waitingTotal.get()).toBe(1);
  });

  test("an app that cannot load its configuration says so, and starts when it can", async () => {
    const house = new Household();
    house.server.archive.down = true;
    const tab = await house.tab();
    expect(tab.app.session.get()).toMatchObject({ state: "failed", problem: { code: "unavailable" } });
    house.server.archive.down = false;
    await tab.app.start();
    expect(tab.app.session.get()).toEqual({ state: "signed-out", reason: "none" });
  });

  test("a chat whose code cannot be loaded says so, stays signed in, and starts when it can", async () => {
    const house = new Household();
    let reachable = false;
    const tab = await house.tab(new FakeBrowser(), {
      loadChat: async () => {
        if (!reachable) throw new ApiProblem(0, "offline", "");
        return { openAccount };
      },
    });
    expect(await tab.app.signIn(`${ALICE}@example.org`, "correct horse")).toMatchObject({ ok: true });
    expect(tab.app.session.get()).toMatchObject({ state: "failed", problem: { code: "offline" } });
    reachable = true;
    await tab.app.start();
    expect(tab.chat().uid).toBe(ALICE);
  });

  test("signing out warns of what is unsent, then wipes; a second account sees nothing of the first", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const alice = await house.person(ALICE, browser);
    house.setOnline(false);
    await alice.chat().conversation(BOB).send("a secret");
    alice.chat().conversation(BOB).setDraft("another", null);
    await house.pass(1_000);
    expect(await alice.chat().signOut()).toMatchObject({ ok: false, problem: { code: "unsent" } });
    expect(alice.app.session.get().state).toBe("signed-in");
    expect((await alice.chat().signOut({ evenIfUnsent: true })).ok).toBe(true);
    expect(alice.app.session.get()).toEqual({ state: "signed-out", reason: "none" });
    await house.pass(5_000);
    expect([...browser.disks.keys()]).toEqual([]);
    expect(JSON.stringify([...browser.notes])).not.toContain(ALICE);
    expect(house.server.socketsOf(ALICE)).toBe(0);

    house.setOnline(true);
    const bob = await house.person(BOB, browser);
    await house.pass(5_000);
    expect(bob.chat().conversations.get().items).toEqual([]);
    expect([...browser.disks.keys()]).toEqual([databaseName(BOB)]);
    expect(
      JSON.stringify([...(browser.disks.get(databaseName(BOB))?.tables.values() ?? [])].map((t) => [...t.values()])),
    ).not.toContain("secret");
  });

  test("a second account sees nothing of one whose sign-in only ended, and the first finds what is its own again", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const carol = await house.person("carolUid00003");
    const alice = await house.person(ALICE, browser);
    await carol.chat().conversation(ALICE).send("for Alice only");
    await house.pass(500);
    alice.app.attention.badge(1);
    alice.platform.setVisible(false);
    await carol.chat().conversation(ALICE).send("missed by Alice");
    await house.pass(500);
    expect(alice.app.attention.offer.get()).toBe(true);
    house.setOnline(false);
    await alice.chat().conversation(BOB).send("a secret that waits");
    alice.chat().conversation(BOB).setDraft("a secret thought", null);
    await house.pass(1_000);
    house.revoked.add(ALICE);
    house.setOnline(true);
    await house.pass(40_000);
    expect(alice.app.session.get()).toEqual({ state: "signed-out", reason: "ended" });
    // What drew the eye was about Alice.
    expect(alice.platform.badge).toBe(0);
    expect(alice.app.attention.offer.get()).toBe(false);

    const bob = await house.person(BOB, browser);
    const told: string[] = [];
    bob.app.attention.onIncoming((m) => told.push(m.body));
    await house.pass(5_000);
    expect(bob.chat().conversations.get().items).toEqual([]);
    expect([bob.chat().unreadTotal.get(), bob.chat().waitingTotal.get(), bob.app.attention.offer.get()]).toEqual([
      0,
      0,
      false,
    ]);
    const talk = bob.chat().conversation(ALICE);
    await house.pass(500);
    expect([talk.timeline.get().items, talk.draft.get().text]).toEqual([[], ""]);
    expect(JSON.stringify([...browser.notes])).not.toContain(ALICE);
    // Not a word went out for either of them by the other's sign-in.
    expect(house.server.accepted.size).toBe(2);
    expect(told).toEqual([]);

    house.revoked.delete(ALICE);
    expect((await bob.chat().signOut()).ok).toBe(true);
    const again = await house.person(ALICE, browser);
    await house.pass(2_000);
    const mine = again.chat().conversation(BOB);
    await house.pass(500);
    expect([mine.draft.get().text, mine.timeline.get().items.map((m) => m.body)]).toEqual([
      "a secret thought",
      ["a secret that waits"],
    ]);
    expect(house.server.accepted.size).toBe(3);
  });

  test("signing out in one tab signs out the others; signing in, too", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const first = await house.person(ALICE, browser);
    const second = await house.tab(browser);
    await house.pass(500);
    expect(second.chat().uid).toBe(ALICE);
    await second.chat().signOut();
    await house.pass(100);
    expect(first.app.session.get()).toEqual({ state: "signed-out", reason: "none" });
    expect(house.server.socketsOf(ALICE)).toBe(0);
    await first.app.signIn(`${BOB}@example.org`, "correct horse");
    await house.pass(1_000);
    expect(second.chat().uid).toBe(BOB);
    expect(house.server.socketsOf(BOB)).toBe(1);
  });

  test("a sign-in that was taken back ends; what waits stays for when the person comes back", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const alice = await house.person(ALICE, browser);
    house.setOnline(false);
    await alice.chat().conversation(BOB).send("waiting");
    house.revoked.add(ALICE);
    house.setOnline(true);
    await house.pass(40_000);
    expect(alice.app.session.get()).toEqual({ state: "signed-out", reason: "ended" });
    house.revoked.delete(ALICE);
    await alice.app.signIn(`${ALICE}@example.org`, "correct horse");
    await house.pass(1_000);
    expect(house.server.accepted.size).toBe(1);
  });

  test("a disabled account ends the session with its reason; a deleted one wipes", async () => {
    for (const [code, reason] of [
      ["account_disabled", "disabled"],
      ["account_deleted", "deleted"],
    ] as const) {
      const house = new Household();
      const browser = new FakeBrowser();
      const alice = await house.person(ALICE, browser);
      alice.platform.onSocket = (opened) => {
        house.clock.after(1, () => {
          opened.accept();
          opened.deliver({ type: "error", code, message: "It is so." });
          opened.drop(1008);
        });
      };
      house.server.drop(ALICE);
      await house.pass(5_000);
      expect(alice.app.session.get()).toMatchObject({ state: "signed-out", reason });
      expect(browser.disks.has(databaseName(ALICE))).toBe(reason === "disabled");
    }
  });

  test("leaving needs the password, and takes everything along", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const alice = await house.person(ALICE, browser);
    expect(await alice.chat().leave("wrong")).toMatchObject({ ok: false, problem: { code: "wrong_password" } });
    expect((await alice.chat().leave("correct horse")).ok).toBe(true);
    expect(alice.app.session.get()).toEqual({ state: "signed-out", reason: "left" });
    expect(browser.disks.size).toBe(0);
  });

  test("notifications are offered after a message came while nobody looked, never before", async () => {
    const house = new Household();
    const alice = await house.person(ALICE);
    const bob = await house.person(BOB);
    const told: string[] = [];
    alice.app.attention.onIncoming((m) => told.push(`${m.name}: ${m.body}${m.hidden ? " (hidden)" : ""}`));
    await bob.chat().conversation(ALICE).send("one");
    await house.pass(500);
    expect(alice.app.attention.offer.get()).toBe(false);
    alice.platform.setVisible(false);
    await bob.chat().conversation(ALICE).send("two");
    await house.pass(500);
    expect(alice.app.attention.offer.get()).toBe(true);
    expect(told[1]).toBe("bob: two (hidden)");
    expect(told.length).toBe(2);
    expect(await alice.app.attention.ask()).toBe("granted");
    expect(alice.app.attention.offer.get()).toBe(false);
  });
});

test("notifications are offered in whichever tab is looked at, and answered once for all", async () => {
  const house = new Household();
  const browser = new FakeBrowser();
  const leader = await house.person(ALICE, browser);
  const other = await house.tab(browser);
  const bob = await house.person(BOB);
  await house.pass(1_000);
  const offers = (): boolean[] => [leader, other].map((t) => t.app.attention.offer.get());

  // Somebody looks at one of the tabs: nothing is missed.
  leader.platform.setVisible(false);
  await bob.chat().conversation(ALICE).send("seen in the other tab");
  await house.pass(1_000);
  expect(offers()).toEqual([false, false]);

  other.platform.setVisible(false);
  await house.pass(500);
  await bob.chat().conversation(ALICE).send("missed");
  await house.pass(1_000);
  expect(house.server.socketsOf(ALICE)).toBe(1);
  expect(offers()).toEqual([true, true]);

  // A tab that was opened meanwhile asks for nothing while it loads.
  const third = await house.tab(browser);
  expect(third.app.attention.offer.get()).toBe(false);

  other.platform.setVisible(true);
  other.app.attention.dismissOffer();
  await house.pass(100);
  expect(offers()).toEqual([false, false]);
  other.platform.setVisible(false);
  await bob.chat().conversation(ALICE).send("missed again");
  await house.pass(1_000);
  expect(offers()).toEqual([false, false]);
});

test("the offer works where the browser denies notes", async () => {
  const house = new Household();
  const alice = await house.person(ALICE);
  const bob = await house.person(BOB);
  Object.assign(alice.platform.notes, { get: () => null, set: () => undefined });
  alice.platform.setVisible(false);
  await bob.chat().conversation(ALICE).send("missed");
  await house.pass(1_000);
  expect(alice.app.attention.offer.get()).toBe(true);
  await alice.app.attention.ask();
  expect(alice.app.attention.offer.get()).toBe(false);
});

test("the shape of the database names every store once", () => {
  expect(Object.keys(SHAPE.stores).sort()).toEqual(["conversations", "debts", "drafts", "messages", "meta", "people"]);
});
