import { factorText } from "../src/text/secondFactor";
import {
  adminText,
  auditEntry,
  chooseAction,
  createAccount,
  findRow,
  operator,
  people,
  perform,
  rejected,
} from "./support/admin";
import { signIn } from "./support/accounts";
import { conversationId, saved } from "./support/archive";
import { chatWith, en, expectSignedIn, expectState, fillSignIn, message, open, send, state } from "./support/steps";
import { system } from "./support/system";
import { backend, expect, newUser, test } from "./support/test";
import { setUpApp } from "./support/totp";

const { actions } = adminText;

test("people can be found by name, username and email, page by page", async ({ signedIn }) => {
  const { page } = await operator(signedIn);
  const crowd = Array.from({ length: 53 }, (_, i) => ({
    ...newUser("Crowd"),
    name: `Crowd ${String(i).padStart(2, "0")}`,
  }));
  const mark = crypto.randomUUID().slice(0, 8);
  // In sequence: concurrent sign-ups from one address contend for the same counter.
  for (const [i, who] of crowd.entries())
    await createAccount({ ...who, username: `${mark}.${String(i).padStart(2, "0")}` });
  const box = page.getByRole("searchbox", { name: adminText.people.search });
  const rows = people(page).getByRole("rowheader");
  await box.fill(mark);
  await expect(rows.first()).toContainText("Crowd 00");
  await expect(rows).toHaveCount(50);
  await page.getByRole("button", { name: adminText.more }).click();
  await expect(rows).toHaveCount(53);
  await expect(page.getByRole("button", { name: adminText.more })).toBeHidden();
  const shown = (await rows.allInnerTexts()).map((text) => /@(\S+)/.exec(text)?.[1]);
  expect(shown).toEqual(crowd.map((_, i) => `${mark}.${String(i).padStart(2, "0")}`)); // each of them once, in order of name
  await box.fill(crowd[7]?.email ?? "");
  await expect(rows).toHaveCount(1);
  await expect(rows).toContainText("Crowd 07");
  await expect(page.getByRole("combobox", { name: adminText.people.order })).toBeDisabled(); // a search has a fixed order
  let requests = 0;
  page.on("request", (request) => void (request.url().includes("/admin/users") && requests++));
  await box.fill(`${mark}.nobody`);
  await expect(page.getByText(adminText.people.empty)).toBeVisible();
  expect(requests).toBe(1); // an empty result is not requested again and again
  await page.getByRole("button", { name: adminText.people.emptyDo }).click();
  await expect(box).toHaveValue("");
  await expect(rows.first()).toBeVisible();
});

test("a user whom an admin adds can sign in", async ({ signedIn }) => {
  const { page } = await operator(signedIn);
  const help = newUser("Help");
  await page.getByRole("button", { name: adminText.people.add }).click();
  const dialog = page.getByRole("dialog", { name: actions.addTitle });
  await dialog.getByLabel(en.auth.name, { exact: true }).fill(help.name);
  await dialog.getByLabel(en.auth.username, { exact: true }).fill(help.username);
  await dialog.getByLabel(en.auth.email, { exact: true }).fill(help.email);
  await dialog.getByRole("button", { name: actions.addDo, exact: true }).click();
  await expect(dialog.getByLabel(en.auth.password, { exact: true })).toHaveAttribute("aria-invalid", "true");
  await dialog.getByLabel(en.auth.password, { exact: true }).fill(help.password);
  await dialog.getByLabel(adminText.reasonOptional).fill("Our help desk");
  await dialog.getByRole("button", { name: actions.addDo, exact: true }).click();
  await expect(dialog).toBeHidden();
  await expect(
    people(page)
      .getByRole("row")
      .filter({ hasText: `@${help.username}` }),
  ).toBeVisible(); // newest first
  await signedIn(help);
  await expect(await auditEntry(page, help.username, "Our help desk")).toContainText(
    adminText.audit.actions["add"] ?? "",
  );
});

test("everybody sees the new name of a user whom an admin renames", async ({ user, signedIn }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  await send(ann.page, bob, "hello there");
  const { page } = await operator(signedIn);
  const dialog = await chooseAction(page, await findRow(page, bob), actions.rename);
  const renamed = newUser("Robert");
  await dialog.getByLabel(en.auth.name, { exact: true }).fill(renamed.name);
  await dialog.getByLabel(en.auth.username, { exact: true }).fill(ann.username);
  await dialog.getByRole("button", { name: actions.rename, exact: true }).click();
  await expect(dialog.getByLabel(en.auth.username, { exact: true })).toHaveAccessibleDescription(/taken/);
  await dialog.getByLabel(en.auth.username, { exact: true }).fill(renamed.username);
  await dialog.getByRole("button", { name: actions.rename, exact: true }).click();
  await expect(dialog).toBeHidden();
  await expect(
    people(page)
      .getByRole("row")
      .filter({ hasText: `@${renamed.username}` }),
  ).toContainText(renamed.name);
  await ann.page.goto("/");
  await chatWith(ann.page, bob).click(); // under the old name; opening it loads the new one
  await expect(message(ann.page, renamed, "hello there")).toBeVisible();
  await expect(chatWith(ann.page, renamed)).toBeVisible();
  await open(ann.page, renamed); // by the new username
  await bob.page.goto("/settings");
  await expect(bob.page.getByLabel(en.auth.name, { exact: true })).toHaveValue(renamed.name);
});

