import { en, expect, test } from "./test";

const DAY = 86_400_000;

test("days follow the clock of the server if that of the device is wrong", async ({ at }) => {
  const right = await at("/c/lena", { quiet: 1, skew: 5_000 });
  await right.getByRole("textbox", { name: en.conversation.writeTo("Lena") }).fill("now");
  await right.keyboard.press("Enter");
  const days = right.getByRole("log").locator(".day");
  await expect(days).toHaveText([en.days.today]);
  await right.evaluate(() => sessionStorage.clear()); // the options of the fake model
  // The same with a clock that is one day off from that of the server.
  const wrong = await at("/c/lena", { quiet: 1, skew: DAY });
  await wrong.getByRole("textbox", { name: en.conversation.writeTo("Lena") }).fill("now");
  await wrong.keyboard.press("Enter");
  await expect(days).toHaveText([en.days.yesterday]);
});
