/** Tests that need a system without other users: exact figures, orders, the last admin, and empty lists. */
import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { Page } from "@playwright/test";
import {
  adminText,
  auditEntry,
  chooseAction,
  createAccount,
  findRow,
  openTab,
  operator,
  people,
  perform,
  publish,
  rejected,
} from "./support/admin";
import { createUnverified } from "./support/accounts";
import { expectState, en, open, send, state } from "./support/steps";
import { launch, type System, verifyAddress } from "./support/system";
import { enroll } from "./support/totp";
import { newUser, expect, test as base } from "./support/test";

const { actions, figures } = adminText;

const test = base.extend<{ own: System }>({
  own: async ({}, use) => {
    const { system, end } = await launch();
    await use(system);
    await end();
  },
});

/** Returns the number above a label. */
function figure(page: Page, label: string) {
  return page.getByRole("definition").filter({ has: page.locator(`xpath=../dt[normalize-space()="${label}"]`) });
}

test("the last admin cannot be demoted, disabled or deleted", async ({ own, signedIn }) => {
  const last = await operator(signedIn, own);
  const { page } = last;
  for (const item of [actions.unmakeAdmin, actions.disable, actions.remove]) {
    const dialog = await chooseAction(page, await findRow(page, last), item);
    if (item === actions.remove) {
      await dialog.getByLabel(actions.removeConfirm(last.username)).fill(last.username);
      await dialog.getByLabel(adminText.reason, { exact: true }).fill("Leaves");
    }
    const sentence = await rejected(page, "last_admin", () =>
      dialog.getByRole("button", { name: item, exact: true }).click(),
    );
    await expect(dialog.getByRole("alert")).toHaveText(sentence);
    await dialog.getByRole("button", { name: en.common.cancel }).click();
    await expect(dialog).toBeHidden();
  }
  // Once there is another admin, the first may leave.
  const next = newUser("Next");
  await createAccount(next, own);
  await perform(page, next, actions.makeAdmin, "Takes over");
  await perform(page, last, actions.unmakeAdmin, "Has handed over");
  await expect(page.getByText(adminText.only)).toBeVisible();
});

test("createsuperuser makes a user of a running chat an admin and revokes it, and the log shows both", async ({
  own,
  signedIn,
}, info) => {
  const boss = await operator(signedIn, own);
  const bob = newUser("Bob");
  await createUnverified(bob, own);
  const run = promisify(execFile);
  const program = info.outputPath("createsuperuser");
  await mkdir(dirname(program), { recursive: true });
  await run("go", ["build", "-o", program, "./functions/cmd/createsuperuser"], {
    cwd: join(import.meta.dirname, "../.."),
  });
  const command = async (...flags: string[]): Promise<string> =>
    (await run(program, ["-data", own.data, ...flags])).stdout;
  await expect(command("-email", bob.email)).rejects.toThrow("nobody has verified its address");
  await verifyAddress(bob.email, own);
  expect(await command("-email", bob.email)).toContain(`${bob.name} is an admin now.`);
  const at = await signedIn(bob, { of: own, place: "/admin", as: (await enroll(bob, own)).as });
  await expect(await findRow(at.page, bob)).toContainText(adminText.people.admin);
  expect(await command("-email", bob.email, "-revoke")).toMatch(new RegExp(`^${bob.name} is no\\b.*\\badmin\\b`, "u"));
  await expect(at.page.getByText(adminText.only)).toBeVisible();
  // It also creates an account, and prints its password once.
  const printed = await command("-email", "New.Boss@example.org");
  const password = /: (\S{12,})\s*$/mu.exec(printed)?.[1] ?? "";
  const added = { ...newUser("New"), email: "new.boss@example.org", password };
  const fresh = await signedIn(added, { of: own, place: "/admin", as: (await enroll(added, own)).as });
  await expect(people(fresh.page)).toBeVisible();
  for (const action of ["make_admin", "unmake_admin"])
    await expect(await auditEntry(boss.page, bob.username, adminText.audit.actions[action] ?? "")).toContainText(
      "createsuperuser",
    );
  await expect(await auditEntry(boss.page, "new.boss", adminText.audit.actions["add"] ?? "")).toContainText(
    "createsuperuser",
  );
});