test("the panel opens for a new admin with two-step verification, and closes for a former one", async ({
  user,
  signedIn,
}) => {
  const bob = await user("Bob");
  await bob.page.goto("/admin");
  await expect(bob.page.getByText(adminText.only)).toBeVisible();
  await expect(bob.page.getByRole("searchbox")).toBeHidden();
  await expect(bob.page.getByRole("link", { name: adminText.tabs.audit })).toBeHidden();
  const { page } = await operator(signedIn);
  await perform(page, bob, actions.makeAdmin, "Runs the late shift");
  await expect(await findRow(page, bob)).toContainText(adminText.people.admin);
  await bob.page.reload();
  await bob.page.getByRole("link", { name: factorText.adminDo }).click();
  await setUpApp(bob.page, bob);
  await bob.page.goto("/admin");
  await findRow(bob.page, bob);
  await perform(page, bob, actions.unmakeAdmin, "The shift is over");
  await expect(await findRow(page, bob)).not.toContainText(adminText.people.admin);
  // Bob's panel closes by itself.
  await expect(bob.page.getByText(adminText.only)).toBeVisible();
  await expect(bob.page.getByRole("navigation", { name: adminText.nav })).toBeHidden();
  await auditEntry(page, bob.username, "Runs the late shift");
  await auditEntry(page, bob.username, "The shift is over");
});

test(
  "deleting a user deletes their messages, and queued messages to them are not delivered",
  { tag: backend },
  async ({ user, signedIn, visitor }) => {
    const [ann, eve] = await Promise.all([user("Ann"), user("Eve")]);
    await open(eve.page, ann);
    await send(eve.page, ann, "read me and regret it");
    await open(ann.page, eve);
    await send(ann.page, eve, "I would rather not");
    await expectState(ann.page, eve, "I would rather not", state.arrived);
    const [a, e] = await Promise.all([signIn(ann), signIn(eve)]);
    const id = conversationId(a.uid, e.uid);
    const received = ann.sockets.received.find((f) => f.event?.type === "message")?.event?.id ?? "";
    await expect.poll(() => saved(a.token, id, { id: received, from: e.uid })).toBe(true);
    // A message to Eve is queued while she is offline.
    await eve.sockets.offline(eve.context);
    await send(ann.page, eve, "are you still there?");
    await expectState(ann.page, eve, "are you still there?", state.sent);

    const { page } = await operator(signedIn);
    const dialog = await chooseAction(page, await findRow(page, eve), actions.remove);
    await expect(dialog).toContainText(actions.removeLong);
    await dialog.getByRole("button", { name: actions.remove, exact: true }).click();
    await expect(dialog).toContainText(actions.removeMismatch(eve.username)); // the name is required
    await expect(dialog).toContainText(adminText.reasonMissing); // and so is a reason
    await dialog.getByLabel(adminText.reason, { exact: true }).fill("Asked for it in writing");
    await dialog.getByLabel(actions.removeConfirm(eve.username)).fill(eve.username);
    await dialog.getByRole("button", { name: actions.remove, exact: true }).click();
    await expect(dialog).toBeHidden();
    await expect(people(page)).toBeHidden(); // the search has no other result
    await expect(page.getByText(adminText.people.empty)).toBeVisible();

    // Ann sees that it was not delivered.
    await expect(ann.page.getByRole("article").filter({ hasText: "are you still there?" })).toContainText(
      en.conversation.notSent,
    );
    expect(await saved(a.token, id, { id: received, from: e.uid })).toBe(false);
    // Eve is signed out and cannot sign in again.
    await eve.sockets.online(eve.context);
    await expect(eve.page.getByText(en.auth.reasons.deleted)).toBeVisible();
    const again = await visitor("Eve");
    await fillSignIn(again.page, eve);
    await expect(again.page.getByRole("alert")).not.toBeEmpty();
    await expect(again.page.getByRole("navigation", { name: en.nav.label })).toBeHidden();
    await auditEntry(page, eve.username, "Asked for it in writing");
  },
);

test("a user whom an admin signs out everywhere sees why, and can sign in again", async ({ user, signedIn }) => {
  const bob = await user("Bob");
  const phone = await signedIn(bob);
  const { page } = await operator(signedIn);
  await perform(page, bob, actions.signOut, "Lost phone");
  for (const device of [bob.page, phone.page])
    await expect(device.getByText(en.auth.reasons.ended)).toBeVisible({ timeout: 5_000 });
  await fillSignIn(phone.page, bob);
  await expectSignedIn(phone.page);
  await auditEntry(page, bob.username, "Lost phone");
});

