import { chromium, type Page } from "@playwright/test";
import { createAccount, mailedLink } from "./support/accounts";
import { launchOptions } from "./support/browser";
import {
  chatWith,
  composer,
  en,
  expectSignedIn,
  expectState,
  fillSignIn,
  fillSignUp,
  message,
  open,
  send,
  signUp,
  state,
} from "./support/steps";
import { system } from "./support/system";
import { backend, engines, expect, newUser, test } from "./support/test";

test("a new user is signed in at once, and can sign in again later", { tag: backend }, async ({ visitor }) => {
  const ann = await visitor("Ann");
  await signUp(ann.page, ann);
  await expect(ann.page.getByText(en.chats.empty)).toBeVisible();
  const again = await visitor("Ann again");
  await fillSignIn(again.page, ann);
  await expectSignedIn(again.page);
});

test("a wrong password is rejected with a message, and the right one then works", async ({ visitor }) => {
  const ann = newUser("Ann");
  await createAccount(ann);
  const thief = await visitor("Thief");
  await fillSignIn(thief.page, { ...ann, password: "a guess in the dark" });
  await expect(thief.page.getByRole("alert")).toHaveText(en.auth.errors.passwordWrong);
  await expect(thief.page.getByRole("navigation", { name: en.nav.label })).toBeHidden();
  await thief.page.getByLabel(en.auth.password, { exact: true }).fill(ann.password);
  await thief.page.getByRole("button", { name: en.auth.signIn, exact: true }).click();
  await expectSignedIn(thief.page);
});

test("the form shows a taken username and a short password at their fields", async ({ visitor }) => {
  const ann = newUser("Ann");
  await createAccount(ann);
  const bob = await visitor("Bob");
  await fillSignUp(bob.page, { ...bob, username: ann.username, password: "short" });
  await bob.page.getByRole("button", { name: en.auth.signUp, exact: true }).click();
  await expect(bob.page.getByLabel(en.auth.password, { exact: true })).toBeFocused();
  await bob.page.getByLabel(en.auth.password, { exact: true }).fill(bob.password);
  await bob.page.getByRole("button", { name: en.auth.signUp, exact: true }).click();
  const username = bob.page.getByLabel(en.auth.username, { exact: true });
  await expect(username).toBeFocused();
  await expect(username).toHaveAttribute("aria-invalid", "true");
  await expect(username).toHaveAccessibleDescription(/taken/);
  await username.fill(bob.username);
  await bob.page.getByRole("button", { name: en.auth.signUp, exact: true }).click();
  await expectSignedIn(bob.page);
});

test("a session survives a restart of the browser", async ({}, info) => {
  const [ann, bob] = [newUser("Ann"), newUser("Bob")];
  await createAccount(bob);
  const profile = info.outputPath("profile");
  const launch = () => chromium.launchPersistentContext(profile, { ...launchOptions, baseURL: system().url });
  const before = await launch();
  const first = before.pages()[0] ?? (await before.newPage());
  await signUp(first, ann);
  await open(first, bob);
  await send(first, bob, "remember this");
  await expectState(first, bob, "remember this", state.sent);
  await before.close();
  const after = await launch();
  const second = after.pages()[0] ?? (await after.newPage());
  await second.goto("/");
  await expectSignedIn(second);
  await expect(chatWith(second, bob)).toContainText("remember this");
  await after.close();
});

test("signing out deletes everything that the browser stored", { tag: engines }, async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  await send(ann.page, bob, "for your eyes only");
  await expectState(ann.page, bob, "for your eyes only", state.arrived);
  await ann.page.goto("/settings");
  const ended = ann.page.waitForResponse(/\/me\/sign-out$/);
  await ann.page.getByRole("button", { name: en.settings.signOut, exact: true }).click();
  expect((await ended).status()).toBe(204); // the server accepts no token of this sign-in any more
  await expect(ann.page.getByRole("button", { name: en.auth.signIn, exact: true })).toBeVisible();
  expect(await storedText(ann.page)).not.toContain("for your eyes only");
  await ann.page.goto("/");
  await expect(ann.page.getByRole("navigation", { name: en.nav.label })).toBeHidden();
});

