/** How many requests a new device needs. Each costs a round trip, and the reading of the caller's record. */
import { expect, test } from "vitest";
import { FakeBrowser } from "../platform/testing/fake";
import { json } from "./testing/archive";
import { Household } from "./testing/household";
import { id } from "./testing/stage";

const ME = "meUid0000001";
const OTHERS = 15;
const EACH = 8;

const writer = (n: number): string => `writer${String(n).padStart(6, "0")}`;
/** The user has pinned the conversation with the first writer, which is the last one otherwise. */
const PINNED = writer(0);

/** Lets everybody write to ME, in a household that counts the requests of ME. */
async function written(): Promise<{ house: Household; requests: string[] }> {
  const house = new Household();
  house.server.archive.directory.set(ME, { uid: ME, username: "me", display_name: "Me" });
  for (let n = 0; n < OTHERS; n++) {
    const other = await house.user(writer(n));
    for (let i = 0; i < EACH; i++) {
      await other.chat().conversation(ME).send(`message ${i}`);
      await house.pass(100);
    }
    other.platform.kill();
  }
  const requests: string[] = [];
  house.server.archive.before = (uid, { method }, path) => {
    if (uid === ME && method === "GET") requests.push(path);
    return path === "/api/me/settings" ? json(503, { code: "unavailable", detail: "Later." }) : null;
  };
  const pin = { conversation: `${ME}~${PINNED}`, kind: "pin", value: 1, at: 1, id: id(1) };
  await house.server.archive.answer(ME, {
    method: "PUT",
    url: "https://chat.test/api/me/setting",
    headers: {},
    body: JSON.stringify(pin),
    timeoutMs: 1_000,
  });
  return { house, requests };
}

test.each(["are saved", "still wait for the user"])(
  "a new device has the list and the newest messages after 4 requests, if they %s",
  async (state) => {
    const { house, requests } = await written();
    if (state === "are saved") {
      // An older device has acknowledged them.
      (await house.user(ME, new FakeBrowser())).platform.kill();
      await house.pass(60_000);
      expect(house.server.archive.saved.size).toBe(OTHERS * EACH);
    }
    requests.length = 0;
    const me = await house.user(ME, new FakeBrowser());
    const { items } = me.chat().conversations.get();
    const newestFirst = Array.from({ length: OTHERS - 1 }, (_, n) => writer(OTHERS - 1 - n));
    expect(items.map(({ user, preview, unread }) => [user.uid, user.displayName, preview?.body, unread])).toEqual(
      [PINNED, ...newestFirst].map((uid) => [uid, "writer", `message ${EACH - 1}`, EACH]),
    );
    // The fifth is for the stars, and for the settings of conversations that are not on the first page.
    expect(requests.indexOf("/api/me/settings")).toBeLessThanOrEqual(4);
    expect(requests).toContain("/api/me/settings");
    me.platform.answer = null;
    for (let n = 0; n < OTHERS; n++) {
      const conversation = me.chat().conversation(writer(n));
      await house.pass(100);
      expect(conversation.timeline.get().items.map(({ body }) => body)).toEqual(
        Array.from({ length: EACH }, (_, i) => `message ${i}`),
      );
    }
  },
);
