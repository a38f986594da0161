import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Plugin, transformWithOxc } from "vite";

const source = fileURLToPath(new URL("../src/service-worker.ts", import.meta.url));
const publicDir = fileURLToPath(new URL("../public", import.meta.url));

/**
 * Emits /service-worker.js for a build, with the list of the files to cache and a version that changes exactly when one
 * of them does. Chunks whose name begins with a name in `without` are left out: only few people open those screens.
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
        const { code } = await transformWithOxc(text, source, { target: "es2022", sourcemap: false });
        this.emitFile({
          type: "asset",
          fileName: "service-worker.js",
          source: code
            .replaceAll("__VERSION__", JSON.stringify(digest.digest("hex").slice(0, 16)))
            .replaceAll("__FILES__", JSON.stringify(files)),
        });
      },
    },
  };
}
