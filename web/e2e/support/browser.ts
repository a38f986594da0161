/** The browser that is installed. CHROMIUM names its program; Debian's is taken otherwise, where it is there. */
import { existsSync } from "node:fs";

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
