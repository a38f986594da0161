import { signIn } from "./support/accounts";
import { composer, conversation, en, expectState, message, messages, open, send, state } from "./support/steps";
import { expect, test } from "./support/test";
import { Voice } from "./support/voice";
import { searchText } from "../src/text/search";

test("a new device finds old messages while it loads them, keeps them, and finds them offline", async ({
  user,
  signedIn,
}) => {
  const [ann, bob] = [await user("Ann"), await user("Bob")];
  await open(ann.page, bob);
  await send(ann.page, bob, "The key is under the flower pot.");
  await expectState(ann.page, bob, "flower pot", state.arrived);
  const voice = await Voice.open(bob.context, bob);
  // More than the page that the conversation loads.
  const { uid } = await signIn(ann);
  await voice.pour(uid, 70, 20, (n) => `Word number ${n}.`);
  await expect(message(ann.page, bob, "Word number 69.")).toBeVisible();

  const second = await signedIn(ann);
  const { page } = second;
  const field = page.getByRole("searchbox", { name: en.chats.search });
  const hits = page.getByRole("list", { name: searchText.label }).getByRole("link");
  await field.fill("FLOWER pot");
  await expect(hits).toHaveCount(1);
  await expect(page.getByText(searchText.done).first()).toBeVisible();

  // The device keeps what it has loaded, and finds it without a network. A hit opens among its neighbors.
  await second.sockets.offline(second.context);
  await page.reload();
  await field.fill("flower pot");
  await expect(hits).toHaveCount(1);
  await hits.click();
  await expect(conversation(page, bob).locator("article:focus")).toContainText("flower pot");
  await expect(messages(page, bob).nth(1)).toContainText("Word number 0.");

  await composer(page, bob).press("Control+f");
  const find = page.getByRole("searchbox", { name: en.conversation.find });
  await find.fill("number 6");
  await expect(page.getByText(searchText.position("1", "11"))).toBeVisible(); // 6, and 60 to 69
  await find.press("Escape");
  await expect(composer(page, bob)).toBeFocused();
  await second.sockets.online(second.context);
});
