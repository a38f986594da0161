import { describe, expect, test } from "vitest";
import { type Database, StorageLost, StorageSilent } from "../../platform/database";
import { MemoryDatabase, MemoryDisk } from "../../platform/memory";
import { FakeBrowser } from "../../platform/testing/fake";
import { messageKey } from "../../protocol/chat";
import { json } from "../testing/archive";
import { SHAPE } from "../store/rows";
import { Household, type Tab } from "../testing/household";
import { Directory } from "./directory";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";

/** Returns the id in the key of a message. */
function idOf(key = ""): string {
  return key.slice(0, key.indexOf("."));
}

async function two(): Promise<{ house: Household; alice: Tab; bob: Tab }> {
  const house = new Household();
  const alice = await house.user(ALICE);
  const bob = await house.user(BOB);
  return { house, alice, bob };
}

describe("two users", () => {
  test("write and read messages, and see their states", async () => {
    const { house, alice, bob } = await two();
    const toBob = alice.chat().conversation(BOB);
    await house.pass(100);
    expect(toBob.timeline.get()).toMatchObject({ loading: false, complete: true, items: [] });
    const sent = await toBob.send("Are you there?\nIt is late.");
    expect(sent.ok).toBe(true);
    await house.pass(0);
    expect(toBob.timeline.get().items.map((m) => [m.body, m.state, m.mine])).toEqual([
      ["Are you there?\nIt is late.", "waiting", true],
    ]);
    const states = new Set<string>();
    toBob.timeline.subscribe((t) => states.add(t.items[0]?.state ?? ""));
    await house.pass(500);
    expect([...states]).toEqual(["waiting", "sent", "delivered"]);

    // A stranger's first message appears without a reload, with the name.
    const [line] = bob.chat().conversations.get().items;
    expect(line).toMatchObject({
      unread: 1,
      preview: { body: "Are you there?\nIt is late.", mine: false },
      user: { displayName: "alice" },
    });
    expect(bob.chat().unreadTotal.get()).toBe(1);

    const toAlice = bob.chat().conversation(ALICE);
    await house.pass(200);
    const [message] = toAlice.timeline.get().items;
    if (!message) throw new Error("no message");
    expect(toAlice.timeline.get().firstUnread).toBe(message.key);
    expect(message.state).toBe("delivered");
    toAlice.markRead(message.key);
    await house.pass(1_000);
    expect(bob.chat().unreadTotal.get()).toBe(0);
    expect(toAlice.unread.get()).toBe(0);
    expect(toBob.timeline.get().items[0]?.state).toBe("read");
    // The "new messages" line stays while the conversation is open and not answered.
    expect(toAlice.timeline.get().firstUnread).toBe(message.key);

    const answered = await toAlice.send("Yes", message.key);
    await house.pass(500);
    const answer = toBob.timeline.get().items[1];
    expect(answer).toMatchObject({
      body: "Yes",
      mine: false,
      quote: { key: message.key, mine: true, body: "Are you there?\nIt is late." },
    });
    expect(answered).toEqual({ ok: true, value: answer?.key });
    expect(alice.chat().conversations.get().items[0]?.preview?.body).toBe("Yes");
    expect(house.server.faults).toEqual([]);
  });

  test("have messages of one id beside each other, also where the recipient sends its own before it acknowledges", async () => {
    const { house, alice, bob } = await two();
    const toBob = alice.chat().conversation(BOB);
    await house.pass(100);
    bob.platform.freeze();
    const first = await toBob.send("Alice wrote this");
    await house.pass(100);
    const key = first.ok ? first.value : "";
    const at = house.clock.now() * 1000;
    house.server.queue({
      id: idOf(key),
      conversation: toBob.id,
      from: BOB,
      to: ALICE,
      body: "Bob wrote this under the same id",
      at,
      accepted_at: at,
    });
    await house.pass(500);
    bob.platform.thaw();
    await house.pass(20_000);
    expect([...house.server.archive.saved.values()].map((m) => m.body).sort()).toEqual([
      "Alice wrote this",
      "Bob wrote this under the same id",
    ]);
    const theirs = messageKey({ id: idOf(key), from: BOB });
    const answer = await toBob.send("An answer to Bob", theirs);
    await house.pass(500);
    const toAlice = bob.chat().conversation(ALICE);
    await house.pass(500);
    for (const [conversation, mine] of [
      [toBob, key],
      [toAlice, theirs],
    ] as const) {
      const { items } = conversation.timeline.get();
      expect(items.map((m) => m.key)).toEqual([key, theirs, answer.ok && answer.value]);
      expect(items.filter((m) => m.key === mine).map((m) => m.mine)).toEqual([true]);
      expect(items[2]?.quote).toEqual({
        key: theirs,
        mine: mine === theirs,
        body: "Bob wrote this under the same id",
      });
    }
    expect(toBob.timeline.get().items[0]).toMatchObject({ body: "Alice wrote this", state: "delivered" });
    toBob.markRead(theirs);
    await house.pass(500);
    expect(toBob.unread.get()).toBe(0);
  });

  test("show what is saved where a message was sent again with another text, on the devices that saw either", async () => {
    const house = new Household();
    const alice = await house.user(ALICE);
    const early = await house.user(BOB);
    const toBob = alice.chat().conversation(BOB);
    await house.pass(100);
    const sent = await toBob.send("the first text");
    await house.pass(1_000);
    const late = await house.user(BOB);
    const open = [toBob, early.chat().conversation(ALICE), late.chat().conversation(ALICE)];
    await house.pass(1_000);
    const at = house.clock.now() * 1000;
    const id = idOf(sent.ok ? sent.value : "");
    const again = { id, conversation: toBob.id, from: ALICE, to: BOB, body: "another text", at, accepted_at: at };
    expect(house.server.queue(again)).toBe(true);
    const answered = await open[1]?.send("An answer", messageKey(again));
    await house.pass(5_000);
    expect(answered?.ok).toBe(true);
    for (const conversation of open)
      expect(conversation.timeline.get().items.map((m) => [m.body, m.quote?.body])).toEqual([
        ["the first text", undefined],
        ["An answer", "the first text"],
      ]);
    for (const tab of [alice, early, late])
      expect(tab.chat().conversations.get().items[0]?.preview?.body).toBe("An answer");
  });

  test("see presence and typing", async () => {
    const { house, alice, bob } = await two();
    const seen: (boolean | null)[] = [];
    const presence = alice.chat().presence(BOB);
    const end = presence.subscribe((p) => seen.push(p.online));
    await house.pass(1_000);
    expect(seen).toEqual([null, true]);
    const toBob = alice.chat().conversation(BOB);
    bob.chat().conversation(ALICE).noteTyping();
    await house.pass(10);
    expect(toBob.typing.get()).toBe(true);
    await house.pass(5_000);
    expect(toBob.typing.get()).toBe(true);
    await house.pass(2_000);
    expect(toBob.typing.get()).toBe(false);
    // A message ends the typing hint at once.
    const toAlice = bob.chat().conversation(ALICE);
    toAlice.noteTyping();
    await house.pass(10);
    expect(toBob.typing.get()).toBe(true);
    await toAlice.send("done");
    await house.pass(100);
    expect(toBob.typing.get()).toBe(false);
    await bob.chat().signOut();
    await house.pass(1_000);
    expect(presence.get().online).toBe(false);
    expect(presence.get().lastSeen).not.toBeNull();
    end();
  });

  test("find each other in the directory", async () => {
    const { house, alice } = await two();
    for (let i = 0; i < 120; i++) {
      house.server.archive.directory.set(`p${i}`, {
        uid: `p${i}`,
        username: `p${String(i).padStart(3, "0")}`,
        display_name: `User ${i}`,
      });
    }
    const before = house.server.archive.requests;
    const search = new Directory(alice.chat().late);
    expect(search.users.get()).toMatchObject({ loading: true, items: [] });
    for (const q of ["p", "p0", "p00"]) {
      search.search(q);
      await house.pass(50);
    }
    await house.pass(300);
    expect(house.server.archive.requests - before).toBe(1);
    expect(search.users.get().items.map((p) => p.username)).toEqual(Array.from({ length: 10 }, (_, i) => `p00${i}`));
    search.search("");
    await house.pass(300);
    expect(search.users.get()).toMatchObject({ more: true });
    search.more();
    search.more();
    await house.pass(0);
    search.more();
    await house.pass(0);
    const all = search.users.get();
    expect(all.items.length).toBe(121);
    expect(new Set(all.items.map((p) => p.uid)).size).toBe(121);
    expect(all.items.some((p) => p.uid === ALICE)).toBe(false);
    house.server.archive.down = true;
    search.search("x");
    await house.pass(300);
    expect(search.users.get()).toMatchObject({ loading: false, problem: { code: "unavailable" } });
    house.server.archive.down = false;
    search.retry();
    await house.pass(0);
    expect(search.users.get()).toMatchObject({ loading: false, problem: null, items: [] });
    expect(await alice.chat().userByUsername(BOB.toLowerCase())).toMatchObject({ ok: true, value: { uid: BOB } });
    expect(await alice.chat().userByUsername("nobody")).toMatchObject({ ok: false, problem: { code: "not_found" } });
  });

  test("show a refused message with its reason, and can retry or remove it", async () => {
    const { house, alice } = await two();
    house.server.refuse = () => "recipient_unknown";
    const toBob = alice.chat().conversation(BOB);
    const first = await toBob.send("one");
    await toBob.send("two");
    await house.pass(500);
    expect(toBob.timeline.get().items.map((m) => [m.state, m.refusal?.code])).toEqual([
      ["refused", "recipient_unknown"],
      ["refused", "recipient_unknown"],
    ]);
    house.server.refuse = () => null;
    toBob.setDraft("half a thought", null);
    const again = first.ok ? await toBob.retry(first.value) : first;
    expect(toBob.draft.get().text).toBe("half a thought");
    const [two_] = toBob.timeline.get().items.filter((m) => m.body === "two");
    await toBob.remove(two_?.key ?? "");
    await house.pass(500);
    expect(toBob.timeline.get().items.map((m) => [m.key, m.body, m.state])).toEqual([
      [again.ok && again.value, "one", "delivered"],
    ]);
    expect(await toBob.retry("nothing")).toMatchObject({ ok: false, problem: { code: "message_gone" } });
  });

  test("see why messages wait, in every tab, until they are accepted or the other user answers", async () => {
    const { house, alice, bob } = await two();
    const second = await house.tab(alice.platform.browser);
    await house.pass(1_000);
    let open = false;
    house.server.refuseForNow = (m) => (m.from === ALICE && !open ? ["answer_awaited", 60_000] : null);
    const here = alice.chat().conversation(BOB);
    const there = second.chat().conversation(BOB);
    await house.pass(100);
    expect(here.timeline.get().held).toBeNull();
    await there.send("Hello?");
    await house.pass(100);
    for (const { timeline } of [here, there]) {
      expect(timeline.get()).toMatchObject({ held: "answer_awaited", items: [{ body: "Hello?", state: "waiting" }] });
    }
    // A tab that is opened later sees it, too.
    const third = await house.tab(alice.platform.browser);
    const later = third.chat().conversation(BOB);
    await house.pass(1_000);
    expect(later.timeline.get().held).toBe("answer_awaited");
    open = true;
    await bob.chat().conversation(ALICE).send("Hello!");
    await house.pass(1_000);
    for (const { timeline } of [here, there, later]) {
      expect(timeline.get().held).toBeNull();
      expect(timeline.get().items.map((m) => [m.body, m.state])).toEqual([
        ["Hello?", "delivered"],
        ["Hello!", "delivered"],
      ]);
    }
    expect(house.server.faults).toEqual([]);
  });

  test.each(["recipient_unavailable", "withdrawn", "at_too_old"])(
    "see that a message was refused with %s, which says nothing about the account",
    async (code) => {
      const { house, alice, bob } = await two();
      const conversation = alice.chat().conversation(BOB);
      const presence = alice.chat().presence(BOB);
      presence.subscribe(() => undefined);
      await house.pass(1_000);
      expect(presence.get().online).toBe(true);
      house.server.refuse = (m) => (m.body === "refused at once" ? code : null);
      await conversation.send("refused at once");
      bob.platform.kill();
      await conversation.send("refused later");
      await house.pass(500);
      const [first, waits] = conversation.timeline.get().items;
      expect([first?.state, first?.refusal?.code, waits?.state]).toEqual(["refused", code, "sent"]);
      house.server.append(ALICE, {
        type: "refused",
        conversation: conversation.id,
        messages: [{ id: idOf(waits?.key), at: (waits?.time ?? 0) * 1000 }],
        code,
        message: "It cannot be sent.",
      });
      await house.pass(500);
      const items = (): (string | undefined)[][] =>
        conversation.timeline.get().items.map((m) => [m.body, m.state, m.refusal?.code]);
      expect(items()).toEqual([
        ["refused at once", "refused", code],
        ["refused later", "refused", code],
      ]);
      expect(conversation.user.get()).toMatchObject({ displayName: "bob", deleted: false });
      // A device may have had the message already.
      house.server.append(ALICE, {
        type: "delivered",
        conversation: conversation.id,
        messages: [{ id: idOf(waits?.key), at: (waits?.time ?? 0) * 1000 }],
        delivered_at: house.clock.now() * 1000,
      });
      await house.pass(500);
      expect(items()[1]).toEqual(["refused later", "delivered", undefined]);
    },
  );

  test("see neither presence nor typing of somebody whom they may not write to", async () => {
    const { house, alice, bob } = await two();
    const conversation = alice.chat().conversation(BOB);
    const presence = alice.chat().presence(BOB);
    presence.subscribe(() => undefined);
    await house.pass(1_000);
    bob.chat().conversation(ALICE).noteTyping();
    await house.pass(10);
    expect([presence.get().online, conversation.typing.get()]).toEqual([true, true]);
    house.server.refuse = () => "recipient_unavailable";
    await conversation.send("hello?");
    await house.pass(500);
    expect(presence.get()).toEqual({ online: null, lastSeen: null });
    expect(conversation.typing.get()).toBe(false);
  });

  test("see neither presence nor typing of somebody whom they blocked, whatever the server sends", async () => {
    const { house, alice, bob } = await two();
    const conversation = alice.chat().conversation(BOB);
    const presence = alice.chat().presence(BOB);
    presence.subscribe(() => undefined);
    await house.pass(1_000);
    bob.chat().conversation(ALICE).noteTyping();
    await house.pass(10);
    expect(conversation.typing.get()).toBe(true);
    expect((await alice.chat().block(BOB)).ok).toBe(true);
    house.server.deliverTo(ALICE, { type: "presence", user: BOB, online: false, last_seen: 1_000_000 });
    house.server.deliverTo(ALICE, { type: "typing", from: BOB });
    await house.pass(10);
    expect(presence.get()).toEqual({ online: null, lastSeen: null });
    expect(conversation.typing.get()).toBe(false);
    expect((await alice.chat().unblock(BOB)).ok).toBe(true);
    house.server.deliverTo(ALICE, { type: "presence", user: BOB, online: true });
    await house.pass(10);
    expect(presence.get().online).toBe(true);
  });

  test("see no old time of somebody whose time the server does not report any more", async () => {
    const { house, alice, bob } = await two();
    const presence = alice.chat().presence(BOB);
    presence.subscribe(() => undefined);
    bob.platform.kill();
    house.server.drop(BOB);
    await house.pass(1_000);
    expect(presence.get().lastSeen).not.toBeNull();
    house.server.deliverTo(ALICE, { type: "presence", user: BOB, online: false });
    await house.pass(10);
    expect(presence.get()).toEqual({ online: false, lastSeen: null });
  });

  test("see no old state of somebody whom the server does not report any more", async () => {
    const { house, alice, bob } = await two();
    const presence = alice.chat().presence(BOB);
    let end = presence.subscribe(() => undefined);
    await house.pass(1_000);
    bob.platform.kill();
    house.server.drop(BOB);
    await house.pass(1_000);
    expect(presence.get()).toMatchObject({ online: false, lastSeen: house.clock.now() - 1_000 });
    // The budget of distinct people is used up.
    house.server.reportsPresence = false;
    end();
    await house.pass(60_000);
    end = presence.subscribe(() => undefined);
    await house.pass(1_000);
    expect(presence.get()).toEqual({ online: null, lastSeen: null });
    end();
  });

  test("see who is an admin, wherever the server says so, and only there", async () => {
    const { house, alice } = await two();
    house.server.archive.directory.set(BOB, { uid: BOB, username: "bob", display_name: "Bob", admin: true });
    const mallory = { uid: "malloryUid04", username: "mallory", display_name: "Mallory [admin: true]" };
    house.server.archive.directory.set(mallory.uid, mallory);
    const search = new Directory(alice.chat().late);
    await house.pass(1_000);
    expect(search.users.get().items.map((u) => [u.uid, u.admin])).toEqual([
      [BOB, true],
      [mallory.uid, false],
    ]);
    const conversation = alice.chat().conversation(BOB);
    await conversation.send("hello");
    await house.pass(1_000);
    expect(conversation.user.get().admin).toBe(true);
    expect(alice.chat().conversations.get().items[0]?.user.admin).toBe(true);
    // Bob is not an admin any more.
    house.server.archive.directory.set(BOB, { uid: BOB, username: "bob", display_name: "Bob" });
    await house.pass(60_000);
    alice.chat().conversation(BOB);
    await house.pass(1_000);
    expect(conversation.user.get().admin).toBe(false);
  });

  test("lists that load themselves go on after the pause that the server asks for", async () => {
    const { house, alice } = await two();
    const { archive } = house.server;
    let limited = true;
    const refused: string[] = [];
    archive.before = (_uid, _request, path) => {
      if (!limited || !path.startsWith("/api/users")) return null;
      refused.push(path);
      return json(429, { code: "rate_limited", detail: "x", retry_after_ms: 300_000 });
    };
    const search = new Directory(alice.chat().late);
    await house.pass(1_000);
    expect(search.users.get()).toMatchObject({ loading: false, problem: { code: "rate_limited" } });
    // Names of strangers are loaded in the background.
    const names = Array.from({ length: 5 }, (_, i) => alice.chat().user(`strangerUid${i}`));
    for (let i = 0; i < 5; i++)
      archive.directory.set(`strangerUid${i}`, { uid: `strangerUid${i}`, username: `s${i}`, display_name: `S${i}` });
    await house.pass(100_000);
    // Only the first request of each kind, as long as the pause lasts.
    expect(refused.length).toBeLessThanOrEqual(7);
    const soFar = refused.length;
    await house.pass(100_000);
    expect(refused.length).toBe(soFar);
    limited = false;
    await house.pass(250_000);
    expect(search.users.get()).toMatchObject({ loading: false, problem: null });
    expect(search.users.get().items.length).toBe(6);
    expect(names.map((n) => n.get().displayName)).toEqual(["S0", "S1", "S2", "S3", "S4"]);
  });

  test("scrolling does not repeat a request that the server refuses for a while", async () => {
    const { house, alice } = await two();
    const { archive } = house.server;
    for (let i = 0; i < 120; i++)
      archive.directory.set(`p${i}`, { uid: `p${i}`, username: `p${i}`, display_name: `User ${i}` });
    const search = new Directory(alice.chat().late);
    await house.pass(1_000);
    expect(search.users.get().items.length).toBe(50);
    let refused = 0;
    let limited = true;
    archive.before = (_uid, _request, path) => {
      if (!limited || path !== "/api/users") return null;
      refused++;
      return json(429, { code: "rate_limited", detail: "x", retry_after_ms: 60_000 });
    };
    for (let i = 0; i < 50; i++) {
      search.more();
      await house.pass(100);
    }
    expect(refused).toBe(1);
    limited = false;
    await house.pass(60_000);
    expect(search.users.get()).toMatchObject({ problem: null });
    expect(search.users.get().items.length).toBe(100);
  });

  test("a conversation whose history the server refuses for a while loads it after that time", async () => {
    const { house, alice } = await two();
    const { archive } = house.server;
    const at = house.clock.now() * 1000;
    archive.save([
      {
        id: "019abd70-0001-7000-8000-000000000001",
        conversation: `${ALICE}~${BOB}`,
        from: BOB,
        to: ALICE,
        body: "from long ago",
        at,
        accepted_at: at,
        delivered_at: at,
      },
    ]);
    let limited = true;
    archive.before = (_uid, _request, path) =>
      limited && path === "/api/messages"
        ? json(429, { code: "rate_limited", detail: "x", retry_after_ms: 120_000 })
        : null;
    const conversation = alice.chat().conversation(BOB);
    await house.pass(1_000);
    expect(conversation.timeline.get()).toMatchObject({ items: [], problem: { code: "rate_limited" } });
    limited = false;
    await house.pass(120_000);
    expect(conversation.timeline.get()).toMatchObject({ items: [{ body: "from long ago" }], problem: null });
  });

  test("recognize a deleted account by a refusal or by loading its names, and keep its history", async () => {
    const { house, alice, bob } = await two();
    await bob.chat().conversation(ALICE).send("before I left");
    await house.pass(500);
    const conversation = alice.chat().conversation(BOB);
    await house.pass(500);
    expect(conversation.user.get()).toMatchObject({ displayName: "bob", deleted: false });
    // Bob deletes his account. Alice's tab learns it from the refusal of her message.
    house.server.archive.directory.delete(BOB);
    house.server.refuse = () => "recipient_unknown";
    await conversation.send("are you there?");
    await house.pass(1_000);
    expect(conversation.user.get()).toEqual({
      uid: BOB,
      username: BOB.toLowerCase(),
      displayName: "bob",
      deleted: true,
      admin: false,
      picture: "",
    });
    expect(alice.chat().conversations.get().items[0]?.user.deleted).toBe(true);
    expect(conversation.timeline.get().items.map((m) => [m.body, m.state, m.refusal?.code])).toEqual([
      ["before I left", "delivered", undefined],
      ["are you there?", "refused", "recipient_unknown"],
    ]);
    // The mark is removed when the directory shows the user again.
    house.server.archive.directory.set(BOB, { uid: BOB, username: "bob", display_name: "Bob" });
    await house.pass(60_000);
    alice.chat().conversation(BOB).close();
    await house.pass(1_000);
    expect(conversation.user.get()).toMatchObject({ uid: BOB, username: "bob", displayName: "Bob", deleted: false });
  });

  test("load a long history page by page, in order, to its beginning, and find a quoted message", async () => {
    const house = new Household();
    const alice = await house.user(ALICE);
    const id = (n: number): string =>
      `019abd70-${n.toString(16).padStart(4, "0")}-7000-8000-${n.toString(16).padStart(12, "0")}`;
    const key = (n: number): string => messageKey({ id: id(n), from: n % 3 ? BOB : ALICE });
    const saved = Array.from({ length: 730 }, (_, n) => ({
      id: id(n),
      conversation: `${ALICE}~${BOB}`,
      from: n % 3 ? BOB : ALICE,
      to: n % 3 ? ALICE : BOB,
      body: `message ${n}`,
      at: 1_795_000_000_000_000 + n * 1_000_000,
      accepted_at: 1_795_000_000_000_000 + n * 1_000_000,
      delivered_at: 1_795_000_000_000_000 + n * 1_000_000,
      ...(n === 729 ? { reply_to: key(3) } : {}),
    }));
    house.server.archive.save(saved);
    house.server.archive.read(`${ALICE}~${BOB}`, ALICE, 1_795_000_000_000_000 + 720 * 1_000_000);
    await alice.chat().signOut();
    const again = await house.user(ALICE);
    expect(again.chat().conversations.get().items[0]).toMatchObject({ unread: 6, preview: { body: "message 729" } });
    const conversation = again.chat().conversation(BOB);
    await house.pass(100);
    const first = conversation.timeline.get();
    expect(first.items[first.items.length - 1]).toMatchObject({
      body: "message 729",
      quote: { key: key(3), body: null },
    });
    expect(first.firstUnread).toBe(key(721));
    expect(first.complete).toBe(false);
    const old = first.items[10];
    await conversation.loadOlder();
    const second = conversation.timeline.get();
    expect(second.items.length).toBeGreaterThan(first.items.length);
    expect(second.items).toContain(old);
    expect(await conversation.reveal(key(3))).toBe(true);
    expect(conversation.timeline.get().items.at(-1)?.quote).toEqual({ key: key(3), mine: true, body: "message 3" });
    while (!conversation.timeline.get().complete) await conversation.loadOlder();
    expect(conversation.timeline.get().items.map((m) => m.body)).toEqual(saved.map((m) => m.body));
    expect(await conversation.reveal("nowhere")).toBe(false);

    // On this device, the way to a message far away is one step.
    const anew = again.chat().conversation(BOB);
    await house.pass(100);
    const steps = new Set<number>();
    anew.timeline.subscribe(({ items }) => steps.add(items.length));
    const from = anew.timeline.get().items.length;
    const { requests } = house.server.archive;
    expect(await anew.reveal(key(3))).toBe(true);
    expect([...steps]).toEqual([from, 730]);
    expect(house.server.archive.requests).toBe(requests);
  });

  test("reach a message far away although the server asks for pauses on the way", async () => {
    const house = new Household();
    await house.user(BOB);
    const id = (n: number): string => `0190${String(n).padStart(4, "0")}-0000-7000-8000-000000000001`;
    house.server.archive.save(
      Array.from({ length: 400 }, (_, n) => ({
        id: id(n),
        conversation: `${ALICE}~${BOB}`,
        from: BOB,
        to: ALICE,
        body: `message ${n}`,
        at: 1_795_000_000_000_000 + n * 1_000_000,
        accepted_at: 1_795_000_000_000_000 + n * 1_000_000,
        delivered_at: 1_795_000_000_000_000 + n * 1_000_000,
      })),
    );
    house.server.archive.read(`${ALICE}~${BOB}`, ALICE, 1_795_000_000_000_000 + 400 * 1_000_000);
    const conversation = (await house.user(ALICE)).chat().conversation(BOB);
    await house.pass(1_000);
    let asked = 0;
    house.server.archive.before = (_uid, _request, path) =>
      path === "/api/messages" && ++asked % 2 === 1
        ? json(429, { code: "rate_limited", detail: "Wait.", retry_after_ms: 20_000 })
        : null;
    let found: boolean | null = null;
    void conversation.reveal(messageKey({ id: id(0), from: BOB })).then((ok) => (found = ok));
    await house.pass(10_000);
    expect([asked, found]).toEqual([1, null]);
    expect(conversation.timeline.get()).toMatchObject({ loadingOlder: true, problem: null });
    await house.pass(200_000);
    expect(found).toBe(true);
    expect(conversation.timeline.get()).toMatchObject({ loadingOlder: false, problem: null });
    expect(conversation.timeline.get().items.map((m) => m.body)).toEqual(
      Array.from({ length: 400 }, (_, n) => `message ${n}`),
    );
    expect(asked).toBe(10); // five pages, each of them refused once
  });

  test("keep drafts per conversation over a restart, and clear them when the message is sent", async () => {
    const browser = new FakeBrowser();
    const house = new Household();
    const alice = await house.user(ALICE, browser);
    const conversation = alice.chat().conversation(BOB);
    conversation.setDraft("Dear Bo", null);
    await house.pass(50);
    conversation.setDraft("Dear Bob", null);
    await house.pass(400);
    expect(alice.chat().conversations.get().items).toMatchObject([{ draft: "Dear Bob", preview: null }]);
    alice.platform.kill();
    const again = await house.tab(browser);
    await house.pass(10);
    const reopened = again.chat().conversation(BOB);
    await house.pass(10);
    expect(reopened.draft.get().text).toBe("Dear Bob");
    await reopened.send("Dear Bob, hello");
    expect(reopened.draft.get().text).toBe("");
    await house.pass(500);
    expect(again.chat().conversations.get().items).toMatchObject([{ draft: "", preview: { body: "Dear Bob, hello" } }]);
  });

  test("learn that a message cannot be sent before it is stored", async () => {
    const { alice } = await two();
    const conversation = alice.chat().conversation(BOB);
    expect(await conversation.send(" \n\t ")).toMatchObject({ ok: false, problem: { code: "body_empty" } });
    expect(await conversation.send("x".repeat(8_001))).toMatchObject({ ok: false, problem: { code: "body_too_long" } });
    expect((await conversation.send("😀".repeat(8_000))).ok).toBe(true);
    // Control characters in pasted text are removed. They do not cause a refusal.
    expect((await conversation.send("a\u0007b\ud800")).ok).toBe(true);
  });
});

