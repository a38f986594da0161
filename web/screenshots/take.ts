import { messageText } from "../src/text/messages";
import type { BrowserContext, Page } from "@playwright/test";
import { join } from "node:path";
import { createAccount, signIn } from "../e2e/support/accounts";
import { conversationId } from "../e2e/support/archive";
import { chats, chatWith, en, expectSignedIn, fillSignIn, message, open, conversation } from "../e2e/support/steps";
import { type User, expect, test } from "../e2e/support/test";
import { Voice } from "../e2e/support/voice";
import { jonas, long, me, others, short, type Exchange } from "./people";

const sizes = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } } as const;
const minute = 60_000;

test("screenshots", async ({ browser, baseURL }) => {
  const base = baseURL === undefined ? {} : { baseURL };
  await Promise.all([me, ...others].map((who) => createAccount(who)));
  // Devices without the client send the messages of earlier days, also for Mara.
  const elsewhere = await browser.newContext(base);
  const voices = new Map<User, Voice>();
  const voice = async (who: User): Promise<Voice> => {
    const known = voices.get(who) ?? (await Voice.open(elsewhere, who));
    voices.set(who, known);
    return known;
  };
  const now = Date.now();
  const sendAll = async ({ with: between, lines, unread, theirs }: Exchange): Promise<void> => {
    const mine = await voice(me);
    const other = theirs === "sent" ? (await signIn(between)).uid : (await voice(between)).uid;
    const keys: string[] = [];
    for (const { ago, from, body, answers } of lines) {
      const message = { to: from === me ? other : mine.uid, body, at: now - ago * minute };
      keys.push(
        await (await voice(from)).say(answers === undefined ? message : { ...message, replyTo: keys[answers] ?? "" }),
      );
    }
    const both = conversationId(mine.uid, other);
    if (theirs === "read") await (await voice(between)).read(both, now);
    const seen = lines[lines.length - 1 - unread];
    if (seen !== undefined) await mine.read(both, now - seen.ago * minute);
  };
  for (const each of short) await sendAll(each);
  await sendAll({ with: jonas, lines: long, unread: 0, theirs: "read" });
  // The users whose devices stay connected are online.
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
      await acceptWhenWritten(context);
      const page = await context.newPage();
      const capture = (name: string): Promise<void> => screenshot(page, `${name}-${colorScheme}-${size}`);

      await page.goto("/signup");
      await page.getByLabel(en.auth.name, { exact: true }).fill("Jonas Okafor");
      await page.getByLabel(en.auth.username, { exact: true }).fill("jonas.o");
      await capture("signup");

      await fillSignIn(page, me);
      await expectSignedIn(page);
      await expect(chats(page).getByRole("listitem").first()).toHaveAttribute("aria-setsize", `${short.length + 1}`);
      await expect(chatWith(page, jonas)).toContainText("See you at eight");
      for (const { with: who } of short.filter(({ unread }) => unread > 0))
        await expect(chatWith(page, who)).toContainText(en.chats.online);
      await capture("chats");

      await open(page, jonas);
      await expect(message(page, jonas, "Two. See you at eight.")).toBeVisible();
      await expect(message(page, jonas, "140 wide").getByText("This is the shelf I meant")).toBeVisible();
      await expect(page.getByText(messageText.earlier)).toBeHidden();
      await expect(
        conversation(page, jonas).getByRole("button", { name: en.conversation.details(jonas.name) }),
      ).toContainText(en.conversation.online);
      await capture("conversation");

      await page.goto("/people");
      await expect(page.getByRole("link", { name: "Chiara Russo" })).toBeVisible();
      await capture("people");

      await page.goto("/settings");
      await expect(page.getByRole("button", { name: en.settings.signOut, exact: true })).toBeVisible();
      if (size === "desktop") await expect(chatWith(page, jonas)).toContainText(en.chats.online);
      await capture("settings");
      await context.unrouteAll({ behavior: "ignoreErrors" });
      await context.close();
    }
  }
  await elsewhere.close();
});

/**
 * Makes every message look as if the server had accepted it when it was written. The server really accepted them all
 * just now, which the client would show at each message. Nothing else in the screenshots is changed.
 */
async function acceptWhenWritten(context: BrowserContext): Promise<void> {
  const setAcceptedAt = (text: string): string =>
    JSON.stringify(
      JSON.parse(text, (_, value: unknown) => (isMessage(value) ? { ...value, accepted_at: value.at } : value)),
    );
  await context.route("**/api/messages?*", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({
      response: answer,
      body: answer.ok() ? setAcceptedAt(await answer.text()) : await answer.text(),
    });
  });
  await context.routeWebSocket(/\/ws$/, (page) => {
    const server = page.connectToServer();
    server.onMessage((data) => page.send(setAcceptedAt(data.toString())));
  });
}

function isMessage(value: unknown): value is { readonly at: number; readonly accepted_at: number } {
  return typeof value === "object" && value !== null && "at" in value && "accepted_at" in value;
}

/** Takes a screenshot once nothing on the screen moves. */
async function screenshot(page: Page, name: string): Promise<void> {
  await page.mouse.move(0, 0); // away from elements that it would highlight
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
