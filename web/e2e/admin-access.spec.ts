import type { Page } from "@playwright/test";
import { act, adminText, choose, enrol, enter, find, letters, operator, people, publish, tab } from "./support/admin";
import { expectNoFindings, expectNoSidewaysScroll } from "./support/accessible";
import { en, expectState, open, send, state } from "./support/steps";
import { account, expect, test } from "./support/test";

const { acts } = adminText;

/** Both themes and both ends of the layout; colours do not depend on the width. */
async function expectFine(page: Page): Promise<void> {
  await expectNoFindings(page, page.viewportSize()?.width === 360 ? "light" : "dark");
  await expectNoSidewaysScroll(page);
}

const longName = `Bob ${"of the very long name ".repeat(2)}`;

for (const viewport of [
  { width: 360, height: 740 },
  { width: 1280, height: 800 },
]) {
  test.describe(`at ${viewport.width} px`, () => {
    test("axe finds nothing on the people's pages of the panel, and nothing sticks out", async ({ visitor }) => {
      const bob = account("Bob");
      await enrol({ ...bob, name: longName });
      const { page } = await operator(visitor, undefined, { viewport });

      const row = await find(page, bob);
      await expectFine(page);
      await row.getByRole("button").click();
      await expect(page.getByRole("menu").getByRole("menuitem").first()).toBeFocused();
      await expectFine(page);
      await page.keyboard.press("Escape");
      for (const item of [acts.rename, acts.remove]) {
        const dialog = await choose(page, row, item);
        await expectFine(page);
        await dialog.getByRole("button", { name: en.common.cancel }).click();
      }
      await page.getByRole("button", { name: adminText.people.add }).click();
      await page.getByRole("dialog").getByRole("button", { name: acts.addDo, exact: true }).click();
      await expect(page.getByRole("dialog").getByRole("textbox", { name: en.entry.email })).toHaveAttribute(
        "aria-invalid",
        "true",
      );
      await expectFine(page);
      await page.keyboard.press("Escape");
      await act(page, bob, acts.disable, "Advertising");
      await act(page, bob, acts.makeAdmin, "Is one of us");
      await expectFine(page);
      await page.getByRole("searchbox").fill("nobody.at.all");
      await expect(page.getByText(adminText.people.empty)).toBeVisible();
      await expectFine(page);
      await page.route("**/api/admin/users*", (route) =>
        route.fulfill({
          status: 503,
          contentType: "application/problem+json",
          body: '{"code":"unavailable","detail":"The chat is not available right now. Try again in a moment."}',
        }),
      );
      await page.getByRole("searchbox").fill(bob.username);
      await expect(page.getByRole("button", { name: en.common.retry })).toBeVisible();
      await expectFine(page);
      await page.unroute("**/api/admin/users*");
      await page.getByRole("button", { name: en.common.retry }).click();
      await expect(people(page)).toBeVisible();
    });

    test("nor on those of figures, dead letters, the log and messages", async ({ person, visitor }) => {
      const [ann, bob] = [await person("Ann"), account("Bob")];
      await enrol({ ...bob, name: longName });
      const at = await enter(visitor, bob);
      await open(at.page, ann);
      await send(at.page, ann, `averylongwordwithoutanyspace${"e".repeat(200)}`);
      await expectState(at.page, ann, "averylongword", state.arrived);
      const mark = crypto.randomUUID();
      await publish(`{"v":2,"mark":"${mark}","note":"${"e".repeat(300)}"}`);
      const { page } = await operator(visitor, undefined, { viewport });
      await act(page, bob, acts.disable, `A reason that goes on and on, ${"word after word, ".repeat(6)}and ends`);

      await tab(page, "figures");
      await expect(page.getByRole("img", { name: adminText.figures.perDay })).toBeVisible();
      await page.getByText(adminText.figures.perDayTable).click();
      await expectFine(page);
      await tab(page, "dead-letters");
      const letter = await letters(page, mark, 1);
      await letter.getByText(adminText.letters.content).click();
      await expectFine(page);
      await letter.getByRole("button", { name: adminText.letters.discard }).click();
      await expectFine(page);
      await page.keyboard.press("Escape");
      await tab(page, "audit");
      await expect(page.getByRole("table", { name: adminText.audit.label })).toContainText(bob.username);
      await expectFine(page);
      await tab(page, "messages");
      await page.getByRole("searchbox").fill(bob.username);
      await page.getByRole("list", { name: adminText.messages.pick }).getByRole("button").click();
      await page.getByRole("button", { name: adminText.messages.open }).click();
      await expectFine(page);
      await page.getByLabel(adminText.reason, { exact: true }).fill("Complaint");
      await page.getByRole("button", { name: adminText.messages.open }).click();
      await expect(page.getByRole("button", { name: ann.name })).toBeVisible();
      await expectFine(page);
      await page.getByRole("button", { name: ann.name }).click();
      await expect(page.getByRole("table")).toContainText("averylongword");
      await expectFine(page);
    });
  });
}

test("an operator's errand by keyboard alone", async ({ person, visitor }) => {
  const bob = await person("Bob");
  const { page } = await operator(visitor);
  const { keyboard } = page;
  /** Tabs on until something with this name has the focus. */
  const tabTo = async (role: "searchbox" | "button" | "link" | "textbox", name: string | RegExp): Promise<void> => {
    const goal = page.getByRole(role, { name }).first();
    for (let steps = 0; steps < 40; steps++) {
      if (await goal.evaluate((element) => element === document.activeElement).catch(() => false)) return;
      await keyboard.press("Tab");
    }
    throw new Error(`The focus never comes to ${String(name)}.`);
  };
  await tabTo("searchbox", adminText.people.search);
  await keyboard.type(bob.username);
  await expect(people(page).getByRole("rowheader")).toHaveCount(1);
  await tabTo("button", adminText.actions(bob.name));
  await keyboard.press("Enter");
  await expect(page.getByRole("menuitem", { name: new RegExp(`^${acts.rename}`) })).toBeFocused();
  await keyboard.type("s"); // to "Send a password reset"
  await keyboard.type("s"); // to "Sign out everywhere"
  await keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: acts.signOutTitle(bob.name) });
  await expect(dialog).toBeVisible();
  await tabTo("textbox", adminText.reasonOptional);
  await keyboard.type("Lost phone");
  await keyboard.press("Enter");
  await expect(dialog).toBeHidden();
  await expect(page.getByRole("button", { name: adminText.actions(bob.name) })).toBeFocused(); // back where it began
  await expect(bob.page.getByText(en.entry.reasons.ended)).toBeVisible({ timeout: 5_000 });

  await page.goto("/admin"); // from the top
  await tabTo("link", adminText.tabs.audit);
  await keyboard.press("Enter");
  await expect(page.getByRole("row").filter({ hasText: bob.username })).toContainText("Lost phone");
  await page.goto("/admin");
  await tabTo("link", adminText.tabs.messages);
  await keyboard.press("Enter");
  await tabTo("searchbox", adminText.messages.who);
  await keyboard.type(bob.username);
  await expect(page.getByRole("list", { name: adminText.messages.pick }).getByRole("button")).toHaveCount(1);
  await tabTo("button", new RegExp(bob.name));
  await keyboard.press("Enter");
  await tabTo("textbox", adminText.reason);
  await keyboard.type("Complaint");
  await keyboard.press("Enter");
  await expect(page.getByText(adminText.messages.noConversations)).toBeVisible();
});
