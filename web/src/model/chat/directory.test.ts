import { describe, expect, test } from "vitest";
import { json } from "../testing/archive";
import { Household } from "../testing/household";
import { Directory } from "./directory";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";
const CYD = "cydUid000003";

async function alone() {
  const house = new Household();
  const alice = await house.user(ALICE);
  const directory = new Directory(alice.chat().late);
  await house.pass(1_000);
  expect(directory.users.get()).toMatchObject({ items: [], loading: false });
  const { archive } = house.server;
  let asked = 0;
  archive.before = (_uid, _request, path) => {
    if (path === "/api/users") asked++;
    return null;
  };
  const join = (uid: string, name: string): void =>
    void archive.directory.set(uid, { uid, username: name.toLowerCase(), display_name: name });
  const names = (): string[] => directory.users.get().items.map((p) => p.displayName);
  return { house, browser: alice.platform, alice, directory, archive, join, names, asked: () => asked };
}

describe("the list of people", () => {
  test("shows who has joined within 30 s, or as soon as the page is looked at, and does not poll while it is hidden", async () => {
    const { house, browser, directory, join, names, asked } = await alone();
    join(BOB, "Bob");
    await house.pass(31_000);
    expect(names()).toEqual(["Bob"]);

    browser.setVisible(false);
    join(CYD, "Cyd");
    const before = asked();
    await house.pass(3_600_000);
    expect(asked()).toBe(before);
    const states = new Set<boolean>();
    directory.users.subscribe((list) => states.add(list.loading));
    browser.setVisible(true);
    browser.setFocused(true);
    await house.pass(1_000);
    expect(names()).toEqual(["Bob", "Cyd"]);
    expect(asked()).toBe(before + 1);
    expect([...states]).toEqual([false]); // the list does not flicker

    browser.setFocused(false);
    await house.pass(5_000);
    expect(asked()).toBe(before + 1);
    browser.setFocused(true);
    await house.pass(1_000);
    expect(asked()).toBe(before + 2);

    directory.close();
    await house.pass(3_600_000);
    expect(asked()).toBe(before + 2);
  });

  test("shows a stranger at once who has written", async () => {
    const { house, names, directory } = await alone();
    const bob = await house.user(BOB);
    await bob.chat().conversation(ALICE).send("hello");
    await house.pass(3_000);
    expect(names()).toEqual(["bob"]);
    directory.close();
  });

  test("keeps what it shows when it cannot be loaded again, and waits as long as the server asks", async () => {
    const { house, archive, directory, join, names } = await alone();
    join(BOB, "Bob");
    await house.pass(31_000);
    let refused = 0;
    archive.before = (_uid, _request, path) => {
      if (path !== "/api/users") return null;
      refused++;
      return json(429, { code: "rate_limited", detail: "x", retry_after_ms: 600_000 });
    };
    await house.pass(599_000);
    expect(refused).toBe(1);
    expect(directory.users.get()).toMatchObject({ problem: null, loading: false });
    expect(names()).toEqual(["Bob"]);
    directory.close();
  });

  test("does not move while more than one page is shown, and shows new names and pictures", async () => {
    const { house, alice, archive, browser, directory, join, names, asked } = await alone();
    for (let i = 0; i < 120; i++) join(`uid${i}`, `User ${String(i).padStart(3, "0")}`);
    await house.pass(31_000);
    directory.more();
    await house.pass(1_000);
    expect(names().length).toBe(100);
    const before = asked();
    browser.setVisible(false);
    browser.setVisible(true);
    await house.pass(60_000);
    expect(asked()).toBe(before);
    archive.directory.set("uid7", { uid: "uid7", username: "u7", display_name: "Renamed", picture: "v2" });
    await alice.chat().userByUsername("u7");
    await house.pass(1_000);
    expect(directory.users.get().items.find((p) => p.uid === "uid7")).toMatchObject({
      displayName: "Renamed",
      picture: "v2",
    });
    directory.close();
  });
});

test("names that are shown are loaded again when the window gets the focus, if they are older than 10 minutes", async () => {
  const { house, browser, alice, archive, join, directory } = await alone();
  directory.close();
  join(BOB, "Bob");
  alice
    .chat()
    .presence(BOB)
    .subscribe(() => undefined);
  const user = alice.chat().user(BOB);
  await house.pass(5_000);
  expect(user.get().displayName).toBe("Bob");
  join(BOB, "Robert");
  const before = archive.requests;
  const look = async (): Promise<void> => {
    browser.setFocused(false);
    browser.setFocused(true);
    await house.pass(1_000);
  };
  await look();
  expect(archive.requests).toBe(before);
  await house.pass(600_000);
  expect(user.get().displayName).toBe("Bob"); // nothing is polled
  await look();
  expect(user.get().displayName).toBe("Robert");
});
