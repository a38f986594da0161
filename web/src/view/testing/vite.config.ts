import { fileURLToPath } from "node:url";
import { defineConfig, mergeConfig } from "vite";
import base from "../../../vite.config.ts";

// The view on the fake model, to look at and to measure without a server:
//   npx vite build -c src/view/testing/vite.config.ts
export default mergeConfig(
  base,
  defineConfig({
    plugins: [
      {
        name: "fake-model",
        enforce: "pre",
        resolveId(source, importer) {
          if (source.endsWith("/create") && importer?.endsWith("/model/index.ts"))
            return fileURLToPath(new URL("./fake.ts", import.meta.url));
          return null;
        },
      },
    ],
    build: { outDir: process.env["OUT"] ?? "node_modules/.cache/view", emptyOutDir: true },
  }),
);
