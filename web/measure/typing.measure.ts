import { type CDPSession, chromium, type Page } from "@playwright/test";
import { signIn } from "../e2e/support/archive";
import { launchOptions } from "../e2e/support/browser";
import { composer, expectState, messages, open, send, state } from "../e2e/support/steps";
import { expect, test } from "../e2e/support/test";
import { Voice } from "../e2e/support/voice";
import { ms, quantile, tell } from "./figures";
import { slowCpu, throttle } from "./throttle";

const seconds = 10;
const perSecond = 50; // messages
const keysPerSecond = 8; // a quick typist

test("typing while fifty messages a second arrive", async ({ person }) => {
  const [ann, bob] = [await person("Ann"), await person("Bob")];
  await open(ann.page, bob);
  await send(ann.page, bob, "Tell me everything.");
  const { uid } = await signIn(ann);
  // In a browser of its own, which is not slowed down. Two devices, since one may send 20 messages a second for long.
  const elsewhere = await chromium.launch(launchOptions);
  const context = await elsewhere.newContext();
  const voices = [await Voice.open(context, bob), await Voice.open(context, bob)];
  await expectState(ann.page, bob, "Tell me everything.", state.arrived);
  await bob.context.close();
  const session = await throttle(ann.page, { network: false });
  await composer(ann.page, bob).focus();
  await watch(ann.page);
  // Without a screen, and with nobody looking, Chromium puts off showing frames for seconds, and says so of every key. A screencast looks.
  session.on(
    "Page.screencastFrame",
    ({ sessionId }) => void session.send("Page.screencastFrameAck", { sessionId }).catch(() => undefined),
  );
  await session.send("Page.startScreencast", { format: "jpeg", quality: 1, maxWidth: 64, maxHeight: 64 });

  await type(session, seconds * keysPerSecond);
  report("nothing arrives", await keys(ann.page));

  const each = (seconds * perSecond) / voices.length;
  const began = Date.now();
  const poured = Promise.all(
    voices.map((voice, v) =>
      voice.pour(uid, each, perSecond / voices.length, (n) => `Word ${n} of voice ${v}, and some more of it.`),
    ),
  ).then(() => Date.now() - began);
  await type(session, seconds * keysPerSecond);
  report(`${perSecond} messages/s arrive`, await keys(ann.page));
  const accepted = await poured;
  await expect(
    messages(ann.page, bob)
      .filter({ hasText: `Word ${each - 1} of voice` })
      .last(),
  ).toBeVisible();
  tell("the last message was accepted / is shown after", `${ms(accepted)} / ${ms(Date.now() - began)}`);
  await expect(composer(ann.page, bob)).toHaveValue(new RegExp(`^.{${2 * seconds * keysPerSecond}}$`));
  await elsewhere.close();
});

/** Types, whether or not the page keeps up: nobody's fingers wait for the screen. Resolves once the page has taken every key. */
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

/** A key, in ms since it was pressed: the page has handled it, and the next frame is on the screen (in steps of 8). */
interface Key {
  readonly handled: number;
  readonly painted: number;
}

interface Watched {
  pressed: Map<number, Key>;
  frames: number[];
}

/** Notes every key and every frame from now on. Keys that were painted within 16 ms are not reported by browsers. */
async function watch(page: Page): Promise<void> {
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

/** What was noted since the last call. */
async function keys(page: Page): Promise<{ pressed: Key[]; frames: number[] }> {
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
  tell(`key pressed until handled ${when}`, three(all.map((k) => k.handled)));
  tell(`key pressed until painted ${when}`, three(all.map((k) => k.painted)));
  tell(`between frames ${when}`, three(frames.slice(1).map((at, i) => at - (frames[i] ?? at))));
}
