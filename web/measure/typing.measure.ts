import { composer, expectState, messages, open, send, state } from "../e2e/support/steps";
import { expect, test } from "../e2e/support/test";
import { signIn } from "../e2e/support/archive";
import { Voice } from "../e2e/support/voice";
import { chromium } from "@playwright/test";
import { launchOptions } from "../e2e/support/browser";
import { ms, quantile, tell } from "./figures";
import { slowCpu, throttle } from "./throttle";

const seconds = 10;
const perSecond = 50;

/** Events that the browser did not report took less than this. */
const floor = 16;

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

  await throttle(ann.page, { network: false });
  await ann.page.evaluate((durationThreshold) => {
    const events: { name: string; duration: number; id: number }[] = [];
    Object.assign(window, { events });
    new PerformanceObserver((list) => {
      for (const e of list.getEntries() as (PerformanceEventTiming & { interactionId: number })[]) events.push({ name: e.name, duration: e.duration, id: e.interactionId });
    }).observe({ type: "event", durationThreshold } as PerformanceObserverInit);
    const frames: number[] = [];
    Object.assign(window, { frames });
    const tick = (now: number): void => {
      frames.push(now);
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }, floor);

  const box = composer(ann.page, bob);
  await box.focus();
  const began = Date.now();
  const poured = Promise.all(voices.map((voice, v) => voice.pour(uid, (seconds * perSecond) / voices.length, perSecond / voices.length, (n) => `Word ${n} of voice ${v}, and some more of it.`)));
  let typed = 0;
  while (Date.now() - began < seconds * 1000) {
    await ann.page.keyboard.type("abcdefgh "[typed % 9] ?? " ", { delay: 60 });
    typed++;
  }
  await poured;
  const all = Date.now() - began;
  await expect(messages(ann.page, bob).filter({ hasText: `Word ${(seconds * perSecond) / voices.length - 1} of voice` }).last()).toBeVisible();
  const shown = Date.now() - began;
  await expect(box).toHaveValue(new RegExp(`^.{${typed}}$`));
  const { events, frames } = await ann.page.evaluate(() => {
    const { events, frames } = window as unknown as { events: { name: string; duration: number; id: number }[]; frames: number[] };
    return { events, frames };
  });
  await elsewhere.close();

  // The longest event of each interaction counts, as for "interaction to next paint".
  const slow = new Map<number, number>();
  for (const { id, duration } of events) if (id > 0) slow.set(id, Math.max(slow.get(id) ?? 0, duration));
  const delays = [...slow.values(), ...Array<number>(Math.max(0, typed - slow.size)).fill(floor)];
  const gaps = frames.slice(1).map((at, i) => at - (frames[i] ?? at));
  const short = (value: number): string => (value <= floor ? `at most ${ms(floor)}` : ms(value));
  tell(`key to next paint while ${perSecond} messages/s arrive for ${seconds} s (${slowCpu}), p50`, short(quantile(delays, 0.5)));
  tell("the same, p98", short(quantile(delays, 0.98)));
  tell("the same, worst", `${ms(quantile(delays, 1))} of ${typed} keys`);
  tell("frames meanwhile, p50 / p98 / worst", [0.5, 0.98, 1].map((share) => ms(quantile(gaps, share))).join(" / "));
  tell("the last message was accepted / is shown after", `${ms(all)} / ${ms(shown)}`);
});
