import { act, adminText, choose, enrol, enter, find, logged, operator, people } from "./support/admin";
import { conversation, saved, signIn } from "./support/archive";
import { chatWith, en, expectIn, expectState, fillSignIn, message, open, send, state } from "./support/steps";
import { system } from "./support/system";
import { account, expect, test } from "./support/test";

const { acts } = adminText;

test("people are found by name, username and email, and by page", async ({ visitor }) => {
  const { page } = await operator(visitor);
  const crowd = Array.from({ length: 53 }, (_, i) => ({
    ...account("Crowd"),
    name: `Crowd ${String(i).padStart(2, "0")}`,
  }));
  const mark = crypto.randomUUID().slice(0, 8);
  // One after the other: sign-ups from one address are counted in one place, and wait for each other there.
  for (const [i, who] of crowd.entries()) await enrol({ ...who, username: `${mark}.${String(i).padStart(2, "0")}` });
  const box = page.getByRole("searchbox", { name: adminText.people.search });
  const rows = people(page).getByRole("rowheader");
  await box.fill(mark);
  await expect(rows.first()).toContainText("Crowd 00");
  await expect(rows).toHaveCount(50);
  await page.getByRole("button", { name: adminText.more }).click();
  await expect(rows).toHaveCount(53);
  await expect(page.getByRole("button", { name: adminText.more })).toBeHidden();
  const shown = (await rows.allInnerTexts()).map((text) => /@(\S+)/.exec(text)?.[1]);
  expect(shown).toEqual(crowd.map((_, i) => `${mark}.${String(i).padStart(2, "0")}`)); // each once, by name
  await box.fill(crowd[7]?.email ?? "");
  await expect(rows).toHaveCount(1);
  await expect(rows).toContainText("Crowd 07");
  await expect(page.getByRole("combobox", { name: adminText.people.order })).toBeDisabled(); // a search has an order of its own
  let asked = 0;
  page.on("request", (request) => void (request.url().includes("/admin/users") && asked++));
  await box.fill(`${mark}.nobody`);
  await expect(page.getByText(adminText.people.empty)).toBeVisible();
  expect(asked).toBe(1); // and nobody is asked for again and again
  await page.getByRole("button", { name: adminText.people.emptyDo }).click();
  await expect(box).toHaveValue("");
  await expect(rows.first()).toBeVisible();
});

test("somebody who is added signs in", async ({ visitor }) => {
  const { page } = await operator(visitor);
  const help = account("Help");
  await page.getByRole("button", { name: adminText.people.add }).click();
  const dialog = page.getByRole("dialog", { name: acts.addTitle });
  await dialog.getByLabel(en.entry.name, { exact: true }).fill(help.name);
  await dialog.getByLabel(en.entry.username, { exact: true }).fill(help.username);
  await dialog.getByLabel(en.entry.email, { exact: true }).fill(help.email);
  await dialog.getByRole("button", { name: acts.addDo, exact: true }).click();
  await expect(dialog.getByLabel(en.entry.password, { exact: true })).toHaveAttribute("aria-invalid", "true");
  await dialog.getByLabel(en.entry.password, { exact: true }).fill(help.password);
  await dialog.getByLabel(adminText.reasonOptional).fill("Our help desk");
  await dialog.getByRole("button", { name: acts.addDo, exact: true }).click();
  await expect(dialog).toBeHidden();
  await expect(
    people(page)
      .getByRole("row")
      .filter({ hasText: `@${help.username}` }),
  ).toBeVisible(); // newest first
  await enter(visitor, help);
  await expect(await logged(page, help.username, "Our help desk")).toContainText(adminText.audit.actions["add"] ?? "");
});

test("somebody who is renamed has the new name before everybody's eyes", async ({ person, visitor }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  await open(ann.page, bob);
  await send(ann.page, bob, "hello there");
  const { page } = await operator(visitor);
  const dialog = await choose(page, await find(page, bob), acts.rename);
  const now = account("Robert");
  await dialog.getByLabel(en.entry.name, { exact: true }).fill(now.name);
  await dialog.getByLabel(en.entry.username, { exact: true }).fill(ann.username);
  await dialog.getByRole("button", { name: acts.rename, exact: true }).click();
  await expect(dialog.getByLabel(en.entry.username, { exact: true })).toHaveAccessibleDescription(/taken/);
  await dialog.getByLabel(en.entry.username, { exact: true }).fill(now.username);
  await dialog.getByRole("button", { name: acts.rename, exact: true }).click();
  await expect(dialog).toBeHidden();
  await expect(
    people(page)
      .getByRole("row")
      .filter({ hasText: `@${now.username}` }),
  ).toContainText(now.name);
  await ann.page.goto("/");
  await chatWith(ann.page, bob).click(); // as it was known; opening it asks for the name
  await expect(message(ann.page, now, "hello there")).toBeVisible();
  await expect(chatWith(ann.page, now)).toBeVisible();
  await open(ann.page, now); // by the new username
  await bob.page.goto("/settings");
  await expect(bob.page.getByLabel(en.entry.name, { exact: true })).toHaveValue(now.name);
});

