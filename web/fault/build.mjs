// Builds the program of the fault crowd for Node: node fault/build.mjs OUT. The engine has no options for its delays.
// Those of a minute are cut to seconds, as infra/fault does for the client in Go (function pace in infra/fault/run.go),
// so that they end within a run. Everything else is the code that browsers run.
import { fileURLToPath } from "node:url";
import { build } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));

/** By file: the constants that get another value. */
const PACE = {
  "src/model/engine/backfiller.ts": { LOADS_AT_MS: "[0, 2_000, 6_000, 20_000]" },
  "src/model/engine/sender.ts": { DOUBT_MS: "4_000", GIVE_UP_MS: "8_000" },
  "src/model/store/backfills.ts": { BACKFILL_AFTER_MS: "500" },
  "src/net/connection.ts": { MAX_WAIT_MS: "5_000" },
  "src/net/link.ts": { GREETING_MS: "8_000", PONG_MS: "4_000", QUIET_MS: "10_000" },
};

const left = new Set(Object.keys(PACE));

/** Replaces the constants of {@link PACE}. The build fails if one is not there any more. */
const pace = {
  name: "pace",
  enforce: "pre",
  transform(code, id) {
    const file = Object.keys(PACE).find((name) => id === root + name);
    if (!file) return null;
    left.delete(file);
    for (const [name, value] of Object.entries(PACE[file])) {
      const found = new RegExp(`^(?:export )?const ${name}(: [^=]+)? = [^;]+;$`, "m");
      if (!found.test(code)) throw new Error(`${file} has no constant ${name}: update web/fault/build.mjs`);
      code = code.replace(found, (line) => line.replace(/ = [^;]+;$/, ` = ${value};`));
    }
    return { code, map: null };
  },
  buildEnd(err) {
    if (!err && left.size > 0) throw new Error(`not in the program: ${[...left].join(", ")}`);
  },
};

const [out] = process.argv.slice(2);
if (out === undefined) throw new Error("usage: node fault/build.mjs OUT");
await build({
  root,
  configFile: false,
  publicDir: false,
  logLevel: "warn",
  plugins: [pace],
  ssr: { noExternal: true },
  build: {
    ssr: "fault/main.ts",
    outDir: out,
    emptyOutDir: false,
    target: "node20",
    minify: false,
    rolldownOptions: { output: { entryFileNames: "browsers.mjs" } },
  },
});
