// The emails with links, and what they do on all devices. A system on one machine delivers none: the page opens the link
// itself, or the test reads it where the page does.
import { heldText } from "../src/text/held";
import { createAccount, mailedLink } from "./support/accounts";
import { conversation, en, expectSignedIn, expectState, fillSignIn, open, send, signUp, state } from "./support/steps";
import { expect, newUser, test } from "./support/test";

const words = en.mail;

test("a link confirms the address, which every device learns, and more new people can be written to", async ({
  visitor,
  signedIn,
}) => {
  const [bob, cem, dan, eve] = [newUser("Bob"), newUser("Cem"), newUser("Dan"), newUser("Eve")];
  const ann = await visitor("Ann");
  await Promise.all([bob, cem, dan, eve].map((who) => createAccount(who)));
  await signUp(ann.page, ann);
  const phone = await signedIn(ann);
  const line = ann.page.getByText(words.confirm(ann.email));
  await expect(line).toBeVisible();
  for (const who of [bob, cem, dan]) {
    await open(ann.page, who);
    await send(ann.page, who, "hello");
    await expectState(ann.page, who, "hello", state.accepted);
  }
  await open(ann.page, eve);
  await send(ann.page, eve, "and you");
  const limits = { strangerMessages: 5, newPeople: 3 };
  const why = conversation(ann.page, eve).getByText(
    heldText.held.too_many_new_people(eve.name, limits, { unverified: true }),
  );
  await expect(why).toBeVisible();
  await expectState(ann.page, eve, "and you", state.waiting);

  const link = await mailedLink("verifyEmail", ann.email);
  await phone.page.getByRole("button", { name: words.open }).press("Enter");
  await expect(phone.page).toHaveURL(link);
  await expect(phone.page.getByRole("heading", { name: words.verified })).toBeFocused();
  await expect(line).toHaveCount(0);
  await expect(why).toHaveCount(0);
  await expectState(ann.page, eve, "and you", state.accepted);
  await phone.page.getByRole("link", { name: words.chats }).press("Enter");
  await expectSignedIn(phone.page);
  await expect(phone.page.getByText(words.confirm(ann.email))).toHaveCount(0);

  // The link has done its work.
  const away = await visitor("Away");
  await away.page.goto(link);
  await expect(away.page.getByRole("alert").filter({ hasText: words.ended.verify })).toBeVisible();
});

test("another address ends the other device, which signs in with it, and the old address can undo that", async ({
  visitor,
  signedIn,
}) => {
  const ann = newUser("Ann");
  await createAccount(ann);
  const renamed = { ...ann, email: `new.${ann.email}` };
  const [laptop, phone] = [await signedIn(ann, { place: "/settings" }), await signedIn(ann)];
  const section = laptop.page.getByRole("region", { name: words.title, exact: true });
  await expect(section.getByText(words.isConfirmed)).toBeVisible();
  await section.getByRole("button", { name: words.changeAddress }).press("Enter");
  const dialog = laptop.page.getByRole("dialog", { name: words.changeAddress });
  await expect(dialog.getByText(words.changeHint)).toBeVisible();
  await dialog.getByLabel(words.newAddress, { exact: true }).fill(renamed.email);
  await dialog.getByLabel(en.settings.passwordCurrent, { exact: true }).fill(ann.password);
  await laptop.page.keyboard.press("Enter");
  await expect(section.getByText(words.changeSent(renamed.email))).toBeVisible();
  await section.getByRole("button", { name: words.open }).press("Enter");
  await expect(laptop.page.getByText(words.changeEnds)).toBeVisible();
  await laptop.page.getByRole("button", { name: words.changeDo }).press("Enter");
  await expect(laptop.page.getByRole("heading", { name: words.changed })).toBeFocused();

  await laptop.page.getByRole("link", { name: words.signIn, exact: true }).press("Enter");
  await expect(laptop.page.getByLabel(en.auth.email, { exact: true })).toHaveValue(renamed.email);
  await laptop.page.getByLabel(en.auth.password, { exact: true }).fill(ann.password);
  await laptop.page.keyboard.press("Enter");
  await expectSignedIn(laptop.page);
  await expect(phone.page.getByText(en.auth.reasons.ended)).toBeVisible();
  await fillSignIn(phone.page, ann);
  await expect(phone.page.getByRole("alert")).toHaveText(en.auth.errors.passwordWrong);

  const away = await visitor("Away");
  await away.page.goto(await mailedLink("recoverEmail", ann.email));
  await expect(away.page.getByText(words.recoveredMore(ann.email))).toBeVisible();
  await away.page.getByRole("button", { name: words.recoveredDo }).press("Enter");
  await expect(away.page.getByText(words.sent(ann.email))).toBeVisible();
  await mailedLink("resetPassword", ann.email);
  await fillSignIn(away.page, ann);
  await expectSignedIn(away.page);
  await expect(laptop.page.getByText(en.auth.reasons.ended)).toBeVisible();
});
