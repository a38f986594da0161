import type { BrowserContext, Page } from "@playwright/test";
import { join } from "node:path";
import { conversation, signIn } from "../e2e/support/archive";
import { chats, chatWith, en, expectIn, fillSignIn, message, open, talk } from "../e2e/support/steps";
import { type Account, expect, test } from "../e2e/support/test";
import { register, Voice } from "../e2e/support/voice";
import { jonas, long, me, others, short, type Talk } from "./people";

const sizes = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } } as const;
const minute = 60_000;

test("pictures", async ({ browser, baseURL }) => {
  const base = baseURL === undefined ? {} : { baseURL };
  await Promise.all([me, ...others].map(register));
  // What was said on the days before is sent by devices that speak for everybody, Mara's phone among them.
  const elsewhere = await browser.newContext(base);
  const voices = new Map<Account, Voice>();
  const voice = async (who: Account): Promise<Voice> => {
    const known = voices.get(who) ?? (await Voice.open(elsewhere, who));
    voices.set(who, known);
    return known;
  };
  const now = Date.now();
  const tell = async ({ with: between, lines, unread, theirs }: Talk): Promise<void> => {
    const mine = await voice(me);
    const other = theirs === "sent" ? (await signIn(between)).uid : (await voice(between)).uid;
    const ids: string[] = [];
    for (const { ago, from, body, answers } of lines) {
      const said = { to: from === me ? other : mine.uid, body, at: now - ago * minute };
      ids.push(await (await voice(from)).say(answers === undefined ? said : { ...said, replyTo: ids[answers] ?? "" }));
    }
    const both = conversation(mine.uid, other);
    if (theirs === "read") await (await voice(between)).read(both, now);
    const seen = lines[lines.length - 1 - unread];
    if (seen !== undefined) await mine.read(both, now - seen.ago * minute);
  };
  for (const each of short) await tell(each);
  await tell({ with: jonas, lines: long, unread: 0, theirs: "read" });
  // Those who stay are online.
  for (const [who, v] of voices)
    if (who === me || who.name.startsWith("Eli") || who.name.startsWith("Tomasz")) await v.close();

  for (const [size, viewport] of Object.entries(sizes)) {
    for (const colorScheme of ["light", "dark"] as const) {
      const context = await browser.newContext({
        ...base,
        viewport,
        colorScheme,
        locale: "en-GB",
        timezoneId: "Europe/Berlin",
        serviceWorkers: "block",
        ...(size === "phone" ? { hasTouch: true, isMobile: true, deviceScaleFactor: 2 } : {}),
      });
      await taken(context);
      const page = await context.newPage();
      const take = (name: string): Promise<void> => picture(page, `${name}-${colorScheme}-${size}`);

      await page.goto("/signup");
      await page.getByLabel(en.entry.name, { exact: true }).fill("Jonas Okafor");
      await page.getByLabel(en.entry.username, { exact: true }).fill("jonas.o");
      await take("signup");

      await fillSignIn(page, me);
      await expectIn(page);
      await expect(chats(page).getByRole("listitem")).toHaveCount(short.length + 1);
      await expect(chatWith(page, jonas)).toContainText("See you at eight");
      for (const { with: who } of short.filter(({ unread }) => unread > 0))
        await expect(chatWith(page, who)).toContainText(en.chats.online);
      await take("chats");

      await open(page, jonas);
      await expect(message(page, jonas, "Two. See you at eight.")).toBeVisible();
      await expect(message(page, jonas, "140 wide").getByText("This is the shelf I meant")).toBeVisible();
      await expect(page.getByText(en.talk.earlier)).toBeHidden();
      await expect(talk(page, jonas).getByRole("button", { name: en.talk.details(jonas.name) })).toContainText(
        en.talk.online,
      );
      await take("conversation");

      await page.goto("/people");
      await expect(page.getByRole("link", { name: "Chiara Russo" })).toBeVisible();
      await take("people");

      await page.goto("/settings");
      await expect(page.getByRole("button", { name: en.settings.signOut, exact: true })).toBeVisible();
      if (size === "desktop") await expect(chatWith(page, jonas)).toContainText(en.chats.online);
      await take("settings");
      await context.unrouteAll({ behavior: "ignoreErrors" });
      await context.close();
    }
  }
  await elsewhere.close();
});

/**
 * The server took everything a moment ago, and the client would rightly say so at each line of the days before. The one thing in the
 * pictures that is not as it was: each message was taken when it was written.
 */
async function taken(context: BrowserContext): Promise<void> {
  const mend = (text: string): string =>
    JSON.stringify(
      JSON.parse(text, (_, value: unknown) => (isMessage(value) ? { ...value, accepted_at: value.at } : value)),
    );
  await context.route("**/api/messages?*", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: answer.ok() ? mend(await answer.text()) : await answer.text() });
  });
  await context.routeWebSocket(/\/ws$/, (page) => {
    const server = page.connectToServer();
    server.onMessage((data) => page.send(mend(data.toString())));
  });
}

function isMessage(value: unknown): value is { readonly at: number; readonly accepted_at: number } {
  return typeof value === "object" && value !== null && "at" in value && "accepted_at" in value;
}

/** One screen as it is once nothing on it moves. */
async function picture(page: Page, name: string): Promise<void> {
  await page.mouse.move(0, 0); // off what it would light up
  await page.evaluate(async () => {
    await document.fonts.ready;
    await Promise.allSettled(
      document
        .getAnimations()
        .filter((a) => a.effect?.getComputedTiming().endTime !== Infinity)
        .map((a) => a.finished),
    );
  });
  await page.screenshot({ path: join(import.meta.dirname, `${name}.png`), animations: "disabled", caret: "hide" });
}