describe("failures", () => {
  test("every tab uses the server's limits, also after a restart without a network", async () => {
    const house = new Household();
    house.server.limits = { ...house.server.limits, body: 5, watch: 1 };
    const browser = new FakeBrowser();
    const first = await house.user(ALICE, browser);
    const second = await house.tab(browser);
    await house.pass(1_000);
    const refused = { ok: false, problem: { code: "body_too_long" } };
    for (const tab of [first, second]) {
      expect(tab.chat().bodyLimit.get()).toBe(5);
      expect(await tab.chat().conversation(BOB).send("123456")).toMatchObject(refused);
      expect(await tab.chat().conversation(BOB).send("12345")).toMatchObject({ ok: true });
    }
    const off = [BOB, "carolUid00003"].map((uid) =>
      first
        .chat()
        .presence(uid)
        .subscribe(() => undefined),
    );
    await house.pass(1_000);
    expect(house.server.watchedBy(ALICE)).toEqual(["carolUid00003"]);
    for (const end of off) end();

    // A later server raises the limit. Clients learn it from the next welcome.
    house.server.limits = { ...house.server.limits, body: 6 };
    house.server.drop(ALICE);
    await house.pass(2_000);
    for (const tab of [first, second]) expect(tab.chat().bodyLimit.get()).toBe(6);

    first.platform.kill();
    second.platform.kill();
    house.setOnline(false);
    const again = await house.tab(browser);
    await house.pass(100);
    expect(again.chat().bodyLimit.get()).toBe(6);
  });

  test("gaps under 5 s are not shown; during longer ones messages wait", async () => {
    const { house, alice } = await two();
    const states: string[] = [];
    alice.chat().connection.subscribe((c) => states.push(c.state));
    house.server.drop(ALICE);
    await house.pass(2_000);
    expect(states).toEqual(["online", "connecting", "online"]);
    house.setOnline(false);
    await house.pass(4_900);
    expect(alice.chat().connection.get().state).toBe("connecting");
    await house.pass(200);
    expect(alice.chat().connection.get().state).toBe("offline");
    const conversation = alice.chat().conversation(BOB);
    await conversation.send("later");
    await house.pass(60_000);
    expect(alice.chat().waitingTotal.get()).toBe(1);
    expect(conversation.timeline.get().items.map((m) => m.state)).toEqual(["waiting"]);
    house.setOnline(true);
    alice.chat().tryNow();
    await house.pass(600);
    expect(alice.chat().connection.get().state).toBe("online");
    expect(alice.chat().waitingTotal.get()).toBe(0);
    await house.pass(40_000);
    expect(conversation.timeline.get().items.map((m) => m.state)).toEqual(["delivered"]);
  });

  test("the banner appears 5 s after the last sign of life, however the gap was noticed", async () => {
    const { house, alice } = await two();
    const status = (): string => alice.chat().connection.get().state;
    // The browser reports that the network is gone. The socket reports nothing.
    house.server.mute(ALICE);
    house.online = false;
    alice.platform.setOnline(false);
    await house.pass(4_990);
    expect(status()).toBe("connecting");
    await house.pass(20);
    expect(status()).toBe("offline");
    house.online = true;
    alice.platform.setOnline(true);
    await house.pass(1_000);
    expect(status()).toBe("online");

    // Nothing reports a problem. A link that is quiet for a minute is tested, which takes 5 s. If the first new attempt
    // succeeds at once, no banner appears.
    await house.pass(30_000);
    house.server.mute(ALICE);
    alice.platform.setVisible(true); // the tab becomes visible, which tests the link
    const states: string[] = [];
    const end = alice.chat().connection.subscribe((c) => states.push(c.state));
    await house.pass(5_600);
    expect(states).toEqual(["online", "connecting", "online"]);
    end();
    house.server.mute(ALICE);
    house.online = false;
    alice.platform.setVisible(true);
    await house.pass(5_490);
    expect(status()).toBe("connecting");
    await house.pass(20);
    expect(status()).toBe("offline");
    expect(house.server.faults).toEqual([]);
  });

  test("a device whose clock is a day off shows and sends correct times", async () => {
    for (const skew of [86_400_000, -86_400_000]) {
      const house = new Household();
      const bob = await house.user(BOB);
      const browser = new FakeBrowser();
      const alice = await house.tab(browser);
      alice.platform.skew = skew;
      house.server.archive.directory.set(ALICE, { uid: ALICE, username: "alice", display_name: "Alice" });
      await alice.app.signIn(`${ALICE}@example.org`, "correct horse");
      await house.pass(1_000);
      expect(alice.chat().clockOffset.get()).toBeCloseTo(-skew, -2);
      await bob.chat().conversation(ALICE).send("one");
      await house.pass(500);
      const conversation = alice.chat().conversation(BOB);
      await conversation.send("two");
      await house.pass(500);
      for (const side of [conversation, bob.chat().conversation(ALICE)]) {
        await house.pass(100);
        const { items } = side.timeline.get();
        expect(items.map((m) => [m.body, m.acceptedTime])).toEqual([
          ["one", null],
          ["two", null],
        ]);
        for (const m of items) expect(Math.abs(m.time - house.clock.now())).toBeLessThan(5_000);
      }
      const presence = alice.chat().presence(BOB);
      const end = presence.subscribe(() => undefined);
      await house.pass(1_000);
      bob.platform.kill();
      await house.pass(1_000);
      expect(presence.get().online).toBe(false);
      expect(Math.abs((presence.get().lastSeen ?? 0) - house.clock.now())).toBeLessThan(5_000);
      end();

      // Typed offline after a restart. The clock offset learned earlier still applies, and the lifetime of the token is
      // not a day off.
      const sockets = alice.platform.opened.length;
      await house.pass(30 * 60_000);
      expect(alice.platform.opened.length).toBe(sockets);
      alice.platform.kill();
      house.setOnline(false);
      const again = await house.tab(browser);
      again.platform.skew = skew;
      await house.pass(1_000);
      await again.chat().conversation(BOB).send("three");
      await house.pass(100);
      const three = again.chat().conversation(BOB);
      await house.pass(100);
      expect(Math.abs((three.timeline.get().items.at(-1)?.time ?? 0) - house.clock.now())).toBeLessThan(5_000);
    }
  });

  test("the line above new messages goes when the user answers, and follows what other devices read", async () => {
    const { house, alice, bob } = await two();
    const toBob = alice.chat().conversation(BOB);
    const keys: string[] = [];
    for (const body of ["one", "two", "three"]) {
      const sent = await toBob.send(body);
      if (sent.ok) keys.push(sent.value);
      await house.pass(500);
    }
    const other = await house.user(BOB);
    const toAlice = bob.chat().conversation(ALICE);
    const onOther = other.chat().conversation(ALICE);
    await house.pass(500);
    expect(toAlice.timeline.get().firstUnread).toBe(keys[0]);
    onOther.markRead(keys[1] ?? "");
    await house.pass(500);
    expect(toAlice.timeline.get().firstUnread).toBe(keys[2]);
    // What is read here does not move it.
    toAlice.markRead(keys[2] ?? "");
    await house.pass(500);
    expect(toAlice.timeline.get().firstUnread).toBe(keys[2]);
    expect(onOther.timeline.get().firstUnread).toBeNull();

    await toAlice.send("an answer");
    await house.pass(0);
    expect(toAlice.timeline.get().firstUnread).toBeNull();
    await toBob.send("four");
    await house.pass(500);
    expect(toAlice.timeline.get()).toMatchObject({ items: { length: 5 }, firstUnread: null });
  });

  test("without storage the chat works until the tab is closed, and reports that", async () => {
    const house = new Household();
    const bob = await house.user(BOB);
    const alice = await house.user(ALICE, new FakeBrowser(), {
      open: () => Promise.reject(new StorageLost("denied")),
    });
    expect(alice.chat().storage.get()).toBe("memory");
    await alice.chat().conversation(BOB).send("from memory");
    await house.pass(500);
    expect(bob.chat().conversations.get().items[0]?.preview?.body).toBe("from memory");
  });

  test.each(["at the first transaction", "later"])(
    "if storage stops answering %s, the chat goes on in memory, and other tabs have a leader",
    async (when) => {
      const house = new Household();
      const bob = await house.user(BOB);
      let silent = when !== "later";
      const browser = new FakeBrowser();
      const disk = new MemoryDisk(SHAPE);
      const open = async (): Promise<Database> => {
        const db = new MemoryDatabase(disk);
        const answer = <T>(run: () => Promise<T>): Promise<T> =>
          silent ? Promise.reject(new StorageSilent("no answer")) : run();
        return {
          durable: true,
          read: (stores, body) => answer(() => db.read(stores, body)),
          write: (stores, body) => answer(() => db.write(stores, body)),
          onLost: () => undefined,
          close: () => db.close(),
        };
      };
      const alice = await house.user(ALICE, browser, { open });
      // A second tab, whose storage works.
      const second = await house.tab(browser);
      await house.pass(1_000);
      await bob.chat().conversation(ALICE).send("before");
      await house.pass(1_000);
      const conversation = alice.chat().conversation(BOB);
      await house.pass(100);
      silent = true;
      await bob.chat().conversation(ALICE).send("while it is silent");
      expect((await conversation.send("an answer")).ok).toBe(true);
      await house.pass(2_000);
      expect(alice.chat().storage.get()).toBe("memory");
      const all = ["before", "while it is silent", "an answer"];
      expect(new Set(conversation.timeline.get().items.map((m) => m.body))).toEqual(new Set(all));
      expect(alice.chat().conversations.get().items).toMatchObject([{ user: { uid: BOB } }]);
      // Both tabs are connected, each on its own.
      for (const tab of [alice, second]) expect(tab.platform.opened.map((s) => s.state)).toEqual(["open"]);
      expect(second.chat().storage.get()).toBe("durable");
      expect(new Set([...house.server.archive.saved.values()].map((m) => m.body))).toEqual(new Set(all));
    },
  );

  test("on a full disk, if the code for it cannot be loaded, nothing is accepted and nothing is lost", async () => {
    const house = new Household();
    const alice = await house.user(ALICE, new FakeBrowser(), { overlays: false });
    const bob = await house.user(BOB);
    const conversation = alice.chat().conversation(BOB);
    await house.pass(100);
    alice.platform.full = true;
    conversation.setDraft("important", null);
    expect(await conversation.send("important")).toMatchObject({ ok: false, problem: { code: "storage_full" } });
    expect(conversation.draft.get().text).toBe("important");
    expect(alice.chat().storage.get()).toBe("full");
    await bob.chat().conversation(ALICE).send("while full");
    await house.pass(3_000);
    // The message is not stored, so it is not acknowledged and stays on the server.
    expect(house.server.archive.saved.size).toBe(0);
    alice.platform.full = false;
    await house.pass(60_000);
    expect(house.server.archive.saved.size).toBe(1);
    expect(conversation.timeline.get().items.map((m) => m.body)).toEqual(["while full"]);
    expect(alice.chat().storage.get()).toBe("durable");
  });

  test("a malformed answer for history leaves the stored messages on screen", async () => {
    const { house, alice, bob } = await two();
    await bob.chat().conversation(ALICE).send("hello");
    await house.pass(500);
    alice.platform.answer = async () => ({
      status: 200,
      header: () => null,
      body: '{"conversations":7,"messages":[{"id":1}],"users":"x"}',
    });
    const conversation = alice.chat().conversation(BOB);
    await house.pass(100);
    expect(conversation.timeline.get().items.map((m) => m.body)).toEqual(["hello"]);
    await conversation.loadOlder();
    expect((await alice.chat().exportData()).ok).toBe(true);
    alice.platform.answer = async () => ({ status: 502, header: () => null, body: "<html>" });
    expect(await alice.chat().updateProfile({ displayName: "Al" })).toMatchObject({
      ok: false,
      problem: { code: "unavailable" },
    });
  });
});
