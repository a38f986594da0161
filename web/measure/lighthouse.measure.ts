import { chromium } from "@playwright/test";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { promisify } from "node:util";
import { launchOptions } from "../e2e/support/browser";
import { composer, message, open, send, signUp } from "../e2e/support/steps";
import { system } from "../e2e/support/system";
import { account, expect, test } from "../e2e/support/test";
import { register } from "../e2e/support/voice";
import { tell } from "./figures";

// 185 MB with what it needs: npx brings it when it is first run, and it is none of the client's packages.
const tool = "lighthouse@12.8.2";
const categories = ["performance", "accessibility", "best-practices"] as const;

interface Report {
  readonly categories: Readonly<
    Record<
      string,
      { readonly score: number; readonly auditRefs: readonly { readonly id: string; readonly weight: number }[] }
    >
  >;
  readonly audits: Readonly<
    Record<
      string,
      {
        readonly title: string;
        readonly score: number | null;
        readonly displayValue?: string;
        readonly scoreDisplayMode: string;
      }
    >
  >;
}

/** Lets Lighthouse look at a page of a browser that runs, as it is: signed in or not. */
async function look(url: string, port: number): Promise<Report> {
  const args = [
    "--yes",
    tool,
    url,
    `--port=${port}`,
    "--output=json",
    "--quiet",
    "--disable-storage-reset",
    `--only-categories=${categories.join()}`,
    "--no-enable-error-reporting",
  ];
  const { stdout } = await promisify(execFile)("npx", args, {
    maxBuffer: 64e6,
    env: { ...process.env, CHROME_PATH: launchOptions.executablePath ?? "" },
  });
  return JSON.parse(stdout) as Report;
}

function told(what: string, { categories: found, audits }: Report): void {
  tell(
    `Lighthouse, ${what}: ${categories.join(" / ")}`,
    categories.map((name) => ((found[name]?.score ?? NaN) * 100).toFixed(0)).join(" / "),
  );
  const show = (id: string): string => audits[id]?.displayValue ?? "?";
  tell(
    `the same: first contentful paint, largest contentful paint, blocked, shifted`,
    ["first-contentful-paint", "largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift"]
      .map(show)
      .join(", "),
  );
  for (const name of ["accessibility", "best-practices"]) {
    const missed = (found[name]?.auditRefs ?? [])
      .filter(({ id, weight }) => weight > 0 && (audits[id]?.score ?? 1) < 1)
      .map(({ id }) => audits[id]?.title ?? id);
    if (missed.length > 0) tell(`the same, ${name}: findings`, missed.join("; "));
  }
}

test("what Lighthouse says", async () => {
  const port = await freePort();
  const context = await chromium.launchPersistentContext(test.info().outputPath("profile"), {
    ...launchOptions,
    args: [...launchOptions.args, `--remote-debugging-port=${port}`],
    baseURL: system().url,
    locale: "en-GB",
  });
  const page = context.pages()[0] ?? (await context.newPage());
  told("sign-in page", await look(`${system().url}/signin`, port));
  const [ann, bob] = [account("Ann"), account("Bob")];
  await register(bob);
  await signUp(page, ann);
  await open(page, bob);
  for (const body of ["Are you on the train?", "I am at the station, platform 4.", "See https://example.org/map"])
    await send(page, bob, body);
  await expect(message(page, bob, "platform 4")).toBeVisible();
  await expect(composer(page, bob)).toBeVisible();
  await page.goto("about:blank");
  told("a conversation, signed in", await look(`${system().url}/c/${bob.username}`, port));
  await context.close();
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
