import { en, expect, test } from "./test";

test("text shared by another app goes into the draft for whoever the user chooses", async ({ at }) => {
  const page = await at("/people?title=The+map&text=The+map&url=https%3A%2F%2Fexample.org%2Fmap");
  await expect(page.getByText(en.people.share)).toBeVisible();
  expect(new URL(page.url()).searchParams.has("url")).toBe(false);
  await page.getByRole("link", { name: /Lena/ }).click();
  await expect(page.getByRole("textbox")).toHaveValue("The map\nhttps://example.org/map");
  await page.getByRole("link", { name: en.nav.people, exact: true }).click();
  await expect(page.getByRole("searchbox")).toBeVisible();
  await expect(page.getByText(en.people.share)).toHaveCount(0);
});

test("shared text is added to what the user has written, and survives signing in", async ({ at }) => {
  const page = await at("/people?text=Look", { as: "signed-out" });
  await page.getByRole("link", { name: en.auth.signIn, exact: true }).click();
  await page.getByLabel(en.auth.email, { exact: true }).fill("ada@example.org");
  await page.getByLabel(en.auth.password, { exact: true }).fill("right");
  await page.keyboard.press("Enter");
  await expect(page.getByText(en.people.share)).toBeVisible();
  await page.getByRole("link", { name: /木村/ }).click();
  await expect(page.getByRole("textbox")).toHaveValue("I wanted to ask whether\nLook");
});

for (const [scheme, file] of [
  ["light", "/manifest.webmanifest"],
  ["dark", "/manifest-dark.webmanifest"],
] as const) {
  test(`the splash screen follows the ${scheme} theme`, async ({ at, page }) => {
    await page.emulateMedia({ colorScheme: scheme });
    await at("/");
    await expect(page.locator('link[rel="manifest"]')).toHaveAttribute("href", file);
  });
}