test("signing out warns about messages that have not been sent", async ({ user }) => {
  const [ann, bob] = [await user("Ann"), newUser("Bob")];
  await createAccount(bob);
  await open(ann.page, bob);
  await ann.sockets.close();
  await send(ann.page, bob, "stuck in the tunnel");
  await expectState(ann.page, bob, "stuck in the tunnel", state.waiting);
  await ann.page.getByRole("link", { name: en.nav.yours(ann.name) }).click();
  await ann.page.getByRole("button", { name: en.settings.signOut, exact: true }).click();
  await expect(ann.page.getByText(en.settings.signOutUnsent(1))).toBeVisible();
  await ann.page.getByRole("button", { name: en.settings.stay }).click();
  // Closing the dialog takes its entry off the history, which may take longer than the next command of this test.
  await expect.poll(() => ann.page.evaluate(() => (history.state as { layers?: number }).layers ?? 0)).toBe(0);
  await ann.page.goBack();
  await expect(message(ann.page, bob, "stuck in the tunnel")).toBeVisible();
  await ann.page.goForward();
  await ann.page.getByRole("button", { name: en.settings.signOut, exact: true }).click();
  await ann.page.getByRole("button", { name: en.settings.signOutAnyway }).click();
  await expect(ann.page.getByRole("button", { name: en.auth.signIn, exact: true })).toBeVisible();
  expect(await storedText(ann.page)).not.toContain("stuck in the tunnel");
});

test("the link in the email replaces a forgotten password", async ({ visitor, user }) => {
  const ann = await user("Ann");
  const away = await visitor("Away");
  await away.page.goto("/reset");
  await away.page.getByLabel(en.auth.email, { exact: true }).fill(ann.email);
  await away.page.getByRole("button", { name: en.auth.resetSend }).click();
  await expect(away.page.getByText(en.auth.resetSent)).toBeVisible();
  await away.page.goto(await mailedLink("resetPassword", ann.email));
  await away.page.getByLabel(en.auth.newPassword, { exact: true }).fill("Sunshine1");
  await away.page.getByRole("button", { name: en.auth.resetSave }).click();
  await expect(away.page.getByText(en.auth.rules.notCommon).and(away.page.locator(".fault"))).toBeVisible();
  await away.page.getByLabel(en.auth.newPassword, { exact: true }).fill("colder ashes by day");
  await away.page.getByRole("button", { name: en.auth.resetSave }).click();
  await expectSignedIn(away.page);
  // A device that was signed in before has to sign in again, and says why, with the time if the server knows it by then.
  await expect(ann.page.getByText(en.auth.reasons.ended).or(ann.page.getByText(passwordChanged))).toBeVisible({
    timeout: 10_000,
  });
  // The old password no longer works.
  const thief = await visitor("Thief");
  await fillSignIn(thief.page, ann);
  await expect(thief.page.getByRole("alert")).toHaveText(en.auth.errors.passwordWrong);
});

test("a new password locks the other device, which keeps what waits, and this one stays signed in", async ({
  visitor,
}) => {
  const [ann, bob] = [newUser("Ann"), newUser("Bob")];
  await Promise.all([createAccount(ann), createAccount(bob)]);
  const [phone, laptop] = [await visitor("Ann’s phone"), await visitor("Ann’s laptop")];
  await fillSignIn(phone.page, ann);
  await expectSignedIn(phone.page);
  await open(phone.page, bob);
  phone.sockets.hold((frame) => frame.type === "send");
  await send(phone.page, bob, "written before");
  await expectState(phone.page, bob, "written before", state.waiting);
  await fillSignIn(laptop.page, ann);
  await expectSignedIn(laptop.page);
  await laptop.page.goto("/settings");
  const changed = laptop.page.waitForResponse(/\/me\/password$/u);
  await laptop.page.getByRole("button", { name: en.settings.passwordChange }).press("Enter");
  const dialog = laptop.page.getByRole("dialog", { name: en.settings.passwordTitle });
  await expect(dialog.getByLabel(en.settings.passwordCurrent, { exact: true })).toBeFocused();
  const { keyboard } = laptop.page;
  await keyboard.type(ann.password);
  await keyboard.press("Tab"); // the button that shows the password
  await keyboard.press("Tab");
  await keyboard.type("colder ashes by day");
  await keyboard.press("Enter");
  expect((await changed).status()).toBe(204);
  await expect(phone.page.getByText(passwordChanged)).toBeVisible({ timeout: 10_000 });
  await expect(laptop.page.getByText(en.auth.resetDone)).toBeVisible();

  phone.sockets.drop();
  await fillSignIn(phone.page, { ...ann, password: "colder ashes by day" }, { here: true });
  await expect(message(phone.page, bob, "written before")).toBeVisible();
  await expectState(phone.page, bob, "written before", state.sent);
  // The laptop is signed in for as long as before, and has what the phone has sent.
  await laptop.page.goto("/");
  await expectSignedIn(laptop.page);
  await open(laptop.page, bob);
  await expect(message(laptop.page, bob, "written before")).toBeVisible();
});

