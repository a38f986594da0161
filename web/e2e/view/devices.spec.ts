import { findings } from "../support/accessible";
import { en, expect, test } from "./test";

const words = en.settings;

test("the list of devices says where each is used, and signs one or all others out by keyboard", async ({ at }) => {
  const page = await at("/settings", { latency: 0 });
  const section = page.getByRole("region", { name: words.devices });
  const rows = section.getByRole("listitem");
  await expect(rows).toHaveCount(3);
  const [phone, here, old] = [rows.nth(0), rows.nth(1), rows.nth(2)];
  await expect(phone).toContainText(words.deviceName("Safari", "iPhone"));
  await expect(phone).toContainText("Zurich, CH · Signed in");
  await expect(here).toContainText(words.deviceHere);
  await expect(here.getByRole("button")).toHaveCount(0);
  await expect(old).toContainText(words.deviceName("", ""));
  await phone.getByRole("button", { name: /^Sign out Safari on iPhone, signed in / }).press("Enter");
  await expect(page.getByText(words.deviceSignedOut("Safari on iPhone"))).toBeVisible();
  await expect(rows).toHaveCount(2);
  // The button has gone, and the focus stays in the section.
  await expect(section.getByRole("heading")).toBeFocused();

  const elsewhere = section.getByRole("button", { name: words.elsewhere });
  await elsewhere.press("Enter");
  const dialog = page.getByRole("dialog", { name: words.elsewhereTitle });
  const password = dialog.getByLabel(en.auth.password, { exact: true });
  await expect(password).toBeFocused();
  await page.keyboard.type("wrong");
  await page.keyboard.press("Enter");
  await expect(password).toHaveAccessibleDescription(en.auth.errors.passwordNotYours);
  await expect(password).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(elsewhere).toBeFocused();
  await page.keyboard.press("Enter");
  await page.keyboard.type("right");
  await page.keyboard.press("Enter");
  await expect(page.getByText(words.elsewhereDone)).toBeVisible();
  await expect(rows).toHaveCount(1);
  await expect(elsewhere).toHaveCount(0);
});

test("a sign-in on another device is named in a quiet line, until the user has answered", async ({ at }) => {
  const page = await at("/", { "new-device": 1, latency: 0 });
  const line = page.getByRole("status").filter({ hasText: words.newDevice(words.deviceName("Safari", "iPhone")) });
  await expect(line).toBeVisible();
  expect(await findings(page)).toEqual([]);
  await line.getByRole("link", { name: words.newDeviceList }).press("Enter");
  await expect(page.getByRole("heading", { name: words.devices })).toBeFocused();
  await expect(line).toHaveCount(0);
  // A newer one is another question, on whose list the user is already.
  await page.evaluate(() => {
    const { fake } = globalThis as unknown as { fake: { me: { update(change: (me: object) => object): void } } };
    fake.me.update((me) => ({ ...me, newestDevice: "9" }));
  });
  await expect(line).toHaveCount(0); // that device has signed out again
});
