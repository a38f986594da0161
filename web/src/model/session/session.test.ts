import { describe, expect, test } from "vitest";
import { ApiProblem } from "../../net/problem";
import { openChat } from "../chat/open";
import type { Incoming } from "../interface/app";
import { confirmReset, sendChange } from "../mail";
import { SHAPE } from "../store/rows";
import { databaseName } from "../store/store";
import { FakeBrowser } from "../../platform/testing/fake";
import { json } from "../testing/archive";
import { Household, type Tab } from "../testing/household";
import { signUp } from "../signUp";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";

describe("the session", () => {
  test("starts signed out, reports a wrong password, and signs in", async () => {
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

  test("survives a restart of the browser, also without a network", async () => {
    const house = new Household();
    const bob = await house.user(BOB);
    const browser = new FakeBrowser();
    const alice = await house.user(ALICE, browser);
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
    const conversation = again.chat().conversation(BOB);
    await house.pass(100);
    expect(conversation.timeline.get()).toMatchObject({ loading: false, items: [{ body: "remember this" }] });
    expect((await conversation.send("answered offline")).ok).toBe(true);
    await house.pass(10_000);
    expect(again.chat().connection.get().state).toBe("offline");
    expect(again.chat().waitingTotal.get()).toBe(1);
  });

  test("fails if the configuration cannot be loaded, and starts once it can", async () => {
    const house = new Household();
    house.server.archive.down = true;
    const tab = await house.tab();
    expect(tab.app.session.get()).toMatchObject({ state: "failed", problem: { code: "unavailable" } });
    house.server.archive.down = false;
    await tab.app.start();
    expect(tab.app.session.get()).toEqual({ state: "signed-out", reason: "none" });
  });

  test("fails if the code of the chat cannot be loaded, stays signed in, and starts once it can", async () => {
    const house = new Household();
    let reachable = false;
    const tab = await house.tab(new FakeBrowser(), {
      loadChat: async () => {
        if (!reachable) throw new ApiProblem(0, "offline", "");
        return { openChat };
      },
    });
    expect(await tab.app.signIn(`${ALICE}@example.org`, "correct horse")).toMatchObject({ ok: true });
    expect(tab.app.session.get()).toMatchObject({ state: "failed", problem: { code: "offline" } });
    reachable = true;
    await tab.app.start();
    expect(tab.chat().uid).toBe(ALICE);
  });

  test("warns of unsent messages at sign-out, then deletes all data; a second account sees nothing of the first", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const alice = await house.user(ALICE, browser);
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
    const bob = await house.user(BOB, browser);
    await house.pass(5_000);
    expect(bob.chat().conversations.get().items).toEqual([]);
    expect([...browser.disks.keys()]).toEqual([databaseName(BOB)]);
    expect(
      JSON.stringify([...(browser.disks.get(databaseName(BOB))?.tables.values() ?? [])].map((t) => [...t.values()])),
    ).not.toContain("secret");
  });

  test("keeps the data of an ended sign-in for its account, and hides it from another one", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const carol = await house.user("carolUid00003");
    const alice = await house.user(ALICE, browser);
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
    // The badge and the offer were for Alice.
    expect(alice.platform.badge).toBe(0);
    expect(alice.app.attention.offer.get()).toBe(false);

    const bob = await house.user(BOB, browser);
    const notified: string[] = [];
    bob.app.attention.onIncoming((m) => notified.push(m.body));
    await house.pass(5_000);
    expect(bob.chat().conversations.get().items).toEqual([]);
    expect([bob.chat().unreadTotal.get(), bob.chat().waitingTotal.get(), bob.app.attention.offer.get()]).toEqual([
      0,
      0,
      false,
    ]);
    const conversation = bob.chat().conversation(ALICE);
    await house.pass(500);
    expect([conversation.timeline.get().items, conversation.draft.get().text]).toEqual([[], ""]);
    expect(JSON.stringify([...browser.notes])).not.toContain(ALICE);
    // Neither account sent anything through the sign-in of the other.
    expect(house.server.accepted.size).toBe(2);
    expect(notified).toEqual([]);

    house.revoked.delete(ALICE);
    expect((await bob.chat().signOut()).ok).toBe(true);
    const again = await house.user(ALICE, browser);
    await house.pass(2_000);
    const mine = again.chat().conversation(BOB);
    await house.pass(500);
    expect([mine.draft.get().text, mine.timeline.get().items.map((m) => m.body)]).toEqual([
      "a secret thought",
      ["a secret that waits"],
    ]);
    expect(house.server.accepted.size).toBe(3);
  });

  test.each([
    ["signed_out", "signed-out", []],
    ["token_ended", "ended", [databaseName(ALICE)]],
  ])("that ends with %s on the socket ends in all tabs, and keeps only what it may", async (code, reason, kept) => {
    const house = new Household();
    const browser = new FakeBrowser();
    const tabs = [await house.user(ALICE, browser), await house.tab(browser)];
    house.setOnline(false);
    await tabs[1]?.chat().conversation(BOB).send("a secret that waits");
    await house.pass(1_000);
    house.server.refused.set(ALICE, code);
    house.setOnline(true);
    await house.pass(40_000);
    for (const tab of tabs) expect(tab.app.session.get()).toEqual({ state: "signed-out", reason });
    expect([...browser.disks.keys()]).toEqual(kept);
    expect(JSON.stringify([...browser.notes])).not.toContain(ALICE);
    expect(house.server.accepted.size).toBe(0);
  });

  test("signs all tabs in and out together", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const first = await house.user(ALICE, browser);
    const second = await house.tab(browser);
    await house.pass(500);
    expect(second.chat().uid).toBe(ALICE);
    await second.chat().signOut();
    await house.pass(100);
    expect(first.app.session.get()).toEqual({ state: "signed-out", reason: "none" });
    expect(house.server.socketsOf(ALICE)).toBe(0);
    await first.app.signIn(`${ALICE}@example.org`, "correct horse");
    await house.pass(1_000);
    expect(second.chat().uid).toBe(ALICE);
    expect(house.server.socketsOf(ALICE)).toBe(1);
  });

  test("of a second person does not take over the tabs of the first, signed out or not", async () => {
    for (const signedOut of [true, false]) {
      const house = new Household();
      const browser = new FakeBrowser();
      const first = await house.user(ALICE, browser);
      const second = await house.tab(browser);
      const replaced = { state: "signed-out", reason: "replaced" };
      if (signedOut) await first.chat().signOut();
      await first.app.signIn(`${BOB}@example.org`, "correct horse");
      await house.pass(1_000);
      expect(first.chat().uid).toBe(BOB);
      expect(second.app.session.get()).toEqual(replaced);
      expect([house.server.socketsOf(ALICE), house.server.socketsOf(BOB)]).toEqual([0, 1]);
      // A tab that nobody has used shows who is signed in.
      expect((await house.tab(browser)).chat().uid).toBe(BOB);
      // The first person signs in again, in their own tab.
      await second.app.signIn(`${ALICE}@example.org`, "correct horse");
      await house.pass(1_000);
      expect(second.chat().uid).toBe(ALICE);
      expect(first.app.session.get()).toEqual(replaced);
    }
  });

  test("ends when the sign-in is revoked, and keeps waiting messages for the next sign-in", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const alice = await house.user(ALICE, browser);
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

  test("ends with the reason when the account is disabled, and deletes all data when it is deleted", async () => {
    for (const [code, reason] of [
      ["account_disabled", "disabled"],
      ["account_deleted", "deleted"],
    ] as const) {
      const house = new Household();
      const browser = new FakeBrowser();
      const alice = await house.user(ALICE, browser);
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

  test("ends on the server when the user signs out, before the data is removed", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const alice = await house.user(ALICE, browser);
    let disks = -1;
    house.server.archive.before = (_uid, _request, path) => {
      if (path === "/api/me/sign-out") disks = browser.disks.size;
      return null;
    };
    expect((await alice.chat().signOut()).ok).toBe(true);
    expect(house.server.archive.signOuts).toMatchObject([{ uid: ALICE, path: "/api/me/sign-out" }]);
    expect(disks).toBe(1);
    expect(browser.disks.size).toBe(0);
    expect(alice.app.session.get()).toEqual({ state: "signed-out", reason: "none" });
  });

  test.each(["offline", "refused", "silent"])("ends here also if the server is %s", async (how) => {
    const house = new Household();
    const browser = new FakeBrowser();
    const alice = await house.user(ALICE, browser);
    if (how === "offline") alice.platform.answer = null;
    else if (how === "silent") alice.platform.answer = () => new Promise(() => undefined);
    else
      house.server.archive.before = (_uid, _request, path) =>
        path === "/api/me/sign-out" ? json(401, { code: "token_ended", detail: "x" }) : null;
    const done = alice.chat().signOut();
    await house.pass(3_000);
    expect((await done).ok).toBe(true);
    expect(alice.app.session.get()).toEqual({ state: "signed-out", reason: "none" });
    expect(browser.disks.size).toBe(0);
  });

  test("that the server ends while the user signs out is a sign-out in all tabs, and no data is kept", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const first = await house.user(ALICE, browser);
    const second = await house.tab(browser);
    await house.pass(500);
    house.server.archive.before = (_uid, _request, path) => {
      if (path !== "/api/me/sign-out") return null;
      house.revoked.add(ALICE);
      house.server.deliverTo(ALICE, { type: "error", code: "token_ended", message: "x" });
      house.server.drop(ALICE, 4401);
      return null;
    };
    await second.chat().signOut();
    await house.pass(5_000);
    for (const tab of [first, second]) expect(tab.app.session.get()).toEqual({ state: "signed-out", reason: "none" });
    expect(browser.disks.size).toBe(0);
  });

  test("is confirmed with the password: the socket gets a token of the new sign-in, and the old one is ended", async () => {
    const house = new Household();
    house.server.archive.directory.set(ALICE, { uid: ALICE, username: "alice", display_name: "Alice", admin: true });
    const browser = new FakeBrowser();
    const leader = await house.user(ALICE, browser);
    const tab = await house.tab(browser);
    await house.pass(1_000);
    const calls = tab.chat().admin.get();
    if (!calls) throw new Error("not an admin");
    house.server.archive.before = (_uid, _request, path) =>
      path.startsWith("/api/admin/") && house.signIns === 0
        ? json(403, { code: "sign_in_again", detail: "Sign in again." })
        : null;
    expect(await calls.call("GET", "/figures")).toMatchObject({ ok: false, problem: { code: "sign_in_again" } });
    expect(tab.chat().admin.get()).toBe(calls);
    expect(await calls.confirm("wrong")).toMatchObject({ ok: false, problem: { code: "wrong_password" } });
    expect(house.server.renewed).toEqual([]);
    expect(await calls.confirm("correct horse")).toEqual({ ok: true, value: undefined });
    await house.pass(100);
    // The leader's tab has the socket.
    expect(house.server.renewed.length).toBe(1);
    expect(house.server.archive.signOuts).toEqual([]);
    await house.pass(3_000);
    expect(house.server.archive.signOuts).toMatchObject([{ uid: ALICE, path: "/api/me/sign-out" }]);
    expect(leader.chat().connection.get().state).toBe("online");
  });

  test("says where the chat can be used if pages at this address may not, instead of trying again for ever", async () => {
    const house = new Household();
    house.server.archive.origins = ["https://chat.example"];
    const signedOut = await house.tab();
    expect(signedOut.app.session.get()).toEqual({ state: "foreign", address: "https://chat.example" });

    house.server.archive.origins = ["https://chat.example", "https://chat.test"];
    const browser = new FakeBrowser();
    const alice = await house.user(ALICE, browser);
    expect(alice.chat().connection.get().state).toBe("online");
    // The operator moves the chat. The page learns the reason after a handshake that failed.
    house.server.archive.origins = ["https://chat.example"];
    house.server.refusing = true;
    house.server.drop();
    await house.pass(120_000);
    expect(alice.app.session.get()).toEqual({ state: "foreign", address: "https://chat.example" });
    const sockets = alice.platform.opened.length;
    await house.pass(600_000);
    expect(alice.platform.opened.length).toBe(sockets);
    // Nothing is lost, and a later visit shows the reason, too.
    expect(browser.disks.has(databaseName(ALICE))).toBe(true);
    const again = await house.tab(browser);
    await house.pass(1_000);
    expect(again.app.session.get().state).toBe("foreign");
    house.server.refusing = false;
    house.server.archive.origins = null;
    const back = await house.tab(browser);
    await house.pass(1_000);
    expect(back.chat().connection.get().state).toBe("online");
  });

  test("deletes the account and all data with the password", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const alice = await house.user(ALICE, browser);
    expect(await alice.chat().leave("wrong")).toMatchObject({ ok: false, problem: { code: "wrong_password" } });
    expect((await alice.chat().leave("correct horse")).ok).toBe(true);
    expect(alice.app.session.get()).toEqual({ state: "signed-out", reason: "left" });
    expect(browser.disks.size).toBe(0);
  });

  test("offers notifications only after a message arrived while the page was hidden", async () => {
    const house = new Household();
    const alice = await house.user(ALICE);
    const bob = await house.user(BOB);
    const notified: string[] = [];
    alice.app.attention.onIncoming((m) => notified.push(`${m.name}: ${m.body}${m.hidden ? " (hidden)" : ""}`));
    await bob.chat().conversation(ALICE).send("one");
    await house.pass(500);
    expect(alice.app.attention.offer.get()).toBe(false);
    alice.platform.setVisible(false);
    await bob.chat().conversation(ALICE).send("two");
    await house.pass(500);
    expect(alice.app.attention.offer.get()).toBe(true);
    expect(notified[1]).toBe("bob: two (hidden)");
    expect(notified.length).toBe(2);
    expect(await alice.app.attention.ask()).toBe("granted");
    expect(alice.app.attention.offer.get()).toBe(false);
  });
});

