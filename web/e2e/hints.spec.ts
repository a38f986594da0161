import { chatWith, composer, en, expectState, message, open, send, state, conversation } from "./support/steps";
import { choiceText } from "../src/text/choices";
import { backend, expect, test, type Visitor } from "./support/test";

test("the ticks show delivered, then read", { tag: backend }, async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
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

test("every device counts unread messages until one has shown them", { tag: backend }, async ({ user, signedIn }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  const phone = await signedIn(bob);
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

/** Waits until both are connected, have the conversation open and watch each other. Hints sent earlier are lost. */
async function meet(ann: Visitor, bob: Visitor): Promise<void> {
  await open(ann.page, bob);
  await open(bob.page, ann);
  for (const [page, other] of [[ann.page, bob] as const, [bob.page, ann] as const]) {
    const head = conversation(page, other).getByRole("button", { name: en.conversation.details(other.name) });
    await expect(head).toContainText(en.conversation.online);
  }
  await send(ann.page, bob, "are you there?");
  await expect(message(bob.page, ann, "are you there?")).toBeVisible();
}

test("the typing hint ends with the message, or after a while without one", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await meet(ann, bob);
  await composer(ann.page, bob).pressSequentially("I am thin");
  const status = conversation(bob.page, ann)
    .getByRole("status")
    .filter({ hasText: en.conversation.typing(ann.name) });
  await expect(status).toHaveCount(1);
  await composer(ann.page, bob).press("Enter");
  await expect(message(bob.page, ann, "I am thin")).toBeVisible();
  await expect(status).toHaveCount(0);
  await composer(ann.page, bob).pressSequentially("never mind");
  await expect(status).toHaveCount(1);
  await expect(status).toHaveCount(0, { timeout: 12_000 });
});

test("presence follows the other user, and shows when they were last seen", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  const details = conversation(ann.page, bob).getByRole("button", { name: en.conversation.details(bob.name) });
  await expect(details).toContainText(en.conversation.online);
  await bob.page.close();
  await expect(details).toContainText(/last seen/i, { timeout: 15_000 });
  const page = await bob.context.newPage();
  await page.goto("/");
  await expect(details).toContainText(en.conversation.online);
});

test("a new name appears on others' open pages within seconds, but for nobody who is blocked", async ({ user }) => {
  const narrow = { viewport: { width: 1000, height: 800 } };
  const [ann, bob, carl] = await Promise.all([user("Ann", narrow), user("Bob"), user("Carl")]);
  await meet(ann, carl);
  await ann.page.getByRole("button", { name: en.conversation.details(carl.name) }).click();
  const about = ann.page.getByRole("dialog", { name: en.conversation.details(carl.name) });
  await about.getByRole("button", { name: en.common.more }).click();
  await about.getByRole("menuitem", { name: new RegExp(`^${choiceText.block(carl.name)}`) }).click();
  await expect(about.getByRole("button", { name: en.conversation.unblock })).toBeVisible();
  await about.getByRole("button", { name: en.conversation.hideDetails }).click();
  await meet(ann, bob);

  const renamed = { ...ann, name: `Renamed ${ann.username}` };
  await ann.page.goto("/settings");
  await ann.page.getByLabel(en.settings.name, { exact: true }).fill(renamed.name);
  const saved = ann.page.waitForResponse((response) => response.request().method() === "PATCH" && response.ok());
  await ann.page.getByRole("button", { name: en.common.save, exact: true }).click();
  await saved;
  await expect(chatWith(bob.page, renamed)).toBeVisible({ timeout: 5_000 });
  await expect(conversation(bob.page, renamed)).toBeVisible();
  await expect(composer(bob.page, renamed)).toBeVisible();

  await expect(chatWith(carl.page, ann)).toBeVisible();
  await carl.page.reload();
  await expect(chatWith(carl.page, ann)).toBeVisible();
  await expect(conversation(carl.page, ann)).toBeVisible();
});
