/** The installed browsers. CHROMIUM and FIREFOX name their programs; the default is those of Debian. */
import { existsSync } from "node:fs";
import { join } from "node:path";

const program = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** Chromium has no sandbox for root. Background requests of the browser are off during tests. */
export const launchOptions = {
  ...(existsSync(program) ? { executablePath: program } : {}),
  args: [
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
};

/** Firefox, started by a program that relays between it and Playwright. */
export const firefoxOptions = { executablePath: join(import.meta.dirname, "firefox.mjs"), args: [] };

/** Marks the tests whose outcome depends on redis-server, Firestore or Pub/Sub. They run on the emulators, too. */
export const backend = "@backend";

/** Marks the tests that run in Firefox, too. */
export const engines = "@engines";

/** Marks the tests that run in Firefox and in the full Chromium, too. */
export const everywhere = "@everywhere";

/** Marks the tests that need a full browser. The headless shell of Chromium denies notifications without asking. */
export const whole = "@whole";
