import type { Page } from "@playwright/test";
import { expectState, message, messages, open, send, state, conversation } from "./support/steps";
import { engines, expect, test } from "./support/test";

/**
 * Stops everything that a tab runs, as browsers do with hidden tabs. The tab keeps its socket and its locks. The
 * returned function resumes it. (Chromium's lifecycle command has no effect on a tab of a test, which always counts
 * as visible.)
 */
async function freeze(page: Page): Promise<() => Promise<void>> {
  const session = await page.context().newCDPSession(page);
  await session.send("Debugger.enable");
  const paused = new Promise<void>((resolve) => session.once("Debugger.paused", () => resolve()));
  await session.send("Debugger.pause");
  await paused;
  return async () => {
    await session.send("Debugger.resume");
    await session.detach();
  };
}

test("the tabs of a browser share one socket, and each shows every message once", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(bob.page, ann);
  await open(ann.page, bob);
  const tabs = [ann.page, await ann.context.newPage(), await ann.context.newPage()];
  for (const page of tabs.slice(1)) await open(page, bob);
  for (const [n, page] of tabs.entries()) await send(page, bob, `from tab ${n}`);
  await send(bob.page, ann, "to all of them");
  for (const page of tabs) {
    for (const body of ["from tab 0", "from tab 1", "from tab 2", "to all of them"])
      await expect(message(page, bob, body)).toHaveCount(1);
    await expect(messages(page, bob)).toHaveCount(4);
    await expectState(page, bob, "from tab 2", state.arrived);
  }
  expect(ann.sockets.open).toBe(1);
});

test("when the leader is closed, another tab takes over", { tag: engines }, async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(bob.page, ann);
  const second = await ann.context.newPage();
  await open(second, bob);
  await ann.page.close();
  await send(bob.page, ann, "are you still there?");
  await expect(message(second, bob, "are you still there?")).toBeVisible();
  await send(second, bob, "in another tab");
  await expectState(second, bob, "in another tab", state.arrived);
  expect(ann.sockets.open).toBe(1);
});

test("a frozen leader loses the socket to a visible tab", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(bob.page, ann);
  await open(ann.page, bob);
  const second = await ann.context.newPage();
  await open(second, bob);
  await send(second, bob, "before");
  await expectState(second, bob, "before", state.arrived);

  const thaw = await freeze(ann.page);
  const opened = ann.sockets.opened;
  await send(second, bob, "while the first is frozen");
  await expectState(second, bob, "while the first is frozen", state.arrived);
  expect(ann.sockets.opened).toBe(opened + 1);
  await send(bob.page, ann, "an answer");
  await expect(message(second, bob, "an answer")).toBeVisible();

  await thaw();
  await expect(message(ann.page, bob, "an answer")).toBeVisible();
  await expect(message(ann.page, bob, "while the first is frozen")).toHaveCount(1);
  await expect.poll(() => ann.sockets.open).toBe(1);
  await send(ann.page, bob, "thawed");
  await expect(conversation(second, bob).getByText("thawed")).toBeVisible();
  await expectState(ann.page, bob, "thawed", state.arrived);
});

test("a tab that was asleep for hours shows once and in order what arrived meanwhile", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await bob.page.clock.install();
  await bob.page.reload();
  await open(bob.page, ann);
  await open(ann.page, bob);
  await send(ann.page, bob, "good night");
  await expect(message(bob.page, ann, "good night")).toBeVisible();

  const thaw = await freeze(bob.page);
  for (const body of ["one", "two", "three"]) await send(ann.page, bob, body);
  await expectState(ann.page, bob, "three", state.sent);
  await thaw();
  await bob.sockets.cut(); // not before, because it waits for the page
  await bob.page.clock.fastForward("06:00:00");
  await expect(messages(bob.page, ann)).toContainText(["good night", "one", "two", "three"]);
  await expect(messages(bob.page, ann)).toHaveCount(4);
  await send(bob.page, ann, "good morning");
  await expectState(bob.page, ann, "good morning", state.arrived);
  await expect.poll(() => bob.sockets.open).toBe(1);
});
