import type { Page } from "@playwright/test";
import { composer, en, expectState, message, messages, open, send, signUp, state } from "./support/steps";
import { acquaint, expect, newUser, test } from "./support/test";

test("a reload before the confirmation arrives sends the message exactly once", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  await open(bob.page, ann);
  // The server has the message, and the page is reloaded before it learns of that.
  ann.sockets.mute((frame) => frame.type === "sent" || frame.type === "event");
  await send(ann.page, bob, "only once");
  await expect(message(bob.page, ann, "only once")).toBeVisible();
  await expectState(ann.page, bob, "only once", state.waiting);
  ann.sockets.mute(null);
  await ann.page.reload();
  await expectState(ann.page, bob, "only once", state.arrived);
  expect(new Set(ann.sockets.sent.filter((frame) => frame.type === "send").map((frame) => frame.id)).size).toBe(1);
  for (const [page, other] of [
    [ann.page, bob],
    [bob.page, ann],
  ] as const) {
    await page.reload();
    await expect(message(page, other, "only once")).toHaveCount(1);
    await expect(messages(page, other)).toHaveCount(1);
  }
});

test("a reload before the message is sent sends it afterwards, exactly once", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  await open(bob.page, ann);
  ann.sockets.hold((frame) => frame.type === "send");
  await send(ann.page, bob, "held up");
  await expect.poll(() => ann.sockets.held).toBe(1);
  await expectState(ann.page, bob, "held up", state.waiting);
  ann.sockets.drop();
  await ann.page.reload();
  await expectState(ann.page, bob, "held up", state.arrived);
  await expect(message(bob.page, ann, "held up")).toHaveCount(1);
  await expect(messages(bob.page, ann)).toHaveCount(1);
});

test("a reload right after Enter keeps the message or its draft", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  await open(bob.page, ann);
  for (const body of ["first breath", "second breath", "third breath"]) {
    const box = composer(ann.page, bob);
    await box.fill(body);
    await expect.poll(() => storedDraft(ann.page)).toBe(body); // stored when the typing pauses
    await box.press("Enter");
    await ann.page.reload();
    await expect(box).toBeVisible();
    // Either the message is stored and sent, or the draft is still there; never both.
    await expect
      .poll(async () => (await message(ann.page, bob, body).count()) + Number((await box.inputValue()) === body))
      .toBe(1);
    if ((await box.inputValue()) === body) await box.press("Enter");
    await expectState(ann.page, bob, body, state.arrived);
    await expect(message(bob.page, ann, body)).toHaveCount(1);
  }
  await expect(messages(bob.page, ann)).toHaveCount(3);
});

test("several messages that are sent again after a lost connection arrive once and in order", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  await open(bob.page, ann);
  await bob.sockets.offline(bob.context);
  const bodies = ["one", "two", "three", "four"];
  for (const body of bodies) await send(ann.page, bob, body);
  await expectState(ann.page, bob, "four", state.sent);
  const ids = (): (string | undefined)[] => ann.sockets.sent.filter((f) => f.type === "send").map((f) => f.id);
  const first = ids();
  expect(first.length).toBe(bodies.length);
  await ann.sockets.cut();
  await expect.poll(() => ids().slice(first.length)).toEqual(first);
  await bob.sockets.online(bob.context);
  await expect(messages(bob.page, ann)).toContainText(bodies);
  await expect(messages(bob.page, ann)).toHaveCount(bodies.length);
  await expectState(ann.page, bob, "four", state.arrived);
});

/** Returns the draft that the device has stored. */
async function storedDraft(page: Page): Promise<string | null> {
  return page.evaluate(async () => {
    const name = (await indexedDB.databases()).map((d) => d.name ?? "").find((n) => n.startsWith("phoenix:"));
    if (name === undefined) return null;
    const db = await new Promise<IDBDatabase>((resolve, reject) => {
      const opening = indexedDB.open(name);
      opening.onsuccess = () => resolve(opening.result);
      opening.onerror = () => reject(opening.error);
    });
    const rows = await new Promise<{ text: string }[]>((resolve, reject) => {
      const reading = db.transaction("drafts").objectStore("drafts").getAll();
      reading.onsuccess = () => resolve(reading.result);
      reading.onerror = () => reject(reading.error);
    });
    db.close();
    return rows[0]?.text ?? null;
  });
}

/** Slows the network of the page down to that of a moving train: a round trip of 400 ms, 400 kbit/s. */
async function slowNetwork(page: Page): Promise<void> {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: 400,
    downloadThroughput: 50_000,
    uploadThroughput: 50_000,
  });
}

test("on a slow network a user can sign up, write and receive an answer", async ({ browser, baseURL, user }) => {
  const bob = await user("Bob");
  // A context of the fixtures would not do: its sockets pass through the test, so the network does not slow them down.
  const context = await browser.newContext(baseURL === undefined ? {} : { baseURL });
  const page = await context.newPage();
  await slowNetwork(page);
  const ann = newUser("Ann");
  await signUp(page, ann);
  await acquaint([bob], [ann]);
  await open(page, bob);
  await open(bob.page, ann);
  for (const body of ["one", "two", "three"]) await send(page, bob, body);
  await expect(messages(bob.page, ann)).toContainText(["one", "two", "three"]);
  await send(bob.page, ann, "an answer");
  await expect(message(page, bob, "an answer")).toBeVisible();
  await expectState(page, bob, "three", state.arrived);
  // A slow network is not reported as offline.
  await expect(page.getByText(en.connection.offline)).toBeHidden();
  await page.reload();
  await expect(messages(page, bob)).toContainText(["one", "two", "three", "an answer"]);
  await context.close();
});
