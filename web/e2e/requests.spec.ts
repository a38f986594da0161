// Requests of strangers, on the devices of both sides. Everybody here uses the keyboard alone once their page is open.
import type { Page } from "@playwright/test";
import { heldText } from "../src/text/held";
import { laterText } from "../src/text/later";
import { findings } from "./support/accessible";
import {
  chatWith,
  composer,
  conversation,
  en,
  expectState,
  message,
  messages,
  open,
  send,
  state,
} from "./support/steps";
import { backend, engines, expect, test as base, type Visitor } from "./support/test";

interface Asked {
  readonly ann: Visitor;
  /** Another device of Ann. */
  readonly phone: Visitor;
  readonly bob: Visitor;
}

const test = base.extend<{ asked: (body: string) => Promise<Asked> }>({
  /** Lets Bob, a stranger, write to Ann, who has two devices. */
  asked: async ({ user, signedIn }, use) => {
    await use(async (body) => {
      const [ann, bob] = [await user("Ann"), await user("Bob")];
      const phone = await signedIn(ann);
      await open(bob.page, ann);
      await send(bob.page, ann, body);
      return { ann, phone, bob };
    });
  },
});

test.use({ strangers: true });

const words = laterText.conversation;
const requests = (page: Page, n: number) =>
  page
    .getByRole("group", { name: en.chats.filter })
    .getByRole("button", { name: `${en.chats.filters.requests} ${n}`, exact: true });
const all = (page: Page) =>
  page.getByRole("group", { name: en.chats.filter }).getByRole("button", { name: en.chats.filters.all, exact: true });
const choice = (page: Page, who: Visitor, label: string) =>
  conversation(page, who).getByRole("group", { name: words.request }).getByRole("button", { name: label, exact: true });
const head = (page: Page, who: Visitor) =>
  conversation(page, who).getByRole("button", { name: en.conversation.details(who.name) });

test(
  "a stranger learns nothing but that a message was delivered, until it is accepted, which counts on all devices",
  { tag: [backend, engines] },
  async ({ asked }) => {
    const { ann, phone, bob } = await asked("We met at the lake.");
    await expectState(bob.page, ann, "We met at the lake.", state.delivered);
    for (const { page } of [ann, phone]) {
      await expect(requests(page, 1)).toBeVisible();
      await expect(page).toHaveTitle(en.app);
    }
    await expect(head(bob.page, ann)).not.toContainText(en.conversation.online);

    // She has no chat yet, so the request is listed at once.
    await chatWith(ann.page, bob).press("Enter");
    await expect(message(ann.page, bob, "We met at the lake.")).toBeVisible();
    await expect(choice(ann.page, bob, words.accept)).toBeVisible();
    await expect(composer(ann.page, bob)).toHaveCount(0);
    expect(await findings(ann.page)).toEqual([]);
    // A read mark would have arrived before these messages are delivered.
    await send(bob.page, ann, "You asked about the lamps.");
    await expect(message(ann.page, bob, "You asked about the lamps.")).toBeVisible();
    await expectState(bob.page, ann, "You asked about the lamps.", state.delivered);
    await expectState(bob.page, ann, "We met at the lake.", state.delivered);
    await bob.page.reload();
    await expectState(bob.page, ann, "We met at the lake.", state.delivered);
    await expect(head(bob.page, ann)).not.toContainText(en.conversation.online);

    await ann.page.bringToFront(); // in Firefox, Enter presses no button of a window without the focus
    await choice(ann.page, bob, words.accept).press("Enter");
    await expect(composer(ann.page, bob)).toBeFocused();
    await expectState(bob.page, ann, "You asked about the lamps.", state.read);
    await expect(head(bob.page, ann)).toContainText(en.conversation.online);
    await expect(requests(phone.page, 1)).toHaveCount(0);
    await expect(chatWith(phone.page, bob)).toContainText("You asked about the lamps.");
    await ann.page.keyboard.type("Yes, I did.");
    await ann.page.keyboard.press("Enter");
    await expect(message(bob.page, ann, "Yes, I did.")).toBeVisible();
  },
);

test("a request that was deleted on one device is gone on the others, and returns with a newer message", async ({
  asked,
}) => {
  const { ann, phone, bob } = await asked("the first one");
  await expect(requests(phone.page, 1)).toBeVisible();
  await chatWith(ann.page, bob).press("Enter");
  await choice(ann.page, bob, words.remove).press("Enter");
  for (const { page } of [ann, phone]) {
    await expect(requests(page, 1)).toHaveCount(0);
    await expect(chatWith(page, bob)).toHaveCount(0);
  }
  await send(bob.page, ann, "the second one");
  await chatWith(phone.page, bob).press("Enter");
  await expect(message(phone.page, bob, "the second one")).toBeVisible();
  await expect(messages(phone.page, bob)).toHaveCount(1);
  await phone.page.reload();
  await expect(message(phone.page, bob, "the second one")).toBeVisible();
  await expect(messages(phone.page, bob)).toHaveCount(1);

  await choice(phone.page, bob, words.block).press("Enter");
  await expect(conversation(phone.page, bob).getByText(words.blocked(bob.name))).toBeVisible();
  await expect(requests(ann.page, 1)).toHaveCount(0);
  await send(bob.page, ann, "the third one");
  await expect(message(bob.page, ann, "the third one")).toContainText(
    heldText.refused(heldText.problems.recipient_unavailable),
  );
});

test("a request that was accepted without a network is a chat, although another device has deleted it", async ({
  asked,
}) => {
  const { ann, phone, bob } = await asked("who deletes this?");
  for (const { page } of [ann, phone]) {
    await chatWith(page, bob).press("Enter");
    await expect(choice(page, bob, words.accept)).toBeVisible();
  }
  await phone.sockets.offline(phone.context);
  await choice(phone.page, bob, words.accept).press("Enter");
  await expect(composer(phone.page, bob)).toBeVisible();
  await choice(ann.page, bob, words.remove).press("Enter");
  await expect(chatWith(ann.page, bob)).toHaveCount(0);
  await phone.sockets.online(phone.context);
  for (const { page } of [ann, phone]) {
    await all(page).press("Enter");
    await expect(chatWith(page, bob)).toContainText("who deletes this?");
    await expect(requests(page, 1)).toHaveCount(0);
  }
});
