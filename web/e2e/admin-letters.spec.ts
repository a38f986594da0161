import { randomBytes } from "node:crypto";
import { adminText, enrol, letters, logged, operator, publish, tab } from "./support/admin";
import { conversation, saved, signIn } from "./support/archive";
import { account, expect, test } from "./support/test";

// One after the other: replaying all would take the letters of the others along.
test.describe.configure({ mode: "default" });

const words = adminText.letters;

/** A message id as a device makes one (UUIDv7). */
function messageId(): string {
  const hex =
    Date.now().toString(16).padStart(12, "0") +
    "7" +
    randomBytes(8).toString("hex").slice(1, 4) +
    "8" +
    randomBytes(8).toString("hex").slice(1);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join("-");
}

test("a dead letter is shown with its reason and content, replayed, and discarded for a reason", async ({
  visitor,
}) => {
  const { page } = await operator(visitor);
  await tab(page, "dead-letters");
  const mark = crypto.randomUUID();
  await publish(JSON.stringify({ v: 2, written_by: mark })); // by an instance of tomorrow
  const letter = await letters(page, mark, 1);
  await expect(letter).toContainText("version 2");
  await letter.getByText(words.content).click();
  await expect(letter.getByLabel(words.content)).toContainText(`"written_by": "${mark}"`);
  const id = /· (\S+)/.exec(await letter.innerText())?.[1] ?? "";

  // Replayed, persist still cannot read it: it comes back as another letter.
  await letter.getByRole("button", { name: words.replay, exact: true }).click();
  await expect(page.getByText(words.replayed)).toBeVisible();
  await expect(page.getByText(id)).toBeHidden();
  const back = await letters(page, mark, 1);
  await expect(back).not.toContainText(id);

  await back.getByRole("button", { name: words.discard, exact: true }).click();
  const dialog = page.getByRole("dialog", { name: words.discardTitle });
  await dialog.getByRole("button", { name: words.discard, exact: true }).click();
  await expect(dialog).toContainText(adminText.reasonMissing); // not without a reason
  const why = `Nothing in it, ${mark}`;
  await dialog.getByLabel(adminText.reason, { exact: true }).fill(why);
  await dialog.getByRole("button", { name: words.discard, exact: true }).click();
  await expect(dialog).toBeHidden();
  await letters(page, mark, 0);
  await expect(await logged(page, why)).toContainText(adminText.audit.actions["dead_letter_discard"] ?? "");
  await expect(await logged(page, id)).toContainText(adminText.audit.actions["dead_letter_replay"] ?? "");
});

test("what could not be saved is saved once what was wrong is mended", async ({ visitor }) => {
  const [ann, bob] = [account("Ann"), account("Bob")];
  const [a, b] = [await enrol(ann), await enrol(bob)];
  const { token } = await signIn(ann);
  const { page } = await operator(visitor);
  await tab(page, "dead-letters");
  // A server whose clock was minutes ahead has stamped these: they cannot be saved before their time has come.
  const ahead = Date.now() + 5 * 60_000 + 6_000;
  const ids = [messageId(), messageId()];
  for (const [i, id] of ids.entries()) {
    const at = ahead * 1000 + i;
    const one = {
      id,
      conversation: conversation(a, b),
      from: a,
      to: b,
      body: `from the future ${i}`,
      at,
      accepted_at: at,
      delivered_at: at,
    };
    await publish(JSON.stringify({ v: 1, delivered: [one] }));
  }
  for (const id of ids) await expect(await letters(page, id, 1)).toContainText("future");
  for (const id of ids) expect(await saved(token, conversation(a, b), id)).toBe(false);
  await expect.poll(() => Date.now() - ahead + 5 * 60_000, { timeout: 15_000 }).toBeGreaterThan(0);
  await page.getByRole("button", { name: words.replayAll }).click();
  const dialog = page.getByRole("dialog", { name: words.replayAllTitle });
  const why = `The clock is right again, ${ids[0] ?? ""}`;
  await dialog.getByLabel(adminText.reasonOptional).fill(why);
  await dialog.getByRole("button", { name: words.replayAll }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByText(/^\d+ replayed, \d+ left\.$/u)).toBeVisible();
  for (const id of ids) await expect.poll(() => saved(token, conversation(a, b), id)).toBe(true);
  for (const id of ids) await letters(page, id, 0);
  await expect(await logged(page, why)).toContainText(adminText.audit.actions["dead_letters_replay_all"] ?? "");
});

test("of two admins who replay one letter, the second is told that it is dealt with", async ({ visitor }) => {
  const [one, two] = [await operator(visitor), await operator(visitor)];
  const mark = crypto.randomUUID();
  await publish(`no JSON at all: ${mark} <img src=x onerror=alert(1)>`);
  await tab(one.page, "dead-letters");
  await tab(two.page, "dead-letters");
  const first = await letters(one.page, mark, 1);
  const second = await letters(two.page, mark, 1);
  await expect(first.locator("img")).toHaveCount(0); // what it holds is text
  await first.getByRole("button", { name: words.discard, exact: true }).click();
  await one.page.getByRole("dialog").getByLabel(adminText.reason, { exact: true }).fill("Noise");
  await one.page.getByRole("dialog").getByRole("button", { name: words.discard, exact: true }).click();
  await expect(first).toBeHidden();
  await second.getByRole("button", { name: words.replay, exact: true }).click();
  await expect(two.page.getByText("This dead letter is not there any more.")).toBeVisible();
  await expect(second).toBeHidden();
});
