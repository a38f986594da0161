import { describe, expect, test } from "vitest";
import { FakeBrowser } from "../../platform/testing/fake";
import { Household } from "../testing/household";
import { lateDrafts } from "./lateDrafts";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";

describe("a draft", () => {
  test("that was typed just before a reload, or before a link was followed, is there afterwards", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const alice = await house.user(ALICE, browser);
    await house.user(BOB);
    const before = alice.chat().conversation(BOB);
    before.setDraft("Dear Bo", null);
    await house.pass(1_000);
    before.setDraft("Dear Bob, and so on", null);
    alice.platform.leave();
    const reloaded = await house.tab(browser);
    const after = reloaded.chat().conversation(BOB);
    await house.pass(100);
    expect(after.draft.get().text).toBe("Dear Bob, and so on");
    // It is stored, and the note is gone.
    await house.pass(1_000);
    expect(browser.notes.has(lateDrafts(ALICE))).toBe(false);
    reloaded.platform.kill();
    const again = (await house.tab(browser)).chat().conversation(BOB);
    await house.pass(100);
    expect(again.draft.get().text).toBe("Dear Bob, and so on");
  });

  test("that was being sent when the page was left is a message or a draft, and never both or neither", async () => {
    for (let turns = 0; turns < 40; turns++) {
      const house = new Household();
      const browser = new FakeBrowser();
      const alice = await house.user(ALICE, browser);
      await house.user(BOB);
      const before = alice.chat().conversation(BOB);
      before.setDraft("Off it goes", null);
      await house.pass(500);
      void before.send("Off it goes");
      for (let n = 0; n < turns; n++) await Promise.resolve();
      alice.platform.leave();
      const after = (await house.tab(browser)).chat().conversation(BOB);
      await house.pass(1_000);
      const sent = after.timeline.get().items.map((m) => m.body);
      expect([...sent, after.draft.get().text].filter((text) => text !== "")).toEqual(["Off it goes"]);
    }
  });

  test("of another tab that is newer counts more than what was noted", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const alice = await house.user(ALICE, browser);
    const other = await house.tab(browser);
    alice.chat().conversation(BOB).setDraft("older", null);
    alice.platform.leave();
    await house.pass(1_000);
    const kept = other.chat();
    kept.conversation(BOB).setDraft("newer", null);
    await house.pass(1_000);
    const third = (await house.tab(browser)).chat().conversation(BOB);
    await house.pass(100);
    expect(third.draft.get().text).toBe("newer");
  });

  test("of a page that was only hidden leaves no note", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const alice = await house.user(ALICE, browser);
    alice.chat().conversation(BOB).setDraft("hidden for a moment", null);
    alice.platform.setVisible(false);
    await house.pass(1_000);
    expect(browser.notes.has(lateDrafts(ALICE))).toBe(false);
  });

  test("that was noted is deleted at sign-out, in every tab", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const alice = await house.user(ALICE, browser);
    const other = await house.tab(browser);
    const gone = await house.tab(browser);
    gone.chat().conversation(BOB).setDraft("a secret", null);
    gone.platform.leave();
    expect(browser.notes.get(lateDrafts(ALICE))).toContain("a secret");
    other.chat().conversation(BOB).setDraft("another secret", null);
    await alice.chat().signOut();
    await house.pass(5_000);
    other.platform.leave();
    expect([...browser.notes.values()].join()).not.toContain("secret");
  });
});
