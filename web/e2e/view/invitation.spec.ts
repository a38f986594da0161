import type { Page } from "@playwright/test";
import { en, expect, test } from "./test";

const out = { as: "signed-out" };

async function signUp(page: Page): Promise<void> {
  await page.getByLabel(en.auth.name, { exact: true }).fill("Ada Brandt");
  await page.getByLabel(en.auth.email, { exact: true }).fill("ada@example.org");
  await page.getByLabel(en.auth.password, { exact: true }).fill("quiet river at dawn");
  await page.getByRole("button", { name: en.auth.signUp, exact: true }).click();
}

test("a visitor who was never here sees sign-up first; one who was sees sign-in", async ({ at }) => {
  const page = await at("/", out);
  await expect(page.getByRole("heading", { name: en.auth.signUpTitle })).toBeVisible();
  await signUp(page);
  await expect(page.getByRole("navigation", { name: en.nav.label })).toBeVisible();
  await at("/", out);
  await expect(page.getByRole("heading", { name: en.auth.signInTitle })).toBeVisible();
});

for (const width of [320, 360, 768, 1280, 1920]) {
  test(`the first page shows a picture and a sentence beside the form at ${width} px`, async ({ at, page }) => {
    await page.setViewportSize({ width, height: 740 });
    await at("/", out);
    await expect(page.getByRole("img", { name: "Example of a chat" })).toBeInViewport();
    await expect(page.getByText("What you send arrives.")).toBeInViewport();
    await expect(page.getByLabel(en.auth.name, { exact: true })).toBeInViewport();
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBe(0);
  });
}

test("the link of a user invites, and leads to the conversation after signing up", async ({ at }) => {
  const page = await at("/c/lena", out);
  await expect(page).toHaveURL(/\/signup\?next=%2Fc%2Flena$/);
  await expect(page.getByRole("heading", { name: en.auth.invited("lena") })).toBeVisible();
  // The other forms keep the invitation.
  await page.getByRole("link", { name: en.auth.signIn, exact: true }).click();
  await expect(page.getByText(en.auth.invitedSignIn("lena"))).toBeVisible();
  await page.getByRole("link", { name: en.auth.forgot }).click();
  await page.getByRole("link", { name: en.auth.backToSignIn }).click();
  await page.getByRole("link", { name: en.auth.signUp, exact: true }).click();
  await expect(page.getByRole("heading", { name: en.auth.invited("lena") })).toBeVisible();
  await signUp(page);
  await expect(page).toHaveURL(/\/c\/lena$/);
  await expect(page.getByRole("region", { name: en.conversation.label("Lena") })).toBeVisible();
});

test("an invitation survives a password reset, whose link opens another page", async ({ at, context }) => {
  const page = await at("/reset?next=%2Fc%2Flena", out);
  await page.getByLabel(en.auth.email, { exact: true }).fill("ada@example.org");
  await page.getByRole("button", { name: en.auth.resetSend }).click();
  await expect(page.getByText(en.auth.resetSent)).toBeVisible();
  const mail = await context.newPage();
  await mail.goto(page.url().replace(/\/reset.*$/, "/mail?mode=resetPassword&oobCode=x&fake=1&as=signed-out"));
  await mail.getByLabel(en.auth.newPassword, { exact: true }).fill("quiet river at dawn");
  await mail.getByRole("button", { name: en.auth.resetSave }).click();
  await expect(mail).toHaveURL(/\/c\/lena$/);
});

for (const [place, name] of [
  ["/c/~uid6aBcDeF", "an id"],
  ["/c/Your%20bank", "words"],
] as const) {
  test(`a link with ${name} instead of a username names nobody`, async ({ at }) => {
    const page = await at(place, out);
    await expect(page.getByRole("heading", { name: en.auth.signUpTitle })).toBeVisible();
    await expect(page.getByText("invited you")).toHaveCount(0);
  });
}

test("People offers the own link as a QR code, to be shared and to be copied", async ({ at, context, page, view }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: view.url });
  await page.addInitScript(() => {
    Object.defineProperty(navigator, "share", {
      value: (data: ShareData) => Promise.resolve(Object.assign(globalThis, { shared: data })),
    });
  });
  await at("/people");
  const address = `${view.url}/c/ada`;
  const dialog = page.getByRole("dialog", { name: en.people.invite });
  await page.getByRole("button", { name: en.people.invite }).click();
  await expect(dialog.getByText(address)).toBeVisible();
  // The three corners of a QR code are squares of 7×7 with a ring inside.
  const code = dialog.getByRole("img", { name: en.people.inviteCode });
  const squares = new Set(((await code.locator("path").getAttribute("d")) ?? "").match(/M\d+ \d+/g));
  const size = Number((await code.getAttribute("viewBox"))?.split(" ")[2]);
  for (const [x, y] of [
    [0, 0],
    [size - 7, 0],
    [0, size - 7],
  ] as const)
    for (let i = 0; i < 7; i++) {
      expect(squares.has(`M${x + i} ${y}`)).toBe(true);
      expect(squares.has(`M${x + i} ${y + 1}`)).toBe(i === 0 || i === 6);
    }
  await dialog.getByRole("button", { name: en.people.inviteSend }).click();
  await expect(dialog).toBeHidden();
  expect(await page.evaluate(() => (globalThis as unknown as { shared: ShareData }).shared.url)).toBe(address);
  await page.getByRole("button", { name: en.people.invite }).click();
  await dialog.getByRole("button", { name: en.people.inviteCopy }).click();
  await expect(page.getByText(en.common.copied)).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(address);
});

test("every empty list offers the invitation", async ({ at }) => {
  const page = await at("/", { empty: 1 });
  const list = page.getByRole("complementary", { name: en.nav.side });
  await list.getByRole("link", { name: en.chats.invite }).click();
  await expect(page.getByRole("dialog", { name: en.people.invite })).toBeVisible();
  await page.keyboard.press("Escape");
  // The entry of the dialog leaves the history in a later turn, which would stop the next page from loading.
  await expect.poll(() => page.evaluate(() => (history.state as { layers?: number } | null)?.layers ?? 0)).toBe(0);
  await at("/people");
  await page.getByRole("searchbox").fill("nobody of this name");
  await expect(list.getByText(en.people.none("nobody of this name"))).toBeVisible();
  await expect(list.locator(".empty").getByRole("button", { name: en.people.invite })).toBeVisible();
  await at("/people", { people: 0 });
  await expect(list.getByText(en.people.alone)).toBeVisible();
  await expect(list.locator(".empty").getByRole("button", { name: en.people.invite })).toBeVisible();
});
