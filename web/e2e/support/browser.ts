/** The browsers that are installed. CHROMIUM and FIREFOX name their programs; Debian's are taken otherwise. */
import { existsSync } from "node:fs";
import { join } from "node:path";

const program = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** Root may not use Chromium's sandbox; and no browser calls home during tests. */
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

/** Firefox, started by the program that stands between it and Playwright. */
export const firefoxOptions = { executablePath: join(import.meta.dirname, "firefox.mjs"), args: [] };

/** Marks the tests whose outcome depends on a backend: redis-server, Firestore or Pub/Sub. They run on the emulators, too. */
export const backend = "@backend";

/** Marks the tests of the main journey, which Firefox plays as well. */
export const engines = "@engines";

/** Marks those that the whole Chromium plays, too, beside its headless shell. */
export const everywhere = "@everywhere";

/** Marks what only a whole browser can do: Chromium's headless shell refuses notifications unasked. */
export const whole = "@whole";