test("a password is used in one form, however the keyboard has typed it", async () => {
  const [typed, normal] = ["cafe\u0301 au lait", "caf\u00e9 au lait"];
  const house = new Household();
  const tab = await house.tab();
  const email = `${ALICE}@example.org`;
  await tab.app.signIn(email, typed);
  await signUp(tab.app, { email, username: "alice", displayName: "Alice", password: typed });
  const alice = await house.user(ALICE);
  house.passwords.length = 0;
  await tab.app.signIn(email, typed);
  house.codes.set("code", { kind: "reset", email, before: "" });
  await confirmReset(tab.app.late, "code", typed);
  await sendChange(alice.app.late, "new@example.org", typed);
  await alice.chat().leave(typed);
  expect(new Set(house.passwords)).toEqual(new Set([normal]));
  expect(house.passwords.length).toBeGreaterThanOrEqual(4);
});

describe("notifications", () => {
  /** Shows a notification for each message that nobody sees, as the view does. */
  const notifying = (tab: Tab): void => {
    tab.platform.permission = "granted";
    tab.app.attention.onIncoming((about) => {
      const body = ({ body, reaction }: Incoming): string => `${body}${reaction}`;
      if (about.hidden) tab.app.attention.notify(about, { title: about.name, body, onOpen: () => undefined });
    });
  };
  const shown = (tab: Tab): string[] => tab.platform.shown.map((n) => n.body);

  async function notified(): Promise<{ house: Household; alice: Tab; bob: Tab; browser: FakeBrowser }> {
    const house = new Household();
    const browser = new FakeBrowser();
    const alice = await house.user(ALICE, browser);
    const bob = await house.user(BOB);
    notifying(alice);
    alice.platform.setFocused(false);
    await bob.chat().conversation(ALICE).send("while nobody looks");
    await house.pass(500);
    expect(shown(alice)).toEqual(["while nobody looks"]);
    return { house, alice, bob, browser };
  }

  const read = async (house: Household, tab: Tab): Promise<void> => {
    const conversation = tab.chat().conversation(BOB);
    await house.pass(500);
    conversation.markRead(conversation.timeline.get().items.at(-1)?.key ?? "");
    await house.pass(1_000);
    conversation.close();
  };

  test("are shown if a window is visible without the focus, and not if it has the focus", async () => {
    const { house, alice, bob } = await notified();
    alice.platform.setFocused(true);
    await bob.chat().conversation(ALICE).send("while Alice looks");
    await house.pass(500);
    expect(shown(alice)).toEqual(["while nobody looks"]);
  });

  test("are not shown while another tab has the focus", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const leader = await house.user(ALICE, browser);
    const other = await house.tab(browser);
    const bob = await house.user(BOB);
    notifying(leader);
    leader.platform.setFocused(false);
    await house.pass(500);
    await bob.chat().conversation(ALICE).send("seen in the other tab");
    await house.pass(500);
    expect(shown(leader)).toEqual([]);
    other.platform.setFocused(false);
    await house.pass(500);
    await bob.chat().conversation(ALICE).send("seen nowhere");
    await house.pass(500);
    expect(shown(leader)).toEqual(["seen nowhere"]);
  });

  test("are withdrawn when the message is read here", async () => {
    const { house, alice } = await notified();
    await read(house, alice);
    expect(shown(alice)).toEqual([]);
  });

  test("are withdrawn when the message is read in another tab, or on another device", async () => {
    for (const another of ["tab", "device"]) {
      const { house, alice, browser } = await notified();
      const other = another === "tab" ? await house.tab(browser) : await house.user(ALICE);
      await house.pass(3_000);
      expect(shown(alice)).toEqual(["while nobody looks"]);
      await read(house, other);
      expect(shown(alice)).toEqual([]);
    }
  });

  test("stay until the message is read", async () => {
    const { house, alice, bob } = await notified();
    await bob.chat().conversation(ALICE).send("another one");
    await house.pass(60_000);
    expect(shown(alice)).toEqual(["another one"]);
  });

  test("follow their message: an edit changes them silently, a deletion withdraws them", async () => {
    const { house, alice, bob } = await notified();
    const theirs = bob.chat().conversation(ALICE);
    await house.pass(500);
    const first = theirs.timeline.get().items.at(-1)?.key ?? "";
    await theirs.change(first, { kind: "edit", body: "while Alice is away" });
    await house.pass(500);
    expect(alice.platform.shown).toMatchObject([{ body: "while Alice is away", tag: BOB, silent: true }]);
    const second = await theirs.send("another one");
    await house.pass(500);
    expect(alice.platform.shown).toMatchObject([{ body: "another one", tag: BOB, silent: false }]);
    // That about the first message has been replaced.
    await theirs.change(first, { kind: "delete" });
    await house.pass(6_000);
    expect(shown(alice)).toEqual(["another one"]);
    await theirs.change(second.ok ? second.value : "", { kind: "delete" });
    await house.pass(6_000);
    expect(shown(alice)).toEqual([]);
  });

  test("report reactions to own messages without a sound, until they are withdrawn or the user comes back", async () => {
    const house = new Household();
    const alice = await house.user(ALICE);
    const second = await house.user(ALICE);
    const bob = await house.user(BOB);
    const sent = await alice.chat().conversation(BOB).send("See you at ten");
    const theirs = bob.chat().conversation(ALICE);
    await theirs.send("Fine");
    await house.pass(1_000);
    const own = theirs.timeline.get().items.find((m) => m.mine)?.key ?? "";
    const key = sent.ok ? sent.value : "";
    notifying(alice);
    alice.platform.setFocused(false);
    const react = async (of: string, emoji: string): Promise<void> => {
      await theirs.change(of, { kind: "react", emoji });
      await house.pass(500);
    };
    await react(own, "🎉"); // to a message of Bob's own
    await second.chat().conversation(BOB).change(key, { kind: "react", emoji: "👀" }); // by Alice herself
    await house.pass(500);
    expect(shown(alice)).toEqual([]);
    await react(key, "👍");
    const tag = `${BOB}/reaction`;
    expect(alice.platform.shown).toEqual([
      { account: ALICE, title: "bob", body: "See you at ten👍", tag, silent: true },
    ]);
    await react(key, "😂");
    expect(shown(alice)).toEqual(["See you at ten😂"]);
    await theirs.send("A message has a notification of its own");
    await house.pass(500);
    expect(alice.platform.shown.map((n) => n.tag)).toEqual([tag, BOB]);
    await react(key, "");
    expect(alice.platform.shown.map((n) => n.tag)).toEqual([BOB]);
    await react(key, "👍");
    expect(alice.platform.shown.map((n) => n.tag)).toEqual([BOB, tag]);
    alice.platform.setFocused(true);
    expect(alice.platform.shown.map((n) => n.tag)).toEqual([BOB]);
    await react(key, "😂"); // while Alice looks
    expect(alice.platform.shown.map((n) => n.tag)).toEqual([BOB]);
    expect(house.server.faults).toEqual([]);
  });

  test("are not offered for a reaction, and none reports one that arrived while the device was away", async () => {
    const house = new Household();
    const alice = await house.user(ALICE);
    const bob = await house.user(BOB);
    const sent = await alice.chat().conversation(BOB).send("See you at ten");
    const theirs = bob.chat().conversation(ALICE);
    await house.pass(1_000);
    alice.platform.setFocused(false);
    const key = sent.ok ? sent.value : "";
    await theirs.change(key, { kind: "react", emoji: "👍" });
    await house.pass(1_000);
    expect(alice.app.attention.offer.get()).toBe(false);

    notifying(alice);
    house.server.drop(ALICE);
    await theirs.change(key, { kind: "react", emoji: "😂" });
    await theirs.send("and a message");
    await house.pass(60_000);
    expect(shown(alice)).toEqual(["and a message"]);
  });

  test("are withdrawn at sign-out, in every tab", async () => {
    const { house, alice, browser } = await notified();
    const other = await house.tab(browser);
    await house.pass(1_000);
    await other.chat().signOut();
    await house.pass(5_000);
    expect(shown(alice)).toEqual([]);
  });

  test("for another account are gone, and a click on one does nothing", async () => {
    const { house, alice, browser } = await notified();
    const clicks: string[] = [];
    const { notifier } = alice.platform;
    const clickable: (() => void)[] = [];
    const show = notifier.show.bind(notifier);
    notifier.show = (options) => {
      clickable.push(options.onOpen);
      show(options);
    };
    const about = { conversation: "", key: "", from: BOB, name: "Bob", body: "for Alice", reaction: "", hidden: true };
    alice.app.attention.notify(about, { title: "Bob", body: () => "for Alice", onOpen: () => clicks.push("Alice") });
    clickable[0]?.();
    expect(clicks).toEqual(["Alice"]);
    await alice.chat().signOut();
    const carol = await house.user("carolUid00003", browser);
    await house.pass(1_000);
    clickable[0]?.();
    expect(clicks).toEqual(["Alice"]);
    expect(shown(carol)).toEqual([]);
  });
});

