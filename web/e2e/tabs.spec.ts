import type { Page } from "@playwright/test";
import { expectState, message, open, send, state, talk } from "./support/steps";
import { engines, expect, test } from "./support/test";

/**
 * Stops everything that a tab runs, as browsers do with tabs that nobody looks at; its socket and its locks stay. The
 * value lets it go on. (Chromium's own lifecycle command does nothing to a tab of a test, which always counts as visible.)
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

test("however many tabs are open, the browser has one socket", async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  await open(bob.page, ann);
  await open(ann.page, bob);
  const tabs = [ann.page, await ann.context.newPage(), await ann.context.newPage()];
  for (const page of tabs.slice(1)) await open(page, bob);
  for (const [n, page] of tabs.entries()) await send(page, bob, `from tab ${n}`);
  await send(bob.page, ann, "to all of them");
  for (const page of tabs) {
    for (const body of ["from tab 0", "from tab 1", "from tab 2", "to all of them"])
      await expect(message(page, bob, body)).toHaveCount(1);
    await expectState(page, bob, "from tab 2", state.arrived);
  }
  expect(ann.sockets.open).toBe(1);
});

test("when the tab with the socket is closed, another takes over", { tag: engines }, async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
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

test("a frozen tab does not keep the socket from a tab that somebody looks at", async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
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
  await expect(talk(second, bob).getByText("thawed")).toBeVisible();
  await expectState(ann.page, bob, "thawed", state.arrived);
});
