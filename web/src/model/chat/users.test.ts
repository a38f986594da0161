import { expect, test } from "vitest";
import type { PublicUser } from "../../net/archive";
import { FakeClock } from "../../platform/testing/clock";
import { settle } from "../../platform/testing/fake";
import { Users, type UsersParts } from "./users";

const BOB = "bobUid0002";

/** The names of others, on a device where Bob's were loaded just now. */
function device() {
  const clock = new FakeClock(1_795_348_800_000, settle);
  const loaded = clock.now();
  const asked: string[] = [];
  const tx = { user: async () => ({ uid: BOB, username: "bob", displayName: "Bob", loadedAt: loaded }) };
  const parts = {
    platform: { clock, random: { unit: () => 0.5 }, report: () => undefined },
    store: {
      onChange: () => () => undefined,
      read: async (run: (t: typeof tx) => unknown) => run(tx),
      write: async () => undefined,
    },
    archive: {
      user: async (uid: string): Promise<PublicUser> => {
        asked.push(uid);
        return { uid, username: "bob", displayName: "Robert", deleted: false, admin: false };
      },
      usersOf: async () => [],
    },
    context: () => ({}),
  };
  return { clock, asked, users: new Users(parts as unknown as UsersParts) };
}

test("a new profile is loaded soon, also a second one at once, and later if nobody looks at the page", async () => {
  const { clock, asked, users } = device();
  users.show(BOB);
  await clock.advance(60_000);
  expect(asked).toEqual([]); // the names are recent

  for (let n = 1; n <= 2; n++) {
    users.changed(BOB, true);
    await clock.advance(2_000);
    expect(asked).toHaveLength(n);
  }

  users.changed(BOB, false);
  await clock.advance(60_000);
  expect(asked).toHaveLength(2);
  users.show(BOB);
  await clock.advance(2_000);
  expect(asked).toHaveLength(3);
  users.stop();
});
