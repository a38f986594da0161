import { describe, expect, test } from "vitest";
import { StorageLost } from "../../platform/database";
import { FakeBrowser } from "../../platform/testing/fake";
import { Household, type Tab } from "../testing/household";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";

async function two(): Promise<{ house: Household; alice: Tab; bob: Tab }> {
  const house = new Household();
  const alice = await house.person(ALICE);
  const bob = await house.person(BOB);
  return { house, alice, bob };
}

describe("two people", () => {
  test("write, read and see where messages are", async () => {
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

    // A stranger's first message shows without a reload, by name.
    const [line] = bob.chat().conversations.get().items;
    expect(line).toMatchObject({
      unread: 1,
      preview: { body: "Are you there?\nIt is late.", mine: false },
      person: { displayName: "alice" },
    });
    expect(bob.chat().unreadTotal.get()).toBe(1);

    const toAlice = bob.chat().conversation(ALICE);
    await house.pass(200);
    const [message] = toAlice.timeline.get().items;
    if (!message) throw new Error("no message");
    expect(toAlice.timeline.get().firstUnread).toBe(message.id);
    expect(message.state).toBe("delivered");
    toAlice.markRead(message.id);
    await house.pass(1_000);
    expect(bob.chat().unreadTotal.get()).toBe(0);
    expect(toAlice.unread.get()).toBe(0);
    expect(toBob.timeline.get().items[0]?.state).toBe("read");
    // The line of new messages stays while the conversation is open.
    expect(toAlice.timeline.get().firstUnread).toBe(message.id);

    const answered = await toAlice.send("Yes", message.id);
    await house.pass(500);
    const answer = toBob.timeline.get().items[1];
    expect(answer).toMatchObject({
      body: "Yes",
      mine: false,
      quote: { id: message.id, mine: true, body: "Are you there?\nIt is late." },
    });
    expect(answered).toEqual({ ok: true, value: answer?.id });
    expect(alice.chat().conversations.get().items[0]?.preview?.body).toBe("Yes");
    expect(house.server.faults).toEqual([]);
  });

  test("see who is there and who types", async () => {
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
    // A message ends the typing at once.
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
      house.server.archive.people.set(`p${i}`, {
        uid: `p${i}`,
        username: `p${String(i).padStart(3, "0")}`,
        display_name: `Person ${i}`,
      });
    }
    const before = house.server.archive.requests;
    const search = alice.chat().directory();
    expect(search.people.get()).toMatchObject({ loading: true, items: [] });
    for (const q of ["p", "p0", "p00"]) {
      search.search(q);
      await house.pass(50);
    }
    await house.pass(300);
    expect(house.server.archive.requests - before).toBe(1);
    expect(search.people.get().items.map((p) => p.username)).toEqual(Array.from({ length: 10 }, (_, i) => `p00${i}`));
    search.search("");
    await house.pass(300);
    expect(search.people.get()).toMatchObject({ more: true });
    search.more();
    search.more();
    await house.pass(0);
    search.more();
    await house.pass(0);
    const all = search.people.get();
    expect(all.items.length).toBe(121);
    expect(new Set(all.items.map((p) => p.uid)).size).toBe(121);
    expect(all.items.some((p) => p.uid === ALICE)).toBe(false);
    house.server.archive.down = true;
    search.search("x");
    await house.pass(300);
    expect(search.people.get()).toMatchObject({ loading: false, problem: { code: "unavailable" } });
    house.server.archive.down = false;
    search.retry();
    await house.pass(0);
    expect(search.people.get()).toMatchObject({ loading: false, problem: null, items: [] });
    expect(await alice.chat().personByUsername(BOB.toLowerCase())).toMatchObject({ ok: true, value: { uid: BOB } });
    expect(await alice.chat().personByUsername("nobody")).toMatchObject({ ok: false, problem: { code: "not_found" } });
  });

  test("a refused message is shown with its reason, and can be sent again or removed", async () => {
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
    await toBob.remove(two_?.id ?? "");
    await house.pass(500);
    expect(toBob.timeline.get().items.map((m) => [m.id, m.body, m.state])).toEqual([
      [again.ok && again.value, "one", "delivered"],
    ]);
    expect(await toBob.retry("nothing")).toMatchObject({ ok: false, problem: { code: "message_gone" } });
  });

  test("an account that is gone is known by its refusal or by a look at it, and its history stays", async () => {
    const { house, alice, bob } = await two();
    await bob.chat().conversation(ALICE).send("before I left");
    await house.pass(500);
    const talk = alice.chat().conversation(BOB);
    await house.pass(500);
    expect(talk.person.get()).toMatchObject({ displayName: "bob", deleted: false });
    // Bob leaves; Alice's tab learns of it by what she sends.
    house.server.archive.people.delete(BOB);
    house.server.refuse = () => "recipient_unknown";
    await talk.send("are you there?");
    await house.pass(1_000);
    expect(talk.person.get()).toEqual({ uid: BOB, username: BOB.toLowerCase(), displayName: "bob", deleted: true });
    expect(alice.chat().conversations.get().items[0]?.person.deleted).toBe(true);
    expect(talk.timeline.get().items.map((m) => [m.body, m.state, m.refusal?.code])).toEqual([
      ["before I left", "delivered", undefined],
      ["are you there?", "refused", "recipient_unknown"],
    ]);
    // What only looked so is taken back when the server shows them again.
    house.server.archive.people.set(BOB, { uid: BOB, username: "bob", display_name: "Bob" });
    await house.pass(60_000);
    alice.chat().conversation(BOB).close();
    await house.pass(1_000);
    expect(talk.person.get()).toEqual({ uid: BOB, username: "bob", displayName: "Bob", deleted: false });
  });

  test("long histories load by the page, in order, up to the beginning; a quoted message is found", async () => {
    const house = new Household();
    const alice = await house.person(ALICE);
    const id = (n: number): string =>
      `019abd70-${n.toString(16).padStart(4, "0")}-7000-8000-${n.toString(16).padStart(12, "0")}`;
    const saved = Array.from({ length: 730 }, (_, n) => ({
      id: id(n),
      conversation: `${ALICE}~${BOB}`,
      from: n % 3 ? BOB : ALICE,
      to: n % 3 ? ALICE : BOB,
      body: `message ${n}`,
      at: 1_795_000_000_000_000 + n * 1_000_000,
      accepted_at: 1_795_000_000_000_000 + n * 1_000_000,
      delivered_at: 1_795_000_000_000_000 + n * 1_000_000,
      ...(n === 729 ? { reply_to: id(3) } : {}),
    }));
    house.server.archive.save(saved);
    house.server.archive.read(`${ALICE}~${BOB}`, ALICE, 1_795_000_000_000_000 + 720 * 1_000_000);
    await alice.chat().signOut();
    const again = await house.person(ALICE);
    expect(again.chat().conversations.get().items[0]).toMatchObject({ unread: 6, preview: { body: "message 729" } });
    const talk = again.chat().conversation(BOB);
    await house.pass(100);
    const first = talk.timeline.get();
    expect(first.items[first.items.length - 1]).toMatchObject({
      body: "message 729",
      quote: { id: id(3), body: null },
    });
    expect(first.firstUnread).toBe(id(721));
    expect(first.complete).toBe(false);
    const old = first.items[10];
    await talk.loadOlder();
    const second = talk.timeline.get();
    expect(second.items.length).toBeGreaterThan(first.items.length);
    expect(second.items).toContain(old);
    expect(await talk.reveal(id(3))).toBe(true);
    expect(talk.timeline.get().items.at(-1)?.quote).toEqual({ id: id(3), mine: true, body: "message 3" });
    while (!talk.timeline.get().complete) await talk.loadOlder();
    expect(talk.timeline.get().items.map((m) => m.body)).toEqual(saved.map((m) => m.body));
    expect(await talk.reveal("nowhere")).toBe(false);
  });

  test("drafts are kept per conversation, over a restart, and go with the message", async () => {
    const browser = new FakeBrowser();
    const house = new Household();
    const alice = await house.person(ALICE, browser);
    const talk = alice.chat().conversation(BOB);
    talk.setDraft("Dear Bo", null);
    await house.pass(50);
    talk.setDraft("Dear Bob", null);
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

  test("what cannot be sent is said before it is taken", async () => {
    const { alice } = await two();
    const talk = alice.chat().conversation(BOB);
    expect(await talk.send(" \n\t ")).toMatchObject({ ok: false, problem: { code: "body_empty" } });
    expect(await talk.send("x".repeat(8_001))).toMatchObject({ ok: false, problem: { code: "body_too_long" } });
    expect((await talk.send("😀".repeat(8_000))).ok).toBe(true);
    // Control characters of a paste are dropped, not refused.
    expect((await talk.send("a\u0007b\ud800")).ok).toBe(true);
  });
});

describe("trouble", () => {
  test("the limits are the server's: in every tab, and after a restart without a network", async () => {
    const house = new Household();
    house.server.limits = { ...house.server.limits, body: 5, watch: 1 };
    const browser = new FakeBrowser();
    const first = await house.person(ALICE, browser);
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

    // Raised by a later server: heard at the next welcome.
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

  test("gaps under 5 s show nothing; longer ones say so, and messages wait", async () => {
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
    const talk = alice.chat().conversation(BOB);
    await talk.send("later");
    await house.pass(60_000);
    expect(alice.chat().waitingTotal.get()).toBe(1);
    expect(talk.timeline.get().items.map((m) => m.state)).toEqual(["waiting"]);
    house.setOnline(true);
    alice.chat().tryNow();
    await house.pass(600);
    expect(alice.chat().connection.get().state).toBe("online");
    expect(alice.chat().waitingTotal.get()).toBe(0);
    await house.pass(40_000);
    expect(talk.timeline.get().items.map((m) => m.state)).toEqual(["delivered"]);
  });

  test("the word of a gap comes 5 s after the last sign of life, however it was noticed", async () => {
    const { house, alice } = await two();
    const status = (): string => alice.chat().connection.get().state;
    // The browser says that the network is gone; the socket says nothing.
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

    // Nobody says anything: a link that is quiet for a minute is tested, which takes 5 s; a first try at once may still save the word.
    await house.pass(30_000);
    house.server.mute(ALICE);
    alice.platform.setVisible(true); // somebody looks, and the link is tested
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

  test("a clock that is wrong by a day shows and sends right times", async () => {
    for (const skew of [86_400_000, -86_400_000]) {
      const house = new Household();
      const bob = await house.person(BOB);
      const browser = new FakeBrowser();
      const alice = await house.tab(browser);
      alice.platform.skew = skew;
      house.server.archive.people.set(ALICE, { uid: ALICE, username: "alice", display_name: "Alice" });
      await alice.app.signIn(`${ALICE}@example.org`, "correct horse");
      await house.pass(1_000);
      expect(alice.chat().clockOffset.get()).toBeCloseTo(-skew, -2);
      await bob.chat().conversation(ALICE).send("one");
      await house.pass(500);
      const talk = alice.chat().conversation(BOB);
      await talk.send("two");
      await house.pass(500);
      for (const conversation of [talk, bob.chat().conversation(ALICE)]) {
        await house.pass(100);
        const { items } = conversation.timeline.get();
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

      // Typed without a network after a restart: what was learned of the clock then still holds, and the token's hour is no day off.
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

  test("without storage the chat works as long as the tab, and says so", async () => {
    const house = new Household();
    const bob = await house.person(BOB);
    const alice = await house.person(ALICE, new FakeBrowser(), {
      open: () => Promise.reject(new StorageLost("denied")),
    });
    expect(alice.chat().storage.get()).toBe("memory");
    await alice.chat().conversation(BOB).send("from memory");
    await house.pass(500);
    expect(bob.chat().conversations.get().items[0]?.preview?.body).toBe("from memory");
  });

  test("a full disk takes no message silently, and loses none that came", async () => {
    const { house, alice, bob } = await two();
    const talk = alice.chat().conversation(BOB);
    await house.pass(100);
    alice.platform.full = true;
    talk.setDraft("important", null);
    expect(await talk.send("important")).toMatchObject({ ok: false, problem: { code: "storage_full" } });
    expect(talk.draft.get().text).toBe("important");
    expect(alice.chat().storage.get()).toBe("full");
    await bob.chat().conversation(ALICE).send("while full");
    await house.pass(3_000);
    // Not stored, so not acknowledged: it waits on the server.
    expect(house.server.archive.saved.size).toBe(0);
    alice.platform.full = false;
    await house.pass(60_000);
    expect(house.server.archive.saved.size).toBe(1);
    expect(talk.timeline.get().items.map((m) => m.body)).toEqual(["while full"]);
    expect(alice.chat().storage.get()).toBe("durable");
  });

  test("a server that answers history with nonsense shows what is here", async () => {
    const { house, alice, bob } = await two();
    await bob.chat().conversation(ALICE).send("hello");
    await house.pass(500);
    alice.platform.answer = async () => ({
      status: 200,
      header: () => null,
      body: '{"conversations":7,"messages":[{"id":1}],"users":"x"}',
    });
    const talk = alice.chat().conversation(BOB);
    await house.pass(100);
    expect(talk.timeline.get().items.map((m) => m.body)).toEqual(["hello"]);
    await talk.loadOlder();
    expect((await alice.chat().exportData()).ok).toBe(true);
    alice.platform.answer = async () => ({ status: 502, header: () => null, body: "<html>" });
    expect(await alice.chat().updateProfile({ displayName: "Al" })).toMatchObject({
      ok: false,
      problem: { code: "unavailable" },
    });
  });
});