test("people can be listed newest first, by name, and last active first", async ({ own, signedIn }) => {
  const [carl, ann, bob] = [newUser("Carl"), newUser("Ann"), newUser("Bob")];
  for (const who of [carl, ann, bob]) await createAccount(who, own);
  const { page, username } = await operator(signedIn, own);
  const rows = people(page).getByRole("rowheader");
  const order = page.getByRole("combobox", { name: adminText.people.order });
  const listed = async () => (await rows.allInnerTexts()).map((text) => /@(\S+)/.exec(text)?.[1]);
  await expect.poll(listed).toEqual([username, bob.username, ann.username, carl.username]);
  await order.selectOption({ label: adminText.people.orders.name });
  await expect.poll(listed).toEqual([ann.username, bob.username, carl.username, username]);
  // Activity is stored by the hour, so only a test with a fake clock can check that order (TestAdminPeople). This one
  // checks that the client requests it, and that everybody stays on the list.
  const [request] = await Promise.all([
    page.waitForRequest((sent) => sent.url().includes("/admin/users")),
    order.selectOption({ label: adminText.people.orders.active }),
  ]);
  expect(new URL(request.url()).searchParams.get("order")).toBe("active");
  await expect
    .poll(async () => (await listed()).sort())
    .toEqual([ann.username, bob.username, carl.username, username].sort());
});

test("a new system has empty lists, and its figures are then live", async ({ own, signedIn }) => {
  const { page } = await operator(signedIn, own);
  await openTab(page, "dead-letters");
  await expect(page.getByText(adminText.deadLetters.empty)).toBeVisible();
  await expect(page.getByRole("button", { name: adminText.deadLetters.replayAll })).toBeHidden();
  await openTab(page, "messages");
  await page.getByRole("searchbox").fill("nobody at all");
  await expect(page.getByText(adminText.messages.noOne)).toBeVisible();
  // The log has one entry: how this admin was made.
  await openTab(page, "audit");
  await expect(page.getByRole("table", { name: adminText.audit.label }).getByRole("row")).toHaveCount(2);

  const [ann, bob] = [newUser("Ann"), newUser("Bob")];
  for (const who of [ann, bob]) await createAccount(who, own);
  await openTab(page, "figures");
  const refreshed = { timeout: 40_000 }; // the page refreshes every 15 s, and the server caches counts for as long
  await expect(figure(page, figures.sockets)).toHaveText("1");
  await expect(figure(page, figures.people)).toHaveText("3");
  await expect(figure(page, figures.queued)).toHaveText("0");
  await expect(figure(page, figures.oldest)).toHaveText(figures.nothing);
  await expect(figure(page, figures.deadLetters)).toHaveText("0");
  await expect(page.getByRole("heading", { name: figures.perDay })).toContainText(figures.perDaySum("0"));

  const at = await signedIn(ann, { of: own });
  await open(at.page, bob);
  await send(at.page, bob, "wait for me"); // Bob is offline, so it stays queued
  await publish("not JSON", own);
  await expect(figure(page, figures.sockets)).toHaveText("2", refreshed);
  await expect(figure(page, figures.queued)).toHaveText("1", refreshed);
  await expect(figure(page, figures.oldest)).not.toHaveText(figures.nothing);
  await expect(figure(page, figures.deadLetters)).toHaveText("1", refreshed);
  await expect(page.getByRole("table").filter({ hasText: figures.instance }).getByRole("row")).toHaveCount(
    1 + own.instances.length,
  );

  const there = await signedIn(bob, { of: own });
  await expectState(at.page, bob, "wait for me", state.arrived);
  await expect(figure(page, figures.sockets)).toHaveText("3", refreshed);
  await expect(figure(page, figures.queued)).toHaveText("0", refreshed);
  await expect(page.getByRole("heading", { name: figures.perDay })).toContainText(figures.perDaySum("1"), refreshed);
  await page.getByText(figures.perDayTable).click();
  const today = page.getByRole("row").filter({ hasText: new Date().toISOString().slice(0, 10) });
  await expect(today).toContainText("1");
  await there.context.close();
  await at.context.close();
  await expect(async () => {
    // Opening the page again also loads the figures again.
    await openTab(page, "audit");
    await openTab(page, "figures");
    await expect(figure(page, figures.sockets)).toHaveText("1", { timeout: 1_000 });
  }).toPass({ timeout: 40_000 });
});
