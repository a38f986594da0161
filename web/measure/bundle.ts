/** Bundles seed.ts for the pages of a measurement. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";

/** Returns seed.ts as one script, which sets the global `seeding`. */
export async function bundled(): Promise<string> {
  const outDir = await mkdtemp(join(tmpdir(), "phoenix-seed-"));
  try {
    await build({
      configFile: false,
      logLevel: "warn",
      publicDir: false,
      build: {
        outDir,
        emptyOutDir: true,
        minify: false,
        lib: {
          entry: join(import.meta.dirname, "seed.ts"),
          formats: ["iife"],
          name: "seeding",
          fileName: () => "seed.js",
        },
      },
    });
    const script = await readFile(join(outDir, "seed.js"), "utf8");
    return `${script}\nwindow.seeding = seeding; undefined`;
  } finally {
    await rm(outDir, { recursive: true, force: true });
  }
}
