/**
 * Starts the whole system once for all tests, as `go run ./infra/local` does. Ends it with the signal of Ctrl-C, which
 * must take at most 5 s.
 *
 * PHOENIX_LOCAL names the built launcher; without it, the launcher is built first. PHOENIX_E2E_FLAGS has more flags for
 * it, such as "-emulators".
 */
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

/** The addresses that the launcher prints with -json. */
export interface System {
  readonly url: string;
  readonly instances: readonly string[];
  readonly project: string;
  /** host:port, as are those below. */
  readonly redis: string;
  readonly auth: string;
  /** Only with the emulators. */
  readonly firestore?: string;
  /** The address of the stand-in for push services. Every path below /push/ is a subscription. */
  readonly push: string;
  /** The folder of its persistent data. */
  readonly data: string;
}

/** Returns the running system. */
export function system(): System {
  const line = process.env["PHOENIX_SYSTEM"];
  if (line === undefined) throw new Error("The system was not started: run the tests with npx playwright test.");
  return JSON.parse(line) as System;
}

const endsWithin = 5_000;

const root = join(import.meta.dirname, "../../..");

const run = promisify(execFile);

/** Returns the launcher. It is a built program, because `go run` does not pass on signals. */
function launcher(): string {
  const built = process.env["PHOENIX_LOCAL"];
  if (built === undefined) throw new Error("The launcher was not built: run the tests with npx playwright test.");
  return built;
}

/** Makes a user an admin, with the command that operators use. Their address counts as verified from then on. */
export async function makeAdmin(email: string, of: System = system()): Promise<void> {
  await verifyAddress(email, of);
  await run(launcher(), ["-data", of.data, "-superuser", email], { cwd: root });
}

/** Marks the address of an account as verified, as a link in a mail would. */
export async function verifyAddress(email: string, of: System = system()): Promise<void> {
  const call = async (method: string, body: object): Promise<unknown> => {
    const at = `http://${of.auth}/identitytoolkit.googleapis.com/v1/projects/${of.project}/accounts:${method}`;
    const headers = { Authorization: "Bearer owner", "Content-Type": "application/json" };
    const response = await fetch(at, { method: "POST", headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`accounts:${method} was answered ${response.status}.`);
    return response.json();
  };
  const found = (await call("lookup", { email: [email] })) as { users?: readonly { localId: string }[] };
  for (const { localId } of found.users ?? []) await call("update", { localId, emailVerified: true });
}

export default async function start(): Promise<() => Promise<void>> {
  if (process.env["PHOENIX_LOCAL"] === undefined) {
    const built = join(root, ".cache/local");
    await run("go", ["build", "-o", built, "./infra/local"], { cwd: root });
    process.env["PHOENIX_LOCAL"] = built;
  }
  const { system, end } = await launch();
  process.env["PHOENIX_SYSTEM"] = JSON.stringify(system);
  return end;
}

export interface Launched {
  readonly system: System;
  /** Rejects if the launcher failed. */
  readonly end: () => Promise<void>;
}

/**
 * Starts a system for tests that others would disturb. It keeps its data in a new folder, which it deletes at its end,
 * or in the given one, and listens on a free port, or on the given one. `client` is the folder of a built client.
 */
export async function launch(
  on: { readonly data?: string; readonly port?: string; readonly client?: string } = {},
): Promise<Launched> {
  const data = on.data ?? (await mkdtemp(join(tmpdir(), "phoenix-e2e-")));
  const extra = (process.env["PHOENIX_E2E_FLAGS"] ?? "").split(" ").filter((flag) => flag !== "");
  const flags = [
    "-json",
    "-push-stub",
    "-port",
    on.port ?? "0",
    "-data",
    data,
    ...(on.client === undefined ? [] : ["-client", on.client]),
    ...extra,
  ];
  const running = spawn(launcher(), flags, { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number | null>((resolve, reject) => {
    running.once("error", reject);
    running.once("exit", resolve);
  });
  const line = new Promise<string>((resolve) => createInterface(running.stdout).once("line", resolve));
  const first = await Promise.race([line, ended]);
  if (typeof first !== "string") throw new Error(`The system did not start; the launcher ended with ${String(first)}.`);
  const end = async (): Promise<void> => {
    const began = Date.now();
    running.kill("SIGINT");
    const code = await ended;
    if (on.data === undefined) await rm(data, { recursive: true, force: true });
    const took = Date.now() - began;
    if (code !== 0) throw new Error(`The launcher ended with ${String(code)}.`);
    if (took > endsWithin) throw new Error(`The launcher needed ${took} ms to end; at most ${endsWithin} are allowed.`);
  };
  return { system: { ...(JSON.parse(first) as System), data }, end };
}
