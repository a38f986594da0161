import type { Page } from "@playwright/test";
import { createAccount } from "./support/accounts";
import {
  chats,
  chatWith,
  en,
  expectState,
  findAndOpen,
  message,
  messages,
  open,
  send,
  signUp,
  state,
} from "./support/steps";
import { acquaint, backend, everywhere, expect, newUser, test, type User } from "./support/test";

test(
  "two people sign up, find each other, chat both ways, and see the history after a reload",
  { tag: [everywhere, backend] },
  async ({ signedIn, visitor }) => {
    const [ann, bob] = await Promise.all([visitor("Ann"), visitor("Bob")]);
    await Promise.all([ann, bob].map((who) => signUp(who.page, who)));
    await acquaint([ann, bob]);
    await findAndOpen(ann.page, bob);
    await findAndOpen(bob.page, ann);
    await send(ann.page, bob, "Are you on the train?");
    await expect(message(bob.page, ann, "Are you on the train?")).toBeVisible();
    await expectState(ann.page, bob, "Are you on the train?", state.arrived);
    await send(bob.page, ann, "In the tunnel.");
    await expect(message(ann.page, bob, "In the tunnel.")).toBeVisible();
    await expectState(bob.page, ann, "In the tunnel.", state.arrived);
    const when = await timeOf(ann.page, bob, "Are you on the train?");
    for (const [me, other] of [
      [ann, bob],
      [bob, ann],
    ] as const) {
      await me.page.reload();
      await expect(messages(me.page, other)).toContainText(["Are you on the train?", "In the tunnel."]);
      expect(await timeOf(me.page, other, "Are you on the train?")).toBe(when);
    }
    // A device without any stored message loads them.
    const phone = await signedIn(bob);
    await open(phone.page, ann);
    await expect(messages(phone.page, ann)).toContainText(["Are you on the train?", "In the tunnel."]);
    expect(await timeOf(phone.page, ann, "Are you on the train?")).toBe(when);
  },
);

/** Returns when the message was sent, as its time element says it to programs. */
async function timeOf(page: Page, who: User, body: string): Promise<string | null> {
  return message(page, who, body).locator("time[datetime]").getAttribute("datetime");
}

test("a first message from a stranger appears without a reload", async ({ user }) => {
  const ann = await user("Ann");
  await expect(ann.page.getByText(en.chats.empty)).toBeVisible();
  const stranger = await user("Stranger");
  await open(stranger.page, ann);
  await send(stranger.page, ann, "We met at the lake.");
  await expect(chatWith(ann.page, stranger)).toContainText("We met at the lake.");
  await expect(ann.page.getByText(en.chats.empty)).toBeHidden();
});

test("the search finds a new user without a reload", { tag: backend }, async ({ user }) => {
  const ann = await user("Ann");
  await ann.page.goto("/people");
  const newcomer = newUser("Newcomer");
  await createAccount(newcomer);
  await ann.page.getByRole("searchbox", { name: en.people.search }).fill(newcomer.username);
  await expect(ann.page.getByRole("link", { name: newcomer.name })).toBeVisible();
});

test("line breaks, markup, links and right-to-left text arrive as they were written", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  await open(bob.page, ann);
  await send(ann.page, bob, "one\ntwo\n\nfour");
  for (const [page, other] of [
    [ann.page, bob],
    [bob.page, ann],
  ] as const) {
    await expect.poll(async () => message(page, other, "four").innerText()).toMatch(/one\ntwo\n\s*\nfour/);
  }
  const odd = `<img src=x onerror="document.title='owned'"> & שלום \u202Egnp.exe`;
  await send(ann.page, bob, odd);
  await expect(message(bob.page, ann, "<img src=x onerror=")).toBeVisible();
  await expect(bob.page).not.toHaveTitle(/owned/);
  await send(ann.page, bob, "see https://example.org/a?b=c");
  const link = messages(bob.page, ann).getByRole("link");
  await expect(link).toHaveAttribute("href", "https://example.org/a?b=c");
  await expect(link).toHaveAttribute("rel", /noopener/);
});

test("the chat with the newest message comes first", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  const cat = newUser("Cat");
  await createAccount(cat);
  await open(ann.page, bob);
  await send(ann.page, bob, "hello Bob");
  await open(ann.page, cat);
  await send(ann.page, cat, "hello Cat");
  await ann.page.goto("/");
  await expect(chats(ann.page).getByRole("listitem")).toContainText(["hello Cat", "hello Bob"]);
  await open(bob.page, ann);
  await send(bob.page, ann, "hello yourself");
  await expect(chats(ann.page).getByRole("listitem")).toContainText(["hello yourself", "hello Cat"]);
});