test("the panel opens for a new admin and closes for a former one", async ({ person, visitor }) => {
  const bob = await person("Bob");
  await bob.page.goto("/admin");
  await expect(bob.page.getByText(adminText.only)).toBeVisible();
  const { page } = await operator(visitor);
  await act(page, bob, acts.makeAdmin, "Runs the late shift");
  await expect(await find(page, bob)).toContainText(adminText.people.admin);
  await bob.page.reload();
  await find(bob.page, bob); // answered at once, though the token is from before
  await act(page, bob, acts.unmakeAdmin, "The shift is over");
  await expect(await find(page, bob)).not.toContainText(adminText.people.admin);
  // Bob's panel is still open; its next question closes it.
  await bob.page.getByRole("link", { name: adminText.tabs.audit }).click();
  await expect(bob.page.getByText(adminText.only)).toBeVisible();
  await expect(bob.page.getByRole("navigation", { name: adminText.nav })).toBeHidden();
  await logged(page, bob.username, "Runs the late shift");
  await logged(page, bob.username, "The shift is over");
});

test("somebody is deleted with all that is theirs, and what waits for them is not delivered", async ({
  person,
  visitor,
}) => {
  const [ann, eve] = [await person("Ann"), await person("Eve")];
  await open(eve.page, ann);
  await send(eve.page, ann, "read me and regret it");
  await open(ann.page, eve);
  await send(ann.page, eve, "I would rather not");
  await expectState(ann.page, eve, "I would rather not", state.arrived);
  const [a, e] = [await signIn(ann), await signIn(eve)];
  const talk = conversation(a.uid, e.uid);
  const kept = ann.sockets.received.find((f) => f.event?.type === "message")?.event?.id ?? "";
  await expect.poll(() => saved(a.token, talk, kept)).toBe(true);
  // Eve is away, and something waits for her.
  await eve.sockets.close();
  await send(ann.page, eve, "are you still there?");
  await expectState(ann.page, eve, "are you still there?", state.sent);

  const { page } = await operator(visitor);
  const dialog = await choose(page, await find(page, eve), acts.remove);
  await expect(dialog).toContainText(acts.removeLong);
  await dialog.getByLabel(adminText.reasonOptional).fill("Asked for it in writing");
  await dialog.getByRole("button", { name: acts.remove, exact: true }).click();
  await expect(dialog).toContainText(acts.removeMismatch(eve.username)); // not without the name
  await dialog.getByLabel(acts.removeConfirm(eve.username)).fill(eve.username);
  await dialog.getByRole("button", { name: acts.remove, exact: true }).click();
  await expect(dialog).toBeHidden();
  await expect(people(page)).toBeHidden(); // the search has no other hit
  await expect(page.getByText(adminText.people.empty)).toBeVisible();

  // Ann is told that it is not delivered.
  await expect(ann.page.getByRole("article").filter({ hasText: "are you still there?" })).toContainText(
    en.talk.notSent,
  );
  expect(await saved(a.token, talk, kept)).toBe(false);
  // Eve is out, and does not come in again.
  await eve.sockets.online(eve.context);
  await expect(eve.page.getByText(en.entry.reasons.deleted)).toBeVisible();
  const again = await visitor("Eve");
  await fillSignIn(again.page, eve);
  await expect(again.page.getByRole("alert")).not.toBeEmpty();
  await expect(again.page.getByRole("navigation", { name: en.nav.label })).toBeHidden();
  await logged(page, eve.username, "Asked for it in writing");
});

test("who is signed out everywhere is told, and signs in again", async ({ person, visitor }) => {
  const bob = await person("Bob");
  const phone = await enter(visitor, bob);
  const { page } = await operator(visitor);
  await act(page, bob, acts.signOut, "Lost phone");
  for (const device of [bob.page, phone.page])
    await expect(device.getByText(en.entry.reasons.ended)).toBeVisible({ timeout: 5_000 });
  await fillSignIn(phone.page, bob);
  await expectIn(phone.page);
  await logged(page, bob.username, "Lost phone");
});

