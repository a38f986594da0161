import { chromium, type Page } from "@playwright/test";
import { launchOptions } from "./support/browser";
import {
  chatWith,
  composer,
  en,
  expectIn,
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
import { account, engines, expect, test } from "./support/test";

test("somebody signs up, is in at once, and signs in again later", async ({ visitor }) => {
  const ann = await visitor("Ann");
  await signUp(ann.page, ann);
  await expect(ann.page.getByText(en.chats.empty)).toBeVisible();
  const again = await visitor("Ann again");
  await fillSignIn(again.page, ann);
  await expectIn(again.page);
});

test("a wrong password says so and lets in nobody", async ({ person, visitor }) => {
  const ann = await person("Ann");
  const thief = await visitor("Thief");
  await fillSignIn(thief.page, { ...ann, password: "a guess in the dark" });
  await expect(thief.page.getByRole("alert")).toHaveText(en.entry.errors.passwordWrong);
  await expect(thief.page.getByRole("navigation", { name: en.nav.label })).toBeHidden();
  await thief.page.getByLabel(en.entry.password, { exact: true }).fill(ann.password);
  await thief.page.getByRole("button", { name: en.entry.signIn, exact: true }).click();
  await expectIn(thief.page);
});

test("a taken username and a weak password are told at their fields", async ({ person, visitor }) => {
  const ann = await person("Ann");
  const bob = await visitor("Bob");
  await fillSignUp(bob.page, { ...bob, username: ann.username, password: "short" });
  await bob.page.getByRole("button", { name: en.entry.signUp, exact: true }).click();
  await expect(bob.page.getByLabel(en.entry.password, { exact: true })).toBeFocused();
  await bob.page.getByLabel(en.entry.password, { exact: true }).fill(bob.password);
  await bob.page.getByRole("button", { name: en.entry.signUp, exact: true }).click();
  const username = bob.page.getByLabel(en.entry.username, { exact: true });
  await expect(username).toBeFocused();
  await expect(username).toHaveAttribute("aria-invalid", "true");
  await expect(username).toHaveAccessibleDescription(/taken/);
  await username.fill(bob.username);
  await bob.page.getByRole("button", { name: en.entry.signUp, exact: true }).click();
  await expectIn(bob.page);
});

test("a session outlives the browser", async ({ person }, info) => {
  const bob = await person("Bob");
  const ann = account("Ann");
  const profile = info.outputPath("profile");
  const launch = () => chromium.launchPersistentContext(profile, { ...launchOptions, baseURL: system().url });
  const before = await launch();
  const first = before.pages()[0] ?? (await before.newPage());
  await signUp(first, ann);
  await open(first, bob);
  await send(first, bob, "remember this");
  await expectState(first, bob, "remember this", state.arrived);
  await before.close();
  const after = await launch();
  const second = after.pages()[0] ?? (await after.newPage());
  await second.goto("/");
  await expectIn(second);
  await expect(chatWith(second, bob)).toContainText("remember this");
  await after.close();
});

test("signing out wipes what the browser kept", { tag: engines }, async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  await open(ann.page, bob);
  await send(ann.page, bob, "for your eyes only");
  await expectState(ann.page, bob, "for your eyes only", state.arrived);
  await ann.page.goto("/settings");
  await ann.page.getByRole("button", { name: en.settings.signOut, exact: true }).click();
  await expect(ann.page.getByRole("button", { name: en.entry.signIn, exact: true })).toBeVisible();
  expect(await keptText(ann.page)).not.toContain("for your eyes only");
  await ann.page.goto("/");
  await expect(ann.page.getByRole("navigation", { name: en.nav.label })).toBeHidden();
});

test("signing out warns while something is unsent", async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  await open(ann.page, bob);
  await ann.sockets.close();
  await send(ann.page, bob, "stuck in the tunnel");
  await expectState(ann.page, bob, "stuck in the tunnel", state.waiting);
  await ann.page.getByRole("link", { name: en.nav.yours(ann.name) }).click();
  await ann.page.getByRole("button", { name: en.settings.signOut, exact: true }).click();
  await expect(ann.page.getByText(en.settings.signOutUnsent(1))).toBeVisible();
  await ann.page.getByRole("button", { name: en.settings.stay }).click();
  await ann.page.goBack();
  await expect(message(ann.page, bob, "stuck in the tunnel")).toBeVisible();
  await ann.page.goForward();
  await ann.page.getByRole("button", { name: en.settings.signOut, exact: true }).click();
  await ann.page.getByRole("button", { name: en.settings.signOutAnyway }).click();
  await expect(ann.page.getByRole("button", { name: en.entry.signIn, exact: true })).toBeVisible();
  expect(await keptText(ann.page)).not.toContain("stuck in the tunnel");
});

test("a forgotten password is replaced through the link", async ({ person, visitor }) => {
  const ann = await person("Ann");
  const away = await visitor("Away");
  await away.page.goto("/reset");
  await away.page.getByLabel(en.entry.email, { exact: true }).fill(ann.email);
  await away.page.getByRole("button", { name: en.entry.resetSend }).click();
  await expect(away.page.getByText(en.entry.resetSent)).toBeVisible();
  await away.page.goto(await resetLink(ann.email));
  await away.page.getByLabel(en.entry.newPassword, { exact: true }).fill("colder ashes by day");
  await away.page.getByRole("button", { name: en.entry.resetSave }).click();
  await expectIn(away.page);
  // The old password is worth nothing any more.
  const thief = await visitor("Thief");
  await fillSignIn(thief.page, ann);
  await expect(thief.page.getByRole("alert")).toHaveText(en.entry.errors.passwordWrong);
});

test("an address of a conversation leads there after signing in", async ({ person, visitor }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  const fresh = await visitor("Ann");
  await fresh.page.goto(`/c/${bob.username}`);
  await fresh.page.getByLabel(en.entry.email, { exact: true }).fill(ann.email);
  await fresh.page.getByLabel(en.entry.password, { exact: true }).fill(ann.password);
  await fresh.page.getByRole("button", { name: en.entry.signIn, exact: true }).click();
  await expect(composer(fresh.page, bob)).toBeVisible();
});

/** Everything that any database, storage or cache of the page holds, as one text. */
async function keptText(page: Page): Promise<string> {
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

/** The link that the letter would have carried. */
async function resetLink(email: string): Promise<string> {
  const answer = await fetch(`http://${system().auth}/emulator/v1/projects/${system().project}/oobCodes`);
  const { oobCodes } = (await answer.json()) as {
    oobCodes: readonly { readonly email: string; readonly oobLink: string }[];
  };
  const link = oobCodes.filter((code) => code.email === email).at(-1)?.oobLink;
  if (link === undefined) throw new Error(`No letter was sent to ${email}.`);
  return link;
}
