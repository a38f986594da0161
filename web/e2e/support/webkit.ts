/**
 * Windows of WebKit, the engine of Safari. Playwright drives only a WebKit of its own, which is downloaded, so these
 * tests speak WebDriver to the one of Debian: `apt-get install --no-install-recommends webkit2gtk-driver xvfb`. The
 * driver starts WebKitGTK's MiniBrowser with an empty profile. WEBKIT names another driver.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { createInterface } from "node:readline";

/** A page that does not answer within this time hangs. */
const PATIENCE_MS = 15_000;
const POLL_MS = 50;
/** The property by which WebDriver names an element. */
const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";

/** Enter, as WebDriver types it. */
export const ENTER = "\uE007";

/** A browser with its windows. Commands go to one window at a time. */
export class WebKit {
  private readonly address: string;
  private readonly session: string;
  private readonly programs: readonly ChildProcess[];

  static async open(): Promise<WebKit> {
    const programs: ChildProcess[] = [];
    try {
      // Xvfb finds a free display and writes its number to the given file descriptor.
      const screen = spawn("Xvfb", ["-displayfd", "3", "-screen", "0", "1280x800x24", "-nolisten", "tcp"], {
        stdio: ["ignore", "ignore", "ignore", "pipe"],
      });
      programs.push(screen);
      const display = await new Promise<string>((resolve, reject) => {
        screen.once("error", reject);
        createInterface(screen.stdio[3] as NodeJS.ReadableStream).once("line", resolve);
      });
      const port = await freePort();
      const driver = spawn(process.env["WEBKIT"] ?? "WebKitWebDriver", [`--port=${port}`], {
        stdio: "ignore",
        env: { ...process.env, DISPLAY: `:${display}` },
        detached: true,
      });
      programs.push(driver);
      await new Promise((resolve, reject) => {
        driver.once("error", reject);
        driver.once("spawn", resolve);
      });
      const address = `http://127.0.0.1:${port}`;
      await eventually("WebKitWebDriver answers", async () => (await call(address, "GET", "/status")) !== null);
      const { sessionId } = (await call(address, "POST", "/session", { capabilities: {} })) as { sessionId: string };
      return new WebKit(address, sessionId, programs);
    } catch (err) {
      end(programs);
      throw err;
    }
  }

  private constructor(address: string, session: string, programs: readonly ChildProcess[]) {
    this.address = address;
    this.session = session;
    this.programs = programs;
  }

  async close(): Promise<void> {
    await call(this.address, "DELETE", `/session/${this.session}`).catch(() => undefined);
    end(this.programs);
  }

  async go(url: string): Promise<void> {
    await this.ask("POST", "/url", { url });
  }

  async reload(): Promise<void> {
    await this.ask("POST", "/refresh", {});
  }

  async back(): Promise<void> {
    await this.ask("POST", "/back", {});
  }

  /** Returns the value of an expression in the page. */
  run(expression: string): Promise<unknown> {
    return this.ask("POST", "/execute/sync", { script: `return ${expression}`, args: [] });
  }

  /** Waits until an expression in the page is true. */
  async until(expression: string): Promise<void> {
    await eventually(expression, async () => (await this.run(`!!(${expression})`)) === true);
  }

  async type(css: string, text: string): Promise<void> {
    await this.ask("POST", `${await this.element(css)}/value`, { text });
  }

  async click(css: string): Promise<void> {
    await this.ask("POST", `${await this.element(css)}/click`, {});
  }

  /** Opens a window of the same profile, which gets the commands from now on. Returns its handle. */
  async window(): Promise<string> {
    // A second tab would be hidden, and a hidden page draws nothing.
    const { handle } = (await this.ask("POST", "/window/new", { type: "window" })) as { handle: string };
    await this.use(handle);
    return handle;
  }

  async currentWindow(): Promise<string> {
    return String(await this.ask("GET", "/window"));
  }

  async use(handle: string): Promise<void> {
    await this.ask("POST", "/window", { handle });
  }

  async closeWindow(): Promise<void> {
    await this.ask("DELETE", "/window");
  }

  private async element(css: string): Promise<string> {
    const found = await this.ask("POST", "/element", { using: "css selector", value: css });
    return `/element/${(found as Record<string, string>)[ELEMENT]}`;
  }

  private ask(method: string, path: string, body?: object): Promise<unknown> {
    return call(this.address, method, `/session/${this.session}${path}`, body);
  }
}

/** Ends programs, the last one first. The driver leads a process group, which contains a browser that hangs. */
function end(programs: readonly ChildProcess[]): void {
  for (const { pid } of [...programs].reverse()) {
    if (pid === undefined) continue;
    for (const target of [-pid, pid])
      try {
        process.kill(target, "SIGKILL");
      } catch {
        // There is no such group, or it has ended.
      }
  }
}

async function call(address: string, method: string, path: string, body?: object): Promise<unknown> {
  const answer = await fetch(`${address}${path}`, {
    method,
    signal: AbortSignal.timeout(PATIENCE_MS),
    ...(body ? { body: JSON.stringify(body), headers: { "content-type": "application/json" } } : {}),
  });
  const { value } = (await answer.json()) as { value: unknown };
  if (!answer.ok) throw new Error(`${method} ${path}: ${JSON.stringify(value)}`);
  return value;
}

async function eventually(what: string, check: () => Promise<boolean>): Promise<void> {
  const start = Date.now();
  let problem: unknown;
  do {
    try {
      if (await check()) return;
      problem = undefined;
    } catch (err) {
      problem = err;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  } while (Date.now() - start < PATIENCE_MS);
  throw new Error(`This did not happen within ${PATIENCE_MS} ms: ${what}`, { cause: problem });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