test("notifications are offered in the visible tab, and one answer counts for all tabs", async () => {
  const house = new Household();
  const browser = new FakeBrowser();
  const leader = await house.user(ALICE, browser);
  const other = await house.tab(browser);
  const bob = await house.user(BOB);
  await house.pass(1_000);
  const offers = (): boolean[] => [leader, other].map((t) => t.app.attention.offer.get());

  // One of the tabs is visible, so nothing was missed.
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

  // A tab that was opened meanwhile requests nothing while it loads.
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

test("notifications are offered even if the browser denies notes", async () => {
  const house = new Household();
  const alice = await house.user(ALICE);
  const bob = await house.user(BOB);
  Object.assign(alice.platform.notes, { get: () => null, set: () => undefined });
  alice.platform.setVisible(false);
  await bob.chat().conversation(ALICE).send("missed");
  await house.pass(1_000);
  expect(alice.app.attention.offer.get()).toBe(true);
  await alice.app.attention.ask();
  expect(alice.app.attention.offer.get()).toBe(false);
});

test("the shape of the database contains every store", () => {
  expect(Object.keys(SHAPE.stores).sort()).toEqual([
    "backfills",
    "changes",
    "conversations",
    "drafts",
    "messages",
    "meta",
    "settings",
    "users",
  ]);
});
