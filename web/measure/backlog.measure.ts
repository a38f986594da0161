import { chromium, type Page } from "@playwright/test";
import { signIn } from "../e2e/support/accounts";
import { launchOptions } from "../e2e/support/browser";
import { expectState, messages, open, send, state } from "../e2e/support/steps";
import { expect, test } from "../e2e/support/test";
import { Voice } from "../e2e/support/voice";
import { ms, quantile, record } from "./figures";
import { slowCpu, throttle } from "./throttle";

const seconds = 8;
const perSecond = 50; // messages

test("fifty messages a second arrive in an open conversation", async ({ user }) => {
  const [ann, bob] = [await user("Ann"), await user("Bob")];
  await ann.page.addInitScript(watchMessages);
  await ann.page.reload();
  await open(ann.page, bob);
  await send(ann.page, bob, "Tell me everything.");
  const { uid } = await signIn(ann);
  // In another browser, which is not slowed down. Three devices, because one may send at most 20 messages a second.
  const elsewhere = await chromium.launch(launchOptions);
  const context = await elsewhere.newContext();
  const voices = [await Voice.open(context, bob), await Voice.open(context, bob), await Voice.open(context, bob)];
  await expectState(ann.page, bob, "Tell me everything.", state.arrived);
  await bob.context.close();
  const session = await throttle(ann.page, { network: false });
  // Headless Chromium delays frames for seconds. A screencast makes it draw them.
  session.on(
    "Page.screencastFrame",
    ({ sessionId }) => void session.send("Page.screencastFrameAck", { sessionId }).catch(() => undefined),
  );
  await session.send("Page.startScreencast", { format: "jpeg", quality: 1, maxWidth: 64, maxHeight: 64 });

  const each = Math.ceil((seconds * perSecond) / voices.length);
  await Promise.all(
    voices.map((voice, v) =>
      voice.pour(uid, each, perSecond / voices.length, (n) => `Word ${n} of voice ${v}, and some more of it.`),
    ),
  );
  for (const v of voices.keys())
    await expect(messages(ann.page, bob).filter({ hasText: `Word ${each - 1} of voice ${v},` })).toBeVisible();
  await session.send("Page.stopScreencast");
  report(await watched(ann.page), each * voices.length);
  await elsewhere.close();
});

/** A message: when it was sent, received, acknowledged and shown, in ms since the epoch. */
interface Seen {
  readonly cursor: string;
  readonly sent: number;
  readonly received: number;
  acked?: number;
  shown?: number;
}

interface Watched {
  seen: Map<string, Seen>;
  /** The duration of each task of the page that took more than 50 ms. */
  long: number[];
}

/**
 * Runs in the page before its own code: records what the socket receives and acknowledges, and when the newest rows of
 * the list show it. A row that was scrolled past before it was drawn counts as shown with a later one of its voice.
 */
function watchMessages(): void {
  const seen = new Map<string, Seen>();
  const long: number[] = [];
  Object.assign(window, { watched: { seen, long } satisfies Watched });
  const name = /Word \d+ of voice \d+/;
  const Native = window.WebSocket;
  window.WebSocket = class extends Native {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      this.addEventListener("message", ({ data }: MessageEvent<string>) => {
        const word = name.exec(data)?.[0];
        if (word === undefined || seen.has(word)) return;
        const { cursor, event } = JSON.parse(data) as { cursor: string; event: { type: string; at: number } };
        if (event.type === "message") seen.set(word, { cursor, sent: event.at / 1000, received: Date.now() });
      });
    }

    override send(data: string): void {
      super.send(data);
      if (!data.includes('"ack"')) return;
      const { cursor } = JSON.parse(data) as { cursor: string };
      for (const message of seen.values()) {
        message.acked ??= Date.now();
        if (message.cursor === cursor) break;
      }
    }
  };
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) long.push(duration);
  }).observe({ type: "longtask" });
  new MutationObserver(() => {
    const rows = document.querySelectorAll("article");
    for (let n = rows.length - 1; n >= Math.max(0, rows.length - 30); n--) {
      const message = seen.get(name.exec(rows[n]?.textContent ?? "")?.[0] ?? "");
      if (message) message.shown ??= Date.now();
    }
  }).observe(document, { childList: true, subtree: true });
}

async function watched(page: Page): Promise<{ seen: Seen[]; long: number[] }> {
  return page.evaluate(() => {
    const { seen, long } = (window as unknown as { watched: Watched }).watched;
    return { seen: [...seen.values()], long };
  });
}

/** Returns the most messages that had passed one step and not the other at the same time. */
function most<M>(seen: readonly M[], from: (m: M) => number, until: (m: M) => number): number {
  const steps = seen.flatMap((m) => [[from(m), 1] as const, [until(m), -1] as const]);
  steps.sort(([a, up], [b, down]) => a - b || up - down);
  let [now, largest] = [0, 0];
  for (const [, step] of steps) largest = Math.max(largest, (now += step));
  return largest;
}

function report({ seen, long }: { seen: Seen[]; long: number[] }, count: number): void {
  expect(seen.length).toBe(count);
  // A message that was never drawn was scrolled past.
  let later = Infinity;
  const shown = seen.toReversed().map((m) => {
    later = m.shown ?? later;
    return { ...m, shown: later };
  });
  const when = `${perSecond} messages/s for ${seconds} s in an open conversation (${slowCpu})`;
  const received = (m: Seen): number => m.received;
  const backlogs = [
    most(
      shown,
      (m) => m.sent,
      (m) => m.received,
    ),
    most(shown, received, (m) => m.acked ?? Infinity),
    most(shown, received, (m) => m.shown),
  ];
  record(
    `${when}, the most at once: sent, not received / received, not acknowledged / not shown`,
    backlogs.join(" / "),
  );
  const three = (values: number[]): string => [0.5, 0.98, 1].map((share) => ms(quantile(values, share))).join(" / ");
  record(`${when}: from sending until received, p50 / p98 / worst`, three(shown.map((m) => m.received - m.sent)));
  record(`${when}: from receiving until shown, p50 / p98 / worst`, three(shown.map((m) => m.shown - m.received)));
  record(
    `${when}: tasks above 50 ms: number, longest, total`,
    `${long.length}, ${ms(Math.max(0, ...long))}, ${ms(long.reduce((sum, task) => sum + task, 0))}`,
  );
}
