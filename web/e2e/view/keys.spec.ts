// Tests of the keyboard, and of the element that has the focus afterwards.
import { en, expect, test } from "./test";

test("Enter in the search for people opens the chat with the first person", async ({ at }) => {
  const page = await at("/people");
  const search = page.getByRole("searchbox", { name: en.people.search });
  await search.fill("Lena");
  await expect(page.getByRole("list", { name: en.people.label }).getByRole("link")).toHaveCount(1);
  await search.press("Enter");
  await expect(page).toHaveURL(/\/c\/lena$/u);
});

test("closing the details puts the focus into the field for the next message", async ({ at }) => {
  const page = await at("/c/lena");
  await page.getByRole("button", { name: en.conversation.details("Lena") }).click();
  const about = page.getByRole("complementary", { name: en.conversation.details("Lena") });
  await about.getByRole("button", { name: en.conversation.hideDetails }).click();
  await expect(page.getByRole("textbox", { name: en.conversation.writeTo("Lena") })).toBeFocused();
});

test("after signing out, the next person does not continue in the settings", async ({ at }) => {
  const page = await at("/settings");
  await page.getByRole("button", { name: en.settings.signOut, exact: true }).click();
  await expect(page).toHaveURL(/\/signin$/u);
});