test("a password reset reaches the person, and makes a new password", async ({ visitor }) => {
  const bob = account("Bob");
  await enrol(bob);
  const { page } = await operator(visitor);
  const dialog = await choose(page, await find(page, bob), acts.reset);
  await expect(dialog).toContainText(bob.email);
  await dialog.getByRole("button", { name: acts.reset, exact: true }).click();
  await expect(page.getByText(acts.done.reset(bob.name))).toBeVisible();
  const answer = await fetch(`http://${system().auth}/emulator/v1/projects/${system().project}/oobCodes`);
  const { oobCodes } = (await answer.json()) as {
    oobCodes: readonly { readonly email: string; readonly oobLink: string }[];
  };
  const link = oobCodes.filter((code) => code.email === bob.email).at(-1)?.oobLink;
  const at = await visitor("Bob");
  await at.page.goto(link ?? "/nothing-was-sent");
  await at.page.getByLabel(en.entry.newPassword, { exact: true }).fill("colder ashes by day");
  await at.page.getByRole("button", { name: en.entry.resetSave }).click();
  await expectIn(at.page);
  await logged(page, bob.username, adminText.audit.actions["password_reset"] ?? "");
});

test("two admins at one person at once both get a clear word", async ({ visitor }) => {
  const [one, two] = [await operator(visitor), await operator(visitor)];
  const [bob, eve] = [account("Bob"), account("Eve")];
  await enrol(bob);
  await enrol(eve);
  // Both disable: it is done, and both are told so.
  const both = [
    await choose(one.page, await find(one.page, bob), acts.disable),
    await choose(two.page, await find(two.page, bob), acts.disable),
  ];
  await Promise.all(both.map((dialog) => dialog.getByRole("button", { name: acts.disable, exact: true }).click()));
  for (const { page } of [one, two]) {
    await expect(page.getByText(acts.done.disable(bob.name))).toBeVisible();
    await expect(await find(page, bob)).toContainText(adminText.people.disabled);
  }
  // One deletes, while the other has the question open.
  const late = await choose(two.page, await find(two.page, eve), acts.disable);
  await act(one.page, eve, acts.remove, "");
  await late.getByRole("button", { name: acts.disable, exact: true }).click();
  await expect(late.getByRole("alert")).toHaveText(
    "This person no longer exists. Another admin may have deleted them.",
  );
  await late.getByRole("button", { name: "Cancel" }).click();
  await expect(two.page.getByText(adminText.people.empty)).toBeVisible(); // the list is mended
});

test("saved messages are read only for a reason, which the audit log keeps", async ({ person, visitor }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  await open(ann.page, bob);
  await send(ann.page, bob, "meet me at the old mill");
  await expectState(ann.page, bob, "meet me at the old mill", state.arrived);
  await open(bob.page, ann);
  await send(bob.page, ann, "<b>never</b> there");
  await expectState(bob.page, ann, "<b>never</b> there", state.arrived);

  const { page } = await operator(visitor);
  const row = await find(page, ann);
  await row.getByRole("button").click();
  await page.getByRole("menuitem", { name: new RegExp(`^${acts.messages}`) }).click();
  await expect(page).toHaveURL(/\/admin\/messages$/);
  const asked: string[] = [];
  page.on("request", (request) => void (request.url().includes("/api/admin/") && asked.push(request.url())));
  for (const empty of ["", "   "]) {
    await page.getByLabel(adminText.reason, { exact: true }).fill(empty);
    await page.getByRole("button", { name: adminText.messages.open }).click();
    await expect(page.getByText(adminText.reasonMissing)).toBeVisible();
  }
  expect(asked).toEqual([]); // nothing was looked at
  const why = `Complaint ${crypto.randomUUID().slice(0, 8)}`;
  await page.getByLabel(adminText.reason, { exact: true }).fill(why);
  await page.getByRole("button", { name: adminText.messages.open }).click();
  await page.getByRole("button", { name: bob.name }).click();
  const table = page.getByRole("table");
  await expect(table.getByRole("row").filter({ hasText: "meet me at the old mill" })).toContainText(ann.name);
  await expect(table.getByRole("row").filter({ hasText: "<b>never</b> there" })).toContainText(bob.name);
  await expect(table.locator("b")).toHaveCount(0);
  await expect(await logged(page, why, adminText.audit.actions["read_conversations"] ?? "")).toContainText(
    ann.username,
  );
  await expect(await logged(page, why, adminText.audit.actions["read_messages"] ?? "")).toContainText(bob.username);
});

test("the audit log names who was made an admin by command", async ({ visitor }) => {
  const { page, username } = await operator(visitor);
  await expect(await logged(page, username, adminText.audit.actions["make_admin"] ?? "")).toContainText(
    "createsuperuser",
  );
});