test("an admin sends a password reset, and its link sets a new password", async ({ signedIn, visitor }) => {
  const bob = newUser("Bob");
  await createAccount(bob);
  const { page } = await operator(signedIn);
  const dialog = await chooseAction(page, await findRow(page, bob), actions.reset);
  await expect(dialog).toContainText(bob.email);
  await dialog.getByRole("button", { name: actions.reset, exact: true }).click();
  await expect(page.getByText(actions.done.reset(bob.name))).toBeVisible();
  const answer = await fetch(`http://${system().auth}/emulator/v1/projects/${system().project}/oobCodes`);
  const { oobCodes } = (await answer.json()) as {
    oobCodes: readonly { readonly email: string; readonly oobLink: string }[];
  };
  const link = oobCodes.filter((code) => code.email === bob.email).at(-1)?.oobLink;
  const at = await visitor("Bob");
  await at.page.goto(link ?? "/nothing-was-sent");
  await at.page.getByLabel(en.auth.newPassword, { exact: true }).fill("colder ashes by day");
  await at.page.getByRole("button", { name: en.auth.resetSave }).click();
  await expectSignedIn(at.page);
  await auditEntry(page, bob.username, adminText.audit.actions["password_reset"] ?? "");
});

test("two admins who change one user at once both see the result", async ({ signedIn }) => {
  const [one, two] = await Promise.all([operator(signedIn), operator(signedIn)]);
  const [bob, eve] = [newUser("Bob"), newUser("Eve")];
  await createAccount(bob);
  await createAccount(eve);
  // Both disable the user. Both succeed.
  const both = [
    await chooseAction(one.page, await findRow(one.page, bob), actions.disable),
    await chooseAction(two.page, await findRow(two.page, bob), actions.disable),
  ];
  await Promise.all(both.map((dialog) => dialog.getByRole("button", { name: actions.disable, exact: true }).click()));
  for (const { page } of [one, two]) {
    await expect(page.getByText(actions.done.disable(bob.name))).toBeVisible();
    await expect(await findRow(page, bob)).toContainText(adminText.people.disabled);
  }
  // One deletes the user while the other has a dialog open.
  const late = await chooseAction(two.page, await findRow(two.page, eve), actions.disable);
  await perform(one.page, eve, actions.remove, "Asked for it");
  const sentence = await rejected(two.page, "user_not_found", () =>
    late.getByRole("button", { name: actions.disable, exact: true }).click(),
  );
  await expect(late.getByRole("alert")).toHaveText(sentence);
  await late.getByRole("button", { name: "Cancel" }).click();
  await expect(two.page.getByText(adminText.people.empty)).toBeVisible(); // the list is up to date again
});

test("reading saved messages requires a reason, which the audit log keeps", async ({ user, signedIn }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  await send(ann.page, bob, "meet me at the old mill");
  await expectState(ann.page, bob, "meet me at the old mill", state.arrived);
  await open(bob.page, ann);
  await send(bob.page, ann, "<b>never</b> there");
  await expectState(bob.page, ann, "<b>never</b> there", state.arrived);

  const { page } = await operator(signedIn);
  const row = await findRow(page, ann);
  await row.getByRole("button").click();
  await page.getByRole("menuitem", { name: new RegExp(`^${actions.messages}`) }).click();
  await expect(page).toHaveURL(/\/admin\/messages$/);
  const requests: string[] = [];
  page.on("request", (request) => void (request.url().includes("/api/admin/") && requests.push(request.url())));
  for (const empty of ["", "   "]) {
    await page.getByLabel(adminText.reason, { exact: true }).fill(empty);
    await page.getByRole("button", { name: adminText.messages.open }).click();
    await expect(page.getByText(adminText.reasonMissing)).toBeVisible();
  }
  expect(requests).toEqual([]); // nothing was read
  const why = `Complaint ${crypto.randomUUID().slice(0, 8)}`;
  await page.getByLabel(adminText.reason, { exact: true }).fill(why);
  await page.getByRole("button", { name: adminText.messages.open }).click();
  await page.getByRole("button", { name: bob.name }).click();
  const table = page.getByRole("table");
  await expect(table.getByRole("row").filter({ hasText: "meet me at the old mill" })).toContainText(ann.name);
  await expect(table.getByRole("row").filter({ hasText: "<b>never</b> there" })).toContainText(bob.name);
  await expect(table.locator("b")).toHaveCount(0);
  await expect(await auditEntry(page, why, adminText.audit.actions["read_conversations"] ?? "")).toContainText(
    ann.username,
  );
  await expect(await auditEntry(page, why, adminText.audit.actions["read_messages"] ?? "")).toContainText(bob.username);
});

test("the audit log names an admin who was made by command", async ({ signedIn }) => {
  const { page, username } = await operator(signedIn);
  await expect(await auditEntry(page, username, adminText.audit.actions["make_admin"] ?? "")).toContainText(
    "createsuperuser",
  );
});
