/** The device and the network that are measured: those of Lighthouse's mobile profile. */
import type { CDPSession, Page } from "@playwright/test";

/** "Slow 4G", as Lighthouse has it. */
const network = {
  offline: false,
  latency: 150,
  downloadThroughput: (1_638.4 * 1024) / 8,
  uploadThroughput: (750 * 1024) / 8,
};
/** How many times slower the processor is made. */
const cpu = 4;

/** As the table says it. */
export const profile = `processor ${cpu} times slower, slow 4G (150 ms, 1.6 Mbit/s)`;
export const slowCpu = `processor ${cpu} times slower`;

/** Slows a page down. Requests of its service worker are another target's, and are not slowed. */
export async function throttle(page: Page, what: { readonly network: boolean }): Promise<CDPSession> {
  const session = await page.context().newCDPSession(page);
  await session.send("Emulation.setCPUThrottlingRate", { rate: cpu });
  await session.send("Network.enable");
  if (what.network) await session.send("Network.emulateNetworkConditions", network);
  return session;
}
