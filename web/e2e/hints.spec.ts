import {
  chatWith,
  composer,
  en,
  expectIn,
  expectState,
  fillSignIn,
  message,
  open,
  send,
  state,
  talk,
} from "./support/steps";
import { engines, expect, type Person, test } from "./support/test";

test("ticks say delivered, then read", { tag: engines }, async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  await open(ann.page, bob);
  await bob.page.goto("/");
  await send(ann.page, bob, "have you seen this?");
  await expect(chatWith(bob.page, ann)).toContainText("have you seen this?");
  await expectState(ann.page, bob, "have you seen this?", state.delivered);
  await chatWith(bob.page, ann).click();
  await expect(message(bob.page, ann, "have you seen this?")).toBeVisible();
  await expectState(ann.page, bob, "have you seen this?", state.read);
  await ann.page.reload();
  await expectState(ann.page, bob, "have you seen this?", state.read);
});

test("unread messages are counted until they are seen, on every device", async ({ person, visitor }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  const phone = await visitor("Bob's phone");
  await fillSignIn(phone.page, bob);
  await expectIn(phone.page);
  await bob.page.goto("/");
  await open(ann.page, bob);
  for (const body of ["one", "two", "three"]) await send(ann.page, bob, body);
  for (const page of [bob.page, phone.page]) await expect(chatWith(page, ann)).toContainText(en.chats.unreadSpoken(3));
  await bob.page.reload();
  await expect(chatWith(bob.page, ann)).toContainText(en.chats.unreadSpoken(3));
  await chatWith(bob.page, ann).click();
  await expect(message(bob.page, ann, "three")).toBeVisible();
  await expectState(ann.page, bob, "three", state.read);
  await bob.page.goto("/");
  for (const page of [bob.page, phone.page]) {
    await expect(chatWith(page, ann)).toContainText("three");
    await expect(chatWith(page, ann)).not.toContainText(/unread/);
    await page.reload();
    await expect(chatWith(page, ann)).toContainText("three");
    await expect(chatWith(page, ann)).not.toContainText(/unread/);
  }
});

/** Both are connected, with the conversation before them: who is not misses a sign of typing. */
async function meet(ann: Person, bob: Person): Promise<void> {
  await open(ann.page, bob);
  await open(bob.page, ann);
  await send(ann.page, bob, "are you there?");
  await expect(message(bob.page, ann, "are you there?")).toBeVisible();
}

test("typing shows, and ends with the message", async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  await meet(ann, bob);
  await composer(ann.page, bob).pressSequentially("I am thin");
  const status = talk(bob.page, ann)
    .getByRole("status")
    .filter({ hasText: en.talk.typing(ann.name) });
  await expect(status).toHaveCount(1);
  await composer(ann.page, bob).press("Enter");
  await expect(message(bob.page, ann, "I am thin")).toBeVisible();
  await expect(status).toHaveCount(0);
});

test("typing ends by itself", async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  await meet(ann, bob);
  await composer(ann.page, bob).pressSequentially("never mind");
  const status = talk(bob.page, ann)
    .getByRole("status")
    .filter({ hasText: en.talk.typing(ann.name) });
  await expect(status).toHaveCount(1);
  await expect(status).toHaveCount(0, { timeout: 12_000 });
});

test("presence follows the other, with when they were last seen", async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  await open(ann.page, bob);
  const details = talk(ann.page, bob).getByRole("button", { name: en.talk.details(bob.name) });
  await expect(details).toContainText(en.talk.online);
  await bob.page.close();
  await expect(details).toContainText(/last seen/i, { timeout: 15_000 });
  const page = await bob.context.newPage();
  await page.goto("/");
  await expect(details).toContainText(en.talk.online);
});
