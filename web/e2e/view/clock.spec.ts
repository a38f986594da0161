import { en, expect, test } from "./test";

const DAY = 86_400_000;

test("days are those of the server where this device's clock is wrong", async ({ at }) => {
  const right = await at("/c/lena", { quiet: 1, skew: 5_000 });
  await right.getByRole("textbox", { name: en.conversation.writeTo("Lena") }).fill("now");
  await right.keyboard.press("Enter");
  const days = right.getByRole("log").locator(".day");
  await expect(days).toHaveText([en.days.today]);
  await right.evaluate(() => sessionStorage.clear()); // what the fake model was told
  // The same by a clock that is a day behind the server's: what it calls now was yesterday.
  const wrong = await at("/c/lena", { quiet: 1, skew: DAY });
  await wrong.getByRole("textbox", { name: en.conversation.writeTo("Lena") }).fill("now");
  await wrong.keyboard.press("Enter");
  await expect(days).toHaveText([en.days.yesterday]);
});
