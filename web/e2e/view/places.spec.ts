import { en, expect, test } from "./test";

test("every place has an address; back, forward and reload work", async ({ at }) => {
  const page = await at("/");
  await page.getByRole("link", { name: en.nav.people, exact: true }).click();
  await expect(page).toHaveURL(/\/people$/);
  await page.getByRole("searchbox").fill("amina");
  await page.getByRole("link", { name: /Amina/ }).click();
  await expect(page).toHaveURL(/\/c\/amina\.diallo$/);
  await expect(page).toHaveTitle(/Amina Diallo/);
  await page.reload();
  await expect(page.getByRole("region", { name: en.conversation.label("Amina Diallo") })).toBeVisible();
  await page.goBack();
  await expect(page).toHaveURL(/\/people$/);
  await page.goForward();
  await expect(page.getByRole("region", { name: en.conversation.label("Amina Diallo") })).toBeVisible();
});

test("an unknown address and an unknown user show a message", async ({ at }) => {
  const page = await at("/some/where");
  await expect(page.getByText(en.common.missing)).toBeVisible();
  await at("/c/nobody.here");
  await expect(page.getByText(en.conversation.unknownPerson("nobody.here"))).toBeVisible();
});

test("a user who is signed out sees the form first, and then the place they asked for", async ({ at }) => {
  const page = await at("/c/lena", { as: "signed-out" });
  await page.getByRole("link", { name: en.auth.signIn, exact: true }).click();
  await expect(page).toHaveURL(/\/signin\?next=%2Fc%2Flena$/);
  await page.getByLabel(en.auth.email, { exact: true }).fill("ada@example.org");
  await page.getByLabel(en.auth.password, { exact: true }).fill("right");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/c\/lena$/);
});

test("a phone shows one pane, and back leaves the conversation", async ({ at, page }) => {
  await page.setViewportSize({ width: 320, height: 640 });
  await at("/");
  await expect(page.getByRole("complementary")).toHaveCount(0);
  await page.getByRole("list", { name: en.chats.label }).getByRole("link").nth(2).click();
  await expect(page.getByRole("list", { name: en.chats.label })).toBeHidden();
  await page.getByRole("button", { name: en.nav.back }).click();
  await expect(page).toHaveURL((url) => url.pathname === "/");
  await expect(page.getByRole("list", { name: en.chats.label })).toBeVisible();
});

test("changing the list keeps the open conversation beside it", async ({ at }) => {
  const page = await at("/c/lena");
  await page.getByRole("link", { name: en.nav.people, exact: true }).click();
  await expect(page.getByRole("searchbox")).toBeVisible();
  await expect(page.getByRole("region", { name: en.conversation.label("Lena") })).toBeVisible();
  await page.getByRole("link", { name: en.nav.chats }).click();
  await expect(page.getByRole("list", { name: en.chats.label })).toBeVisible();
  await expect(page.getByRole("region", { name: en.conversation.label("Lena") })).toBeVisible();
});

test("a chosen theme is stored, and applied before the first paint", async ({ at, page }) => {
  await page.emulateMedia({ colorScheme: "light" });
  await at("/settings");
  await expect(page.locator("html")).toHaveAttribute("data-theme", "light");
  await page.getByRole("radio", { name: en.settings.themeDark }).check({ force: true });
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  // The script in the head has run when the body is created.
  await page.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (!document.body) return;
      observer.disconnect();
      document.documentElement.dataset["early"] = document.documentElement.dataset["theme"] ?? "";
    }).observe(document, { childList: true, subtree: true });
  });
  await page.reload();
  await expect(page.locator("html")).toHaveAttribute("data-early", "dark");
  // Paper is white.
  await page.emulateMedia({ media: "print" });
  await expect(page.locator("body")).toHaveCSS("color", "rgb(30, 27, 24)");
});

test("nothing is animated with reduced motion", async ({ at, page }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await at("/c/lena", { quiet: 1 });
  await page.getByRole("textbox").fill("still");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("article")).toBeVisible();
  const long = await page.evaluate(
    () => document.getAnimations().filter((a) => Number(a.effect?.getComputedTiming().duration ?? 0) > 10).length,
  );
  expect(long).toBe(0);
});

test("the shell opens offline, and a new version waits for the user", async ({ at, context, view }) => {
  const page = await at("/");
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  await expect
    .poll(() =>
      page.evaluate(
        async () =>
          (
            await Promise.all(
              (await caches.keys()).map(async (name) => (await (await caches.open(name)).keys()).length),
            )
          ).at(0) ?? 0,
      ),
    )
    .toBeGreaterThan(8);
  await context.setOffline(true);
  await page.goto(`${view.url}/c/lena`);
  await expect(page.getByRole("region", { name: en.conversation.label("Lena") })).toBeVisible();
  await page.goto(`${view.url}/settings`);
  await expect(page.getByRole("heading", { name: en.settings.title })).toBeVisible();
  await context.setOffline(false);

  const script = page.locator("script[type=module]");
  const before = (await script.getAttribute("src")) ?? "";
  await view.deploy();
  await page.reload();
  await expect(page.getByText(en.common.outdated)).toBeVisible();
  await expect(script).toHaveAttribute("src", before); // the running version did not change
  await page.getByRole("button", { name: en.common.outdatedDo }).click();
  await expect(script).not.toHaveAttribute("src", before);
  await expect(page.getByText(en.common.outdated)).toBeHidden();
});
