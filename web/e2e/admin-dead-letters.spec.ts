import { randomBytes } from "node:crypto";
import {
  adminText,
  auditEntry,
  createAccount,
  deadLetters,
  openTab,
  operator,
  publish,
  rejected,
} from "./support/admin";
import { signIn } from "./support/accounts";
import { conversationId, saved } from "./support/archive";
import { backend, expect, newUser, test } from "./support/test";

// In sequence, because one test replays all dead letters, those of the other tests included.
test.describe.configure({ mode: "default" });

const words = adminText.deadLetters;

/** Returns a message id as a device creates it (UUIDv7). */
function messageId(): string {
  const hex =
    Date.now().toString(16).padStart(12, "0") +
    "7" +
    randomBytes(8).toString("hex").slice(1, 4) +
    "8" +
    randomBytes(8).toString("hex").slice(1);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join("-");
}

test("a dead letter shows its reason and content, and can be replayed and discarded", async ({ signedIn }) => {
  const { page } = await operator(signedIn);
  await openTab(page, "dead-letters");
  const mark = crypto.randomUUID();
  await publish(JSON.stringify({ v: 3, written_by: mark })); // by a newer instance
  const deadLetter = await deadLetters(page, mark, 1);
  await expect(deadLetter).toContainText("version 3");
  await deadLetter.getByText(words.content).click();
  await expect(deadLetter.getByLabel(words.content)).toContainText(`"written_by": "${mark}"`);
  const id = /· (\S+)/.exec(await deadLetter.innerText())?.[1] ?? "";

  // persist still cannot read it, so it comes back as a new dead letter.
  await deadLetter.getByRole("button", { name: words.replay, exact: true }).click();
  await expect(page.getByText(words.replayed)).toBeVisible();
  await expect(page.getByText(id)).toBeHidden();
  const back = await deadLetters(page, mark, 1);
  await expect(back).not.toContainText(id);

  await back.getByRole("button", { name: words.discard, exact: true }).click();
  const dialog = page.getByRole("dialog", { name: words.discardTitle });
  await dialog.getByRole("button", { name: words.discard, exact: true }).click();
  await expect(dialog).toContainText(adminText.reasonMissing); // a reason is required
  const why = `Nothing in it, ${mark}`;
  await dialog.getByLabel(adminText.reason, { exact: true }).fill(why);
  await dialog.getByRole("button", { name: words.discard, exact: true }).click();
  await expect(dialog).toBeHidden();
  await deadLetters(page, mark, 0);
  await expect(await auditEntry(page, why)).toContainText(adminText.audit.actions["dead_letter_discard"] ?? "");
  await expect(await auditEntry(page, id)).toContainText(adminText.audit.actions["dead_letter_replay"] ?? "");
});

test("replaying saves messages once their problem is solved", { tag: backend }, async ({ signedIn }) => {
  const [ann, bob] = [newUser("Ann"), newUser("Bob")];
  const [a, b] = await Promise.all([createAccount(ann), createAccount(bob)]);
  const { token } = await signIn(ann);
  const { page } = await operator(signedIn);
  await openTab(page, "dead-letters");
  // A server whose clock was minutes ahead has stamped these. They cannot be saved before that time.
  const ahead = Date.now() + 5 * 60_000 + 6_000;
  const ids = [messageId(), messageId()];
  for (const [i, id] of ids.entries()) {
    const at = ahead * 1000 + i;
    const one = {
      id,
      conversation: conversationId(a, b),
      from: a,
      to: b,
      body: `from the future ${i}`,
      at,
      accepted_at: at,
      delivered_at: at,
    };
    await publish(JSON.stringify({ v: 1, delivered: [one] }));
  }
  for (const id of ids) await expect(await deadLetters(page, id, 1)).toContainText("future");
  for (const id of ids) expect(await saved(token, conversationId(a, b), { id, from: a })).toBe(false);
  await expect.poll(() => Date.now() - ahead + 5 * 60_000, { timeout: 15_000 }).toBeGreaterThan(0);
  await page.getByRole("button", { name: words.replayAll }).click();
  const dialog = page.getByRole("dialog", { name: words.replayAllTitle });
  const why = `The clock is right again, ${ids[0] ?? ""}`;
  await dialog.getByLabel(adminText.reasonOptional).fill(why);
  await dialog.getByRole("button", { name: words.replayAll }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByText(/^\d+ replayed, \d+ left\.$/u)).toBeVisible();
  for (const id of ids) await expect.poll(() => saved(token, conversationId(a, b), { id, from: a })).toBe(true);
  for (const id of ids) await deadLetters(page, id, 0);
  await expect(await auditEntry(page, why)).toContainText(adminText.audit.actions["dead_letters_replay_all"] ?? "");
});

test("a dead letter that another admin discarded cannot be replayed, and leaves the list", async ({ signedIn }) => {
  const [one, two] = await Promise.all([operator(signedIn), operator(signedIn)]);
  const mark = crypto.randomUUID();
  await publish(`no JSON at all: ${mark} <img src=x onerror=alert(1)>`);
  await openTab(one.page, "dead-letters");
  await openTab(two.page, "dead-letters");
  const first = await deadLetters(one.page, mark, 1);
  const second = await deadLetters(two.page, mark, 1);
  await expect(first.locator("img")).toHaveCount(0); // its content is shown as text
  await first.getByRole("button", { name: words.discard, exact: true }).click();
  await one.page.getByRole("dialog").getByLabel(adminText.reason, { exact: true }).fill("Noise");
  await one.page.getByRole("dialog").getByRole("button", { name: words.discard, exact: true }).click();
  await expect(first).toBeHidden();
  const sentence = await rejected(two.page, "dead_letter_not_found", () =>
    second.getByRole("button", { name: words.replay, exact: true }).click(),
  );
  await expect(two.page.getByText(sentence)).toBeVisible();
  await expect(second).toBeHidden();
});
