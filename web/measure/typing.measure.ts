import { type CDPSession, chromium, type Page } from "@playwright/test";
import { signIn } from "../e2e/support/accounts";
import { launchOptions } from "../e2e/support/browser";
import { composer, expectState, messages, open, send, state } from "../e2e/support/steps";
import { expect, test } from "../e2e/support/test";
import { Voice } from "../e2e/support/voice";
import { ms, quantile, record } from "./figures";
import { drawFrames, slowCpu, throttle } from "./throttle";

const seconds = 10;
const perSecond = 50; // messages
const keysPerSecond = 8; // a quick typist

test("typing while fifty messages a second arrive", async ({ user }) => {
  const [ann, bob] = [await user("Ann"), await user("Bob")];
  await open(ann.page, bob);
  await send(ann.page, bob, "Tell me everything.");
  const { uid } = await signIn(ann);
  // In another browser, which is not slowed down. Two devices, because one may send at most 20 messages a second.
  const elsewhere = await chromium.launch(launchOptions);
  const context = await elsewhere.newContext();
  const voices = [await Voice.open(context, bob), await Voice.open(context, bob)];
  await expectState(ann.page, bob, "Tell me everything.", state.arrived);
  await bob.context.close();
  const session = await throttle(ann.page, { network: false });
  await composer(ann.page, bob).focus();
  await recordKeys(ann.page);
  await drawFrames(session);

  await type(session, seconds * keysPerSecond);
  report("nothing arrives", await recordedKeys(ann.page));

  const each = (seconds * perSecond) / voices.length;
  const began = Date.now();
  const poured = Promise.all(
    voices.map((voice, v) =>
      voice.pour(uid, each, perSecond / voices.length, (n) => `Word ${n} of voice ${v}, and some more of it.`),
    ),
  ).then(() => Date.now() - began);
  await type(session, seconds * keysPerSecond);
  report(`${perSecond} messages/s arrive`, await recordedKeys(ann.page));
  const accepted = await poured;
  await expect(
    messages(ann.page, bob)
      .filter({ hasText: `Word ${each - 1} of voice` })
      .last(),
  ).toBeVisible();
  record("the last message was accepted / is shown after", `${ms(accepted)} / ${ms(Date.now() - began)}`);
  await expect(composer(ann.page, bob)).toHaveValue(new RegExp(`^.{${2 * seconds * keysPerSecond}}$`));
  await elsewhere.close();
});

/** Types at a constant pace, even if the page falls behind. Resolves once the page has handled every key. */
async function type(session: CDPSession, count: number): Promise<void> {
  const taken: Promise<unknown>[] = [];
  await new Promise<void>((resolve) => {
    const typing = setInterval(() => {
      const text = "abcdefgh "[(taken.length / 2) % 9] ?? " ";
      taken.push(
        session.send("Input.dispatchKeyEvent", { type: "keyDown", text, key: text }),
        session.send("Input.dispatchKeyEvent", { type: "keyUp", key: text }),
      );
      if (taken.length / 2 < count) return;
      clearInterval(typing);
      resolve();
    }, 1000 / keysPerSecond);
  });
  await Promise.all(taken);
}

/** The times from pressing a key until it is handled, and until the next frame is shown (in steps of 8), in ms. */
interface Key {
  readonly handled: number;
  readonly painted: number;
}

interface Watched {
  pressed: Map<number, Key>;
  frames: number[];
}

/** Records every key and every frame from now on. Browsers do not report keys that were painted within 16 ms. */
async function recordKeys(page: Page): Promise<void> {
  await page.evaluate(() => {
    const watched: Watched = { pressed: new Map(), frames: [] };
    Object.assign(window, { watched });
    new PerformanceObserver((list) => {
      for (const e of list.getEntries() as (PerformanceEventTiming & { interactionId: number })[]) {
        if (e.interactionId === 0) continue;
        const before = watched.pressed.get(e.interactionId) ?? { handled: 0, painted: 0 };
        watched.pressed.set(e.interactionId, {
          handled: Math.max(before.handled, e.processingEnd - e.startTime),
          painted: Math.max(before.painted, e.duration),
        });
      }
    }).observe({ type: "event", durationThreshold: 16 } as PerformanceObserverInit);
    const tick = (now: number): void => {
      watched.frames.push(now);
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  });
}

/** Returns the keys and frames since the last call. */
async function recordedKeys(page: Page): Promise<{ pressed: Key[]; frames: number[] }> {
  return page.evaluate(() => {
    const { watched } = window as unknown as { watched: Watched };
    const noted = { pressed: [...watched.pressed.values()], frames: watched.frames };
    watched.pressed.clear();
    watched.frames = [];
    return noted;
  });
}

function report(arriving: string, { pressed, frames }: { pressed: Key[]; frames: number[] }): void {
  const quick = Array<Key>(Math.max(0, seconds * keysPerSecond - pressed.length)).fill({ handled: 16, painted: 16 });
  const all = [...pressed, ...quick];
  const three = (values: number[]): string => [0.5, 0.98, 1].map((share) => ms(quantile(values, share))).join(" / ");
  const when = `while ${arriving} for ${seconds} s (${slowCpu}), p50 / p98 / worst`;
  record(`key pressed until handled ${when}`, three(all.map((k) => k.handled)));
  record(`key pressed until painted ${when}`, three(all.map((k) => k.painted)));
  record(`between frames ${when}`, three(frames.slice(1).map((at, i) => at - (frames[i] ?? at))));
}
