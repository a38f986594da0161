/**
 * Tests of the view alone, on a model without a server (src/view/testing): for everything that does not need the whole
 * system, such as layout, accessibility, thousands of messages, rejections, or a new version of the client. The view is
 * served with a content security policy as strict as that of the service. Any warning or error in the console of the
 * browser fails the test.
 */
import { test as base, expect, type Page } from "@playwright/test";
import { createReadStream, existsSync, statSync } from "node:fs";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { en } from "../support/texts";

export { en, expect };

const config = fileURLToPath(new URL("../../src/view/testing/vite.config.ts", import.meta.url));
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; manifest-src 'self'; " +
  "worker-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const kinds: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".woff2": "font/woff2",
  ".webmanifest": "application/manifest+json",
};

export interface View {
  readonly url: string;
  /** The folder that is served. */
  readonly folder: string;
  /** Deploys the other one of two versions, without the files of the one before. */
  deploy(): Promise<void>;
}

function serve(folder: string): Promise<Server> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://x").pathname;
    let file = join(folder, path);
    if (!existsSync(file) || statSync(file).isDirectory()) {
      if (path.startsWith("/assets/") || path.endsWith(".js")) return void response.writeHead(404).end();
      file = join(folder, "index.html"); // every other path is a place of the client
    }
    response.writeHead(200, {
      "content-type": kinds[extname(file)] ?? "application/octet-stream",
      "content-security-policy": policy,
      "cache-control": "no-cache",
    });
    createReadStream(file).pipe(response);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

interface Fixtures {
  /** Opens a place on the fake model. `how` has its options; see testing/fake.ts. */
  at: (place: string, how?: Readonly<Record<string, string | number>>) => Promise<Page>;
}

export const test = base.extend<Fixtures, { view: View }>({
  view: [
    async ({}, use) => {
      const parent = await mkdtemp(join(tmpdir(), "phoenix-view-"));
      const folder = join(parent, "served");
      const builds = [join(parent, "0"), join(parent, "1")] as const;
      let version: 0 | 1 = 1;
      const deploy = async (): Promise<void> => {
        version = version === 0 ? 1 : 0;
        const outDir = builds[version];
        if (!existsSync(outDir)) {
          const define = { __MARK__: JSON.stringify(`version ${version}`) };
          await build({ configFile: config, logLevel: "error", define, build: { outDir } });
        }
        await rm(folder, { recursive: true, force: true });
        await cp(outDir, folder, { recursive: true });
      };
      await deploy();
      const server = await serve(folder);
      await use({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, folder, deploy });
      server.closeAllConnections();
      server.close();
      await rm(parent, { recursive: true, force: true });
    },
    { scope: "worker", timeout: 300_000 }, // a busy machine builds the view in minutes
  ],
  at: async ({ page, view }, use) => {
    const messages: string[] = [];
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") messages.push(message.text());
    });
    page.on("pageerror", (error) => messages.push(error.message));
    await use(async (place, how = {}) => {
      const query = new URLSearchParams({
        fake: "1",
        ...Object.fromEntries(Object.entries(how).map(([k, v]) => [k, String(v)])),
      });
      await page.goto(`${view.url}${place}${place.includes("?") ? "&" : "?"}${query.toString()}`);
      return page;
    });
    expect(messages, "warnings and errors in the console").toEqual([]);
  },
});

/** Waits for two frames, after which the last change is on the screen. */
export function painted(page: Page): Promise<void> {
  return page.evaluate(
    () => new Promise<void>((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve()))),
  );
}

/** Waits until the rows no longer move. Newly visible rows are measured, which moves the others. */
export function atRest(page: Page): Promise<void> {
  return page.getByRole("log").evaluate(async (scroller) => {
    for (let still = 0, before = Number.NaN; still < 12;) {
      await new Promise((resolve) => requestAnimationFrame(resolve));
      const now = [...scroller.querySelectorAll("article")].reduce((sum, a) => sum + a.getBoundingClientRect().top, 0);
      still = now === before ? still + 1 : 0;
      before = now;
    }
  });
}
