// Runs Stryker over the engine, one file after another. Stryker stores its results at the end of a run only, so a run
// per file makes the whole resumable: a file that was finished before is compared with the stored results, and only what
// has changed runs again. Arguments are the files to run, by default all of them.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";

const web = fileURLToPath(new URL("..", import.meta.url));
const sandbox = `${web}../.cache/stryker/sandbox`;
mkdirSync(sandbox, { recursive: true });
// The scenarios, which tests read beside the folder of the client.
rmSync(`${sandbox}/realtime`, { force: true });
symlinkSync(`${web}../realtime`, `${sandbox}/realtime`);

const engine = "src/model/engine";
const files = readdirSync(web + engine)
  .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
  .map((name) => `${engine}/${name}`);
const chosen = process.argv.slice(2);
for (const file of chosen.length > 0 ? chosen : files) {
  execFileSync(
    process.execPath,
    ["mutation/node_modules/@stryker-mutator/core/bin/stryker.js", "run", "mutation/stryker.config.json", "-m", file],
    // One seed for the random histories, so that every mutant meets the same ones.
    {
      cwd: web,
      stdio: "inherit",
      env: { PHOENIX_SEED: "1", PHOENIX_RUNS: "5", PHOENIX_STORES: "memory", ...process.env },
    },
  );
}
