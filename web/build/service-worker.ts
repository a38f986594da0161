import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build, type Plugin, type Rollup, transformWithOxc } from "vite";

const source = fileURLToPath(new URL("../src/service-worker.ts", import.meta.url));
/** The code that the worker loads when a push arrives. */
const pushSource = fileURLToPath(new URL("../src/worker/push.ts", import.meta.url));
const publicDir = fileURLToPath(new URL("../public", import.meta.url));

/**
 * Emits /service-worker.js for a build, with the list of the files to cache and a version that changes exactly when one
 * of them does, and the script that it loads when a push arrives. Chunks whose name begins with a name in `without` are left out: only few people open those screens.
 */
export function serviceWorker(options: { without: readonly string[] }): Plugin {
  return {
    name: "phoenix-service-worker",
    apply: "build",
    // Runs after index.html is written with the names of the chunks.
    generateBundle: {
      order: "post",
      async handler(_, bundle) {
        const digest = createHash("sha256");
        const files: string[] = ["/"];
        for (const [name, file] of Object.entries(bundle).sort(([a], [b]) => (a < b ? -1 : 1))) {
          if (name.endsWith(".map") || name === "manifest.build.json") continue;
          if (options.without.some((prefix) => name.startsWith(`assets/${prefix}-`))) continue;
          digest.update(name);
          digest.update(file.type === "chunk" ? file.code : file.source);
          if (name !== "index.html") files.push(`/${name}`);
        }
        // Not the pictures in install/, which only the browser's installation shows.
        const publicFiles = readdirSync(publicDir, { withFileTypes: true }).filter((entry) => entry.isFile());
        for (const name of publicFiles.map((entry) => entry.name).sort()) {
          digest.update(name);
          digest.update(readFileSync(`${publicDir}/${name}`));
          files.push(`/${name}`);
        }
        const text = readFileSync(source, "utf8");
        digest.update(text);
        const push = await bundlePush();
        digest.update(push);
        const pushFile = `assets/push-${createHash("sha256").update(push).digest("hex").slice(0, 8)}.js`;
        this.emitFile({ type: "asset", fileName: pushFile, source: push });
        const { code } = await transformWithOxc(text, source, { target: "es2022", sourcemap: false });
        this.emitFile({
          type: "asset",
          fileName: "service-worker.js",
          source: code
            // The compiler marks a file that imports types as a module, which a classic script is not.
            .replace(/^export \{\};\s*$/mu, "")
            .replaceAll("__VERSION__", JSON.stringify(digest.digest("hex").slice(0, 16)))
            .replaceAll("__FILES__", JSON.stringify(files))
            .replaceAll("__PUSH__", JSON.stringify(`/${pushFile}`)),
        });
      },
    },
  };
}

/** Returns one classic script: a service worker cannot `import()`. */
async function bundlePush(): Promise<string> {
  const output = await build({
    configFile: false,
    logLevel: "error",
    publicDir: false,
    build: {
      write: false,
      target: "es2022",
      minify: "terser",
      terserOptions: { ecma: 2020, compress: { passes: 3 } },
      modulePreload: false,
      rolldownOptions: { input: pushSource, output: { format: "iife", codeSplitting: false } },
    },
  });
  const [bundle] = (Array.isArray(output) ? output : [output]) as Rollup.RollupOutput[];
  const [chunk, ...others] = bundle?.output ?? [];
  if (!chunk || others.length > 0) throw new Error("src/worker/push.ts must become one script");
  return chunk.code;
}
