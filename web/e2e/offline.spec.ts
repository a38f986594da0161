import type { Page } from "@playwright/test";
import { createAccount } from "./support/accounts";
import { chatWith, conversation, en, expectState, message, messages, open, send, state } from "./support/steps";
import { backend, engines, expect, newUser, test } from "./support/test";

const story = ["one", "two", "three", "four", "five"];

test("a user who was offline receives every message in order", { tag: backend }, async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  await open(bob.page, ann);
  await send(ann.page, bob, "before");
  await expect(message(bob.page, ann, "before")).toBeVisible();
  await bob.sockets.offline(bob.context);
  for (const body of story) await send(ann.page, bob, body);
  await expectState(ann.page, bob, "five", state.sent);
  await expect(messages(bob.page, ann)).toHaveCount(1);
  await bob.sockets.online(bob.context);
  await expect(messages(bob.page, ann)).toContainText(["before", ...story]);
  await expect(messages(bob.page, ann)).toHaveCount(1 + story.length);
  await expectState(ann.page, bob, "five", state.arrived);
});

test("messages that were written offline are sent in order afterwards", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  await open(bob.page, ann);
  await ann.sockets.offline(ann.context);
  for (const body of story) await send(ann.page, bob, body);
  await expectState(ann.page, bob, "five", state.waiting);
  await ann.sockets.online(ann.context);
  await expect(messages(bob.page, ann)).toContainText(story);
  await expect(messages(bob.page, ann)).toHaveCount(story.length);
  await expectState(ann.page, bob, "five", state.arrived);
});

test("a message that was written offline survives closing the page", { tag: engines }, async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  await ann.sockets.offline(ann.context);
  await send(ann.page, bob, "kept on this device");
  await expectState(ann.page, bob, "kept on this device", state.waiting);
  await ann.page.close();
  await ann.sockets.online(ann.context);
  const page = await ann.context.newPage();
  await page.goto(`/c/${bob.username}`);
  await expectState(page, bob, "kept on this device", state.accepted);
  await open(bob.page, ann);
  await expect(message(bob.page, ann, "kept on this device")).toBeVisible();
  await expectState(page, bob, "kept on this device", state.arrived);
});

test("a user who had closed the page finds the messages later", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await bob.page.close();
  await open(ann.page, bob);
  for (const body of story) await send(ann.page, bob, body);
  await expectState(ann.page, bob, "five", state.sent);
  const page = await bob.context.newPage();
  await page.goto("/");
  await expect(chatWith(page, ann)).toContainText("five");
  await chatWith(page, ann).click();
  await expect(messages(page, ann)).toContainText(story);
  await expect(messages(page, ann)).toHaveCount(story.length);
});

test("a short interruption shows nothing, and duplicates nothing", { tag: engines }, async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  await open(bob.page, ann);
  await send(ann.page, bob, "before");
  await expectState(ann.page, bob, "before", state.arrived);
  const before = bob.sockets.opened;
  await bob.sockets.cut();
  await send(ann.page, bob, "after");
  await expect(message(bob.page, ann, "after")).toBeVisible();
  expect(bob.sockets.opened).toBeGreaterThan(before);
  await expect(bob.page.getByText(en.connection.offline)).toBeHidden();
  await expect(messages(bob.page, ann)).toHaveCount(2);
  const received = bob.sockets.received.filter((frame) => frame.type === "event" && frame.event?.type === "message");
  expect(new Set(received.map((frame) => frame.event?.id)).size).toBe(received.length);
});

test("a long interruption shows one line until it ends", async ({ user }) => {
  const [ann, bob] = [await user("Ann"), newUser("Bob")];
  await createAccount(bob);
  await open(ann.page, bob);
  await ann.sockets.offline(ann.context);
  await expect(ann.page.getByText(en.connection.offline)).toBeVisible({ timeout: 15_000 });
  await expect(conversation(ann.page, bob)).toContainText(en.conversation.noNetwork);
  await ann.sockets.online(ann.context);
  await expect(ann.page.getByText(en.connection.offline)).toBeHidden();
  await send(ann.page, bob, "back");
  await expectState(ann.page, bob, "back", state.sent);
});

test("a phone that changes networks again and again loses and repeats nothing", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  await open(bob.page, ann);
  const bodies: string[] = [];
  for (let n = 0; n < 8; n++) {
    const body = `message ${n}`;
    bodies.push(body);
    // The old network dies before the message is sent, or with its answer.
    if (n % 2 === 0) await ann.sockets.offline(ann.context);
    await send(ann.page, bob, body);
    if (n % 2 === 0) await ann.sockets.online(ann.context);
    else await ann.sockets.cut();
    if (n % 3 === 0) await expect(message(bob.page, ann, body)).toBeVisible();
  }
  await expect(messages(bob.page, ann)).toContainText(bodies);
  await expect(messages(bob.page, ann)).toHaveCount(bodies.length);
  await expectState(ann.page, bob, "message 7", state.arrived);
  await expect(messages(ann.page, bob)).toContainText(bodies);
});

/** Resolves once the storage of a page has done everything that it was asked for before. */
async function storageAnswers(page: Page): Promise<void> {
  await page.evaluate(async () => {
    for (const { name = "" } of await indexedDB.databases()) {
      if (!name.startsWith("phoenix:")) continue;
      await new Promise<void>((resolve, reject) => {
        const opening = indexedDB.open(name);
        opening.onerror = reject;
        opening.onsuccess = () => {
          const database = opening.result;
          const transaction = database.transaction([...database.objectStoreNames], "readonly");
          transaction.onabort = reject;
          transaction.oncomplete = () => {
            database.close();
            resolve();
          };
          transaction.objectStore(database.objectStoreNames[0] ?? "").count();
        };
      });
    }
  });
}

test("while the server is away, a browser tries again and again, but less and less often", async ({ user }) => {
  test.slow(); // minutes of the fake clock, second by second
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(bob.page, ann);
  await ann.page.clock.install();
  await ann.page.reload();
  await open(ann.page, bob);
  await ann.sockets.close();
  await send(ann.page, bob, "into the void");
  // Ten minutes pass. Between two steps, attempts fail, and the storage answers. A step is shorter than the 3 s after
  // which storage that does not answer is given up.
  for (let s = 0; s < 600; s += 2) {
    await ann.page.clock.runFor(2_000);
    await storageAnswers(ann.page);
  }
  expect(ann.sockets.refused).toBeGreaterThan(15);
  expect(ann.sockets.refused).toBeLessThan(80);
  const opened = ann.sockets.opened;
  ann.sockets.reopen();
  // In small steps that wait for the server: it answers in real time, and on a busy machine its answer would seem late.
  const pass = async (seconds: number): Promise<void> => {
    for (let s = 0; s < seconds; s++) {
      await ann.page.clock.runFor(1_000);
      await ann.sockets.answered(1_000);
      await storageAnswers(ann.page);
    }
  };
  await expect(async () => {
    await pass(5);
    expect(await message(bob.page, ann, "into the void").count()).toBe(1);
  }).toPass();
  await expectState(ann.page, bob, "into the void", state.arrived);
  await pass(60);
  expect(ann.sockets.opened).toBe(opened + 1);
});