test("a person sees where they are signed in, and signs out one device, which deletes its data", async ({
  visitor,
}) => {
  const ann = newUser("Ann");
  await createAccount(ann);
  const [phone, laptop] = [await visitor("Ann’s phone"), await visitor("Ann’s laptop")];
  await fillSignIn(phone.page, ann);
  await expectSignedIn(phone.page);
  // Two sign-ins within a second would be one.
  const second = (): number => Math.floor(Date.now() / 1000);
  const before = second();
  await expect.poll(second).toBeGreaterThan(before);
  await fillSignIn(laptop.page, ann);
  await expectSignedIn(laptop.page);
  // The other device asks whether it was its user.
  const { newDevice, newDeviceYes } = en.settings;
  const question = phone.page.getByRole("status").filter({ hasText: /Was that you/u });
  await expect(question).toHaveText(new RegExp(newDevice(".*").replace("?", "\\?"), "u"), { timeout: 10_000 });
  await question.getByRole("button", { name: newDeviceYes }).press("Enter");
  await expect(question).toHaveCount(0);
  await laptop.page.goto("/settings");
  const section = laptop.page.getByRole("region", { name: en.settings.devices });
  await expect(section.getByRole("listitem")).toHaveCount(2);
  await expect(section.getByText(en.settings.deviceHere)).toBeVisible();
  await section.getByRole("button", { name: /^Sign out .*signed in/u }).press("Enter");
  await expect(section.getByRole("listitem")).toHaveCount(1);
  await expect(phone.page.getByText(en.auth.reasons["signed-out"])).toBeVisible({ timeout: 5_000 });
  await expect.poll(() => storedText(phone.page)).not.toContain(ann.username);
  await expectSignedIn(laptop.page);
});

test("the address of a conversation opens it after signing in", async ({ visitor }) => {
  const [ann, bob] = [newUser("Ann"), newUser("Bob")];
  await Promise.all([createAccount(ann), createAccount(bob)]);
  const fresh = await visitor("Ann");
  await fresh.page.goto(`/c/${bob.username}`);
  await expect(fresh.page.getByRole("heading", { name: en.auth.invited(bob.username) })).toBeVisible();
  await fresh.page.getByRole("link", { name: en.auth.signIn, exact: true }).click();
  await fresh.page.getByLabel(en.auth.email, { exact: true }).fill(ann.email);
  await fresh.page.getByLabel(en.auth.password, { exact: true }).fill(ann.password);
  await fresh.page.getByRole("button", { name: en.auth.signIn, exact: true }).click();
  await expect(composer(fresh.page, bob)).toBeVisible();
});

const passwordChanged = new RegExp(`^${en.auth.passwordChanged("").split(" on ")[0]} on .*\\d`, "u");

/** Returns the content of every database and storage of the page, as one text. */
async function storedText(page: Page): Promise<string> {
  return page.evaluate(async () => {
    const rows: unknown[] = [Object.entries(localStorage), Object.entries(sessionStorage)];
    for (const { name } of await indexedDB.databases()) {
      if (name === undefined) continue;
      const db = await new Promise<IDBDatabase>((resolve, reject) => {
        const request = indexedDB.open(name);
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
      for (const store of db.objectStoreNames) {
        rows.push(
          await new Promise((resolve, reject) => {
            const request = db.transaction(store).objectStore(store).getAll();
            request.onsuccess = () => resolve(request.result);
            request.onerror = () => reject(request.error);
          }),
        );
      }
      db.close();
    }
    return JSON.stringify(rows);
  });
}
