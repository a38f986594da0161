import { readFile } from "node:fs/promises";
import { choiceText } from "../src/text/choices";
import { heldText } from "../src/text/held";
import {
  chats,
  chatWith,
  composer,
  en,
  expectState,
  fillSignIn,
  fillSignUp,
  message,
  messages,
  open,
  send,
  signUp,
  state,
  conversation,
} from "./support/steps";
import { acquaint, backend, expect, newUser, test, type Visitor } from "./support/test";

test("a message of a blocked user says that it was not sent, and can be sent once they are unblocked", async ({
  user,
}) => {
  const [ann, bob] = await Promise.all([user("Ann", { viewport: { width: 1000, height: 800 } }), user("Bob")]);
  await open(bob.page, ann);
  await send(bob.page, ann, "before");
  await open(ann.page, bob);
  await expect(message(ann.page, bob, "before")).toBeVisible();
  await ann.page.getByRole("button", { name: en.conversation.details(bob.name) }).click();
  const about = ann.page.getByRole("dialog", { name: en.conversation.details(bob.name) });
  await about.getByRole("button", { name: en.common.more }).click();
  await about.getByRole("menuitem", { name: new RegExp(`^${choiceText.block(bob.name)}`) }).click();
  await expect(about.getByRole("button", { name: en.conversation.unblock })).toBeVisible();
  await about.getByRole("button", { name: en.conversation.hideDetails }).click();
  await expect(conversation(ann.page, bob).getByText(en.conversation.blocked(bob.name))).toBeVisible();
  await expect(composer(ann.page, bob)).toBeHidden();

  await send(bob.page, ann, "are you angry?");
  await expect(message(bob.page, ann, "are you angry?")).toContainText(
    heldText.refused(heldText.problems.recipient_unavailable),
  );
  await expect(messages(ann.page, bob)).toHaveCount(1);

  await ann.page.goto("/settings");
  await ann.page.getByRole("button", { name: en.settings.unblockName(bob.name) }).click();
  await expect(ann.page.getByText(en.settings.blockedNone)).toBeVisible();
  await message(bob.page, ann, "are you angry?").getByRole("button", { name: en.common.retry }).click();
  await expectState(bob.page, ann, "are you angry?", state.accepted);
  await open(ann.page, bob);
  await expect(message(ann.page, bob, "are you angry?")).toHaveCount(1);
  await expectState(bob.page, ann, "are you angry?", state.arrived);
});

test("users can download their data, with the messages of both sides", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  await open(bob.page, ann);
  await send(ann.page, bob, "what I wrote");
  await expect(message(bob.page, ann, "what I wrote")).toBeVisible();
  await send(bob.page, ann, "what was written to me");
  for (const [page, other, body] of [
    [ann.page, bob, "what I wrote"],
    [bob.page, ann, "what was written to me"],
  ] as const)
    await expectState(page, other, body, state.arrived);
  await ann.page.goto("/settings");
  const [download] = await Promise.all([
    ann.page.waitForEvent("download"),
    ann.page.getByRole("button", { name: en.settings.export }).click(),
  ]);
  expect(download.suggestedFilename()).toMatch(
    new RegExp(`^phoenix-chat-${ann.username.replaceAll(".", "\\.")}-\\d{4}-\\d\\d-\\d\\d\\.json$`),
  );
  const text = await readFile(await download.path(), "utf8");
  expect(JSON.parse(text)).toBeInstanceOf(Object);
  for (const word of [ann.name, ann.username, ann.email, "what I wrote", "what was written to me"])
    expect(text).toContain(word);
  expect(text).not.toContain(bob.email);
});

test(
  "a user who deletes their account is gone from chats, the directory and sign-in",
  { tag: backend },
  async ({ user, signedIn, visitor }) => {
    const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
    await open(ann.page, bob);
    await open(bob.page, ann);
    await send(ann.page, bob, "I am moving away");
    await expect(message(bob.page, ann, "I am moving away")).toBeVisible();
    await send(bob.page, ann, "Good luck");
    await expectState(bob.page, ann, "Good luck", state.arrived);

    await ann.page.goto("/settings");
    await ann.page.getByRole("button", { name: en.settings.leaveDo }).click();
    const dialog = ann.page.getByRole("dialog", { name: en.settings.leaveTitle });
    await dialog.getByLabel(en.settings.leaveConfirm(ann.username)).fill(ann.username);
    await dialog.getByLabel(en.auth.password, { exact: true }).fill("not the password");
    await dialog.getByRole("button", { name: en.settings.leaveDo }).click();
    await expect(dialog.getByText(en.auth.errors.passwordNotYours)).toBeVisible();
    await dialog.getByLabel(en.auth.password, { exact: true }).fill(ann.password);
    await dialog.getByRole("button", { name: en.settings.leaveDo }).click();
    await expect(ann.page.getByText(en.auth.reasons.left)).toBeVisible();

    // Bob's device keeps the name that it knows. The conversation says what happened, and keeps the messages of Bob.
    await bob.page.goto("/");
    await chatWith(bob.page, ann).click();
    await expect(bob.page.getByText(en.conversation.gone)).toBeVisible();
    await expect(composer(bob.page, ann)).toBeHidden();
    await expect(message(bob.page, ann, "Good luck")).toBeVisible();
    // A new device does not learn the name.
    const phone = await signedIn(bob);
    await expect(chats(phone.page).getByRole("link", { name: en.chats.gone })).toContainText("Good luck");
    await expect(phone.page.getByText(ann.name)).toBeHidden();

    await bob.page.goto("/people");
    await bob.page.getByRole("searchbox", { name: en.people.search }).fill(ann.username);
    await expect(bob.page.getByText(en.people.none(ann.username))).toBeVisible();

    const again = await visitor("Ann");
    await fillSignIn(again.page, ann);
    await expect(again.page.getByRole("alert")).toHaveText(en.auth.errors.passwordWrong);
    // The username stays reserved, so that nobody can take one that others still trust.
    await fillSignUp(again.page, { ...again, username: ann.username });
    await again.page.getByRole("button", { name: en.auth.signUp, exact: true }).click();
    await expect(again.page.getByLabel(en.auth.username, { exact: true })).toHaveAccessibleDescription(/taken/);
  },
);

test("a second account in the same browser sees nothing of the first", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  await open(bob.page, ann);
  await send(bob.page, ann, "for Ann alone");
  await expect(message(ann.page, bob, "for Ann alone")).toBeVisible();
  await composer(ann.page, bob).fill("a draft of Ann's");
  await ann.page.goto("/settings");
  await ann.page.getByRole("button", { name: en.settings.signOut, exact: true }).click();
  await expect(ann.page.getByRole("button", { name: en.auth.signIn, exact: true })).toBeVisible();

  const eve: Visitor = { ...ann, ...newUser("Eve") };
  await signUp(eve.page, eve);
  await acquaint([bob], [eve]);
  await expect(eve.page.getByText(en.chats.empty)).toBeVisible();
  await open(eve.page, bob);
  await expect(messages(eve.page, bob)).toHaveCount(0);
  await expect(composer(eve.page, bob)).toHaveValue("");
  await expect(conversation(eve.page, bob)).not.toContainText("for Ann alone");
  await send(eve.page, bob, "hello from Eve");
  await expect(chatWith(bob.page, eve)).toContainText("hello from Eve");
  await expect(message(bob.page, ann, "hello from Eve")).toHaveCount(0);
  await eve.page.goto("/settings");
  await expect(eve.page.getByText(ann.username)).toBeHidden();
});
