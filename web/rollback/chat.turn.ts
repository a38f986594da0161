import { chromium, expect, test } from "@playwright/test";
import { launchOptions } from "../e2e/support/browser";
import { expectSignedIn, expectState, fillSignIn, message, open, send, state } from "../e2e/support/steps";
import type { User } from "../e2e/support/user";

/** The part that one person plays in one turn. */
interface Turn {
  readonly url: string;
  /** The folder with the profile of their browser, which the turns share. */
  readonly profile: string;
  readonly me: User;
  readonly other: User;
  /** Whether this is the first turn of the profile. */
  readonly signIn: boolean;
  readonly says: string;
  readonly hears: string;
  /** Whether they write before they hear something. */
  readonly begins: boolean;
  /** The messages of both in earlier turns. */
  readonly earlier: readonly string[];
}

test("a turn of the chat", async () => {
  const turn = JSON.parse(process.env["PHOENIX_TURN"] ?? "") as Turn;
  // Without service workers, the page is always that of the client that is served now.
  const context = await chromium.launchPersistentContext(turn.profile, {
    ...launchOptions,
    baseURL: turn.url,
    serviceWorkers: "block",
    locale: "en-GB",
    viewport: { width: 1280, height: 800 },
  });
  const page = context.pages()[0] ?? (await context.newPage());
  const { other } = turn;
  if (turn.signIn) await fillSignIn(page, turn.me);
  else await page.goto("/");
  await expectSignedIn(page);
  await open(page, other);
  if (turn.begins) await send(page, other, turn.says);
  await expect(message(page, other, turn.hears)).toHaveCount(1);
  if (!turn.begins) await send(page, other, turn.says);
  await expectState(page, other, turn.says, state.arrived);
  for (const body of turn.earlier) await expect(message(page, other, body)).toHaveCount(1);
  await context.close();
});
