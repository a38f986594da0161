/** The simulated device and network: those of the mobile profile of Lighthouse. */
import type { CDPSession, Page } from "@playwright/test";

/** "Slow 4G", as Lighthouse defines it. */
const network = {
  offline: false,
  latency: 150,
  downloadThroughput: (1_638.4 * 1024) / 8,
  uploadThroughput: (750 * 1024) / 8,
};
/** The factor by which the processor is slowed down. */
const cpu = 4;

/** The texts for the table. */
export const profile = `processor ${cpu} times slower, slow 4G (150 ms, 1.6 Mbit/s)`;
export const slowCpu = `processor ${cpu} times slower`;

/** Slows a page down, but not its service worker, which is another target. */
export async function throttle(page: Page, what: { readonly network: boolean }): Promise<CDPSession> {
  const session = await page.context().newCDPSession(page);
  await session.send("Emulation.setCPUThrottlingRate", { rate: cpu });
  await session.send("Network.enable");
  if (what.network) await session.send("Network.emulateNetworkConditions", network);
  return session;
}

/** Headless Chromium delays frames for seconds, which every key would show. A screencast makes it draw them. */
export async function drawFrames(session: CDPSession): Promise<void> {
  session.on(
    "Page.screencastFrame",
    ({ sessionId }) => void session.send("Page.screencastFrameAck", { sessionId }).catch(() => undefined),
  );
  await session.send("Page.startScreencast", { format: "jpeg", quality: 1, maxWidth: 64, maxHeight: 64 });
}
