import { signIn } from "./support/accounts";
import { conversationId, pending, queued, saved } from "./support/archive";
import { expectState, message, open, send, state } from "./support/steps";
import { backend, expect, test } from "./support/test";

// The rule that this chat was asked to keep, seen from outside (DESIGN §2, promise 2).
test("a message is saved only after its recipient has acknowledged it", { tag: backend }, async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  const [{ uid: annId, token }, { uid: bobId }] = await Promise.all([signIn(ann), signIn(bob)]);
  await open(ann.page, bob);
  await open(bob.page, ann);
  bob.sockets.hold((frame) => frame.type === "ack");
  await send(ann.page, bob, "not yet for the archive");
  await expect(message(bob.page, ann, "not yet for the archive")).toBeVisible();
  await expect.poll(() => bob.sockets.held).toBeGreaterThan(0);
  const id = ann.sockets.sent.find((frame) => frame.type === "send")?.id ?? "";
  expect(id).toMatch(/^[0-9a-f-]{36}$/);

  // Checked repeatedly while the acknowledgement is held back for two seconds.
  const until = Date.now() + 2_000;
  let checks = 0;
  do {
    expect(await saved(token, conversationId(annId, bobId), { id, from: annId })).toBe(false);
    expect(await queued(bobId, id)).toBe(true);
    checks++;
  } while (Date.now() < until || checks < 5);
  expect(await pending(bobId)).toBe(1);
  await expectState(ann.page, bob, "not yet for the archive", state.sent);

  bob.sockets.release();
  await expect
    .poll(() => saved(token, conversationId(annId, bobId), { id, from: annId }), { timeout: 5_000 })
    .toBe(true);
  await expect.poll(() => pending(bobId), { timeout: 5_000 }).toBe(0);
  await expectState(ann.page, bob, "not yet for the archive", state.arrived);
});

test("a message to a user who is offline is queued, and is not saved", { tag: backend }, async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  const [{ uid: annId, token }, { uid: bobId }] = await Promise.all([signIn(ann), signIn(bob)]);
  await bob.page.close();
  await open(ann.page, bob);
  await send(ann.page, bob, "when you are back");
  await expectState(ann.page, bob, "when you are back", state.sent);
  const id = ann.sockets.sent.find((frame) => frame.type === "send")?.id ?? "";
  expect(await queued(bobId, id)).toBe(true);
  expect(await saved(token, conversationId(annId, bobId), { id, from: annId })).toBe(false);
  const page = await bob.context.newPage();
  await page.goto(`/c/${ann.username}`);
  await expect(message(page, ann, "when you are back")).toBeVisible();
  await expect
    .poll(() => saved(token, conversationId(annId, bobId), { id, from: annId }), { timeout: 5_000 })
    .toBe(true);
});
