import type { Page } from "@playwright/test";
import {
  chats,
  chatWith,
  en,
  expectIn,
  expectState,
  fillSignIn,
  find,
  message,
  messages,
  open,
  send,
  state,
} from "./support/steps";
import { type Account, everywhere, expect, test } from "./support/test";

test(
  "two people find each other, chat both ways, and see the history after a reload",
  { tag: everywhere },
  async ({ person, visitor }) => {
    const [ann, bob] = await Promise.all([person("Ann"), person("Bob")]);
    await find(ann.page, bob);
    await find(bob.page, ann);
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
    // And on a device that has never seen it.
    const phone = await visitor("Bob's phone");
    await fillSignIn(phone.page, bob);
    await expectIn(phone.page);
    await open(phone.page, ann);
    await expect(messages(phone.page, ann)).toContainText(["Are you on the train?", "In the tunnel."]);
    expect(await timeOf(phone.page, ann, "Are you on the train?")).toBe(when);
  },
);

/** When the message was sent, as its time element says it to programs. */
async function timeOf(page: Page, who: Account, body: string): Promise<string | null> {
  return message(page, who, body).locator("time[datetime]").getAttribute("datetime");
}

test("a first message from a stranger appears without a reload", async ({ person }) => {
  const ann = await person("Ann");
  await expect(ann.page.getByText(en.chats.empty)).toBeVisible();
  const stranger = await person("Stranger");
  await open(stranger.page, ann);
  await send(stranger.page, ann, "We met at the lake.");
  await expect(chatWith(ann.page, stranger)).toContainText("We met at the lake.");
  await expect(ann.page.getByText(en.chats.empty)).toBeHidden();
});

test("a new person is found without a reload", async ({ person }) => {
  const ann = await person("Ann");
  await ann.page.goto("/people");
  const late = await person("Latecomer");
  await ann.page.getByRole("searchbox", { name: en.people.search }).fill(late.username);
  await expect(ann.page.getByRole("link", { name: late.name })).toBeVisible();
});

test("line breaks are kept", async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  await open(ann.page, bob);
  await open(bob.page, ann);
  await send(ann.page, bob, "one\ntwo\n\nfour");
  for (const [page, other] of [
    [ann.page, bob],
    [bob.page, ann],
  ] as const) {
    await expect.poll(async () => message(page, other, "four").innerText()).toMatch(/one\ntwo\n\s*\nfour/);
  }
});

test("Shift and Enter begin a new line, Enter sends", async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  await open(ann.page, bob);
  const box = ann.page.getByRole("textbox", { name: en.talk.writeTo(bob.name) });
  await box.pressSequentially("first");
  await box.press("Shift+Enter");
  await box.pressSequentially("second");
  await expect(box).toHaveValue("first\nsecond");
  await box.press("Enter");
  await expect(messages(ann.page, bob)).toHaveCount(1);
});

test("markup, links and right-to-left text are text", async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  await open(ann.page, bob);
  await open(bob.page, ann);
  const odd = `<img src=x onerror="document.title='owned'"> & שלום \u202Egnp.exe`;
  await send(ann.page, bob, odd);
  await expect(message(bob.page, ann, "<img src=x onerror=")).toBeVisible();
  await expect(bob.page).not.toHaveTitle(/owned/);
  await send(ann.page, bob, "see https://example.org/a?b=c");
  const link = messages(bob.page, ann).getByRole("link");
  await expect(link).toHaveAttribute("href", "https://example.org/a?b=c");
  await expect(link).toHaveAttribute("rel", /noopener/);
});

test("two tabs of one person show the same, once", async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  await open(ann.page, bob);
  const second = await ann.context.newPage();
  await second.goto(`/c/${bob.username}`);
  await open(bob.page, ann);
  await send(ann.page, bob, "from the first tab");
  await expect(message(second, bob, "from the first tab")).toHaveCount(1);
  await send(second, bob, "from the second tab");
  await expect(message(ann.page, bob, "from the second tab")).toHaveCount(1);
  await send(bob.page, ann, "to both");
  for (const page of [ann.page, second]) {
    await expect(messages(page, bob)).toContainText(["from the first tab", "from the second tab", "to both"]);
    await expect(messages(page, bob)).toHaveCount(3);
  }
});

test("the newest chat stands first", async ({ person }) => {
  const [ann, bob, cat] = [await person("Ann"), await person("Bob"), await person("Cat")];
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
