import { heldText } from "../../src/text/held";
import { en, expect, test } from "./test";

const limits = { sockets: 10, strangerMessages: 5, newPeople: 20 };
const words = heldText.held;

for (const [code, why] of [
  ["answer_awaited", words.answer_awaited("Mira Kern", limits)],
  ["too_many_new_people", words.too_many_new_people("Mira Kern", limits)],
  ["inbox_full", words.inbox_full("Mira Kern")],
  ["outbox_full", words.outbox_full()],
  ["at_ahead", words.at_ahead()],
  ["a_code_of_a_later_version", null],
] as const) {
  test(`a message that waits for ${code} says why, above the field for the next one`, async ({ at }) => {
    const page = await at("/c/mira.kern", { "held-for": code });
    const region = page.getByRole("region", { name: en.conversation.label("Mira Kern") });
    await expect(region.getByRole("article").last()).toBeVisible();
    if (why === null) {
      await expect(region.getByText(/^Waiting /)).toHaveCount(0);
      return;
    }
    await expect(region.getByRole("status").filter({ hasText: why })).toBeVisible();
    // It covers no message, and the end of the conversation stays in view.
    const line = await region.getByText(why).boundingBox();
    const newest = await region.getByRole("article").last().boundingBox();
    const field = await region.getByRole("textbox").boundingBox();
    if (!line || !newest || !field) throw new Error("something is not visible");
    expect(newest.y + newest.height).toBeLessThanOrEqual(line.y + 1);
    expect(line.y + line.height).toBeLessThanOrEqual(field.y);
  });
}

test("who has not confirmed their address reads that this raises the limit of new people", async ({ at }) => {
  const page = await at("/c/mira.kern", { "held-for": "too_many_new_people", unverified: 1 });
  const why = words.too_many_new_people("Mira Kern", limits, { unverified: true });
  expect(why).not.toBe(words.too_many_new_people("Mira Kern", limits));
  await expect(page.getByRole("status").filter({ hasText: why })).toBeVisible();
});

test("a refusal of a person who cannot be written to does not say that the account is gone", async ({ at }) => {
  const page = await at("/c/mira.kern");
  const region = page.getByRole("region", { name: en.conversation.label("Mira Kern") });
  const refused = region.getByRole("article").filter({ hasText: "This one was refused." });
  await expect(refused).toContainText(heldText.refused(heldText.problems.recipient_unavailable));
  await expect(region.getByText(en.conversation.gone)).toHaveCount(0);
  await expect(region.getByRole("textbox")).toBeVisible();
});

test("a device that stands aside for newer ones says so, and can be used again with one button", async ({ at }) => {
  const page = await at("/c/lena", { replaced: 1 });
  const line = page.getByRole("status").filter({ hasText: en.connection.replaced(10) });
  await expect(line).toBeVisible();
  await expect(page.getByText(en.connection.offline)).toHaveCount(0);
  await line.getByRole("button", { name: en.connection.reconnect }).press("Enter");
  await expect(page.getByText(en.connection.replaced(10))).toHaveCount(0);
});

for (const place of ["/", "/signin", "/mail?mode=resetPassword&oobCode=x"]) {
  test(`a page at an address that may not use the chat names the right one (${place})`, async ({ at }) => {
    const page = await at(place, { as: "foreign" });
    await expect(page.getByRole("heading", { name: en.start.foreign })).toBeVisible();
    await expect(page.getByRole("link", { name: "https://chat.example.org" })).toHaveAttribute(
      "href",
      "https://chat.example.org",
    );
    await expect(page.getByRole("textbox")).toHaveCount(0);
  });
}

test("an admin carries a badge in every list and in the conversation, which is no part of the name", async ({ at }) => {
  const page = await at("/c/mira.kern", { badge: 0, admin: 1 });
  const badge = { name: en.chats.admin, exact: true };
  const rows = page.getByRole("list", { name: en.chats.label }).getByRole("link");
  await expect(rows.first().getByRole("img", badge)).toBeVisible();
  await expect(rows.filter({ has: page.getByRole("img", badge) })).toHaveCount(1);
  await expect(rows.first().locator(".name")).toHaveText(/^Mira Kern\s*$/u);
  const head = page.getByRole("button", { name: en.conversation.details("Mira Kern") }).first();
  await expect(head.locator('[role="img"]').filter({ has: page.locator("svg") })).toBeVisible();
  await expect(page.getByRole("heading", { name: /Mira Kern/ }).getByRole("img", badge)).toHaveCount(1);
  await page.getByRole("button", { name: en.conversation.showDetails, exact: true }).click();
  const about = page.getByRole("complementary", { name: en.conversation.details("Mira Kern") });
  await expect(about.getByRole("img", badge)).toBeVisible();
  await page.getByRole("link", { name: en.nav.people, exact: true }).click();
  const people = page.getByRole("list", { name: en.people.label }).getByRole("link");
  await expect(people.filter({ has: page.getByRole("img", badge) })).toHaveCount(1);
  // The own profile.
  await page.getByRole("link", { name: en.nav.yours("Ada Brandt") }).click();
  await expect(page.getByRole("main").getByRole("img", badge)).toBeVisible();
});

test("a username that was changed too often says so at its field; other limits say when to try again", async ({
  at,
}) => {
  const page = await at("/settings", { pause: 1_200_000 });
  const username = page.getByLabel(en.settings.username, { exact: true });
  await username.fill("third");
  await username.press("Enter");
  await expect(username).toHaveAccessibleDescription(en.auth.problems.too_many_renames);
  await expect(username).toBeFocused();
  await username.fill("fast");
  await username.press("Enter");
  await expect(page.getByRole("alert").filter({ hasText: en.later("in 20 minutes") })).toBeVisible();
});
