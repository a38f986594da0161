import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { cssHash, withoutHydration } from "./build/svelte.ts";
import { serviceWorker } from "./build/service-worker.ts";

/** The service beside which `npm run dev` runs. */
const service = process.env["PHOENIX_URL"] ?? "http://127.0.0.1:8080";
/** It refuses other origins, so requests look as if one of its own pages had made them. */
const proxied = { target: service, headers: { origin: service } };

// The realtime service serves the output at the root of its address, under a content security policy without
// unsafe-inline. Therefore nothing is inlined into the page, and no asset becomes a data: address.
export default defineConfig({
  plugins: [
    svelte({ compilerOptions: { runes: true, discloseVersion: false, cssHash } }),
    withoutHydration(),
    serviceWorker({ without: ["Admin", "Figures", "common"] }),
  ],
  build: {
    target: "es2022",
    // Terser first and then Rolldown's own minifier: the first load is 2 % smaller than with either alone.
    minify: "terser",
    terserOptions: { module: true, ecma: 2020, compress: { passes: 3 } },
    rolldownOptions: {
      output: {
        minify: true,
        // The imports of the entry are one chunk. Otherwise, the bundler splits them among the screens that are loaded
        // later, and they compress worse.
        codeSplitting: {
          groups: [
            {
              name: "app",
              test: /src\/(view\/App|view\/parts\/(Ticks|Badge|AdminBadge|Avatar)|view\/n(ames|extFrame)|text\/shownName|model\/create)\.(svelte|ts)$/,
            },
          ],
        },
      },
    },
    outDir: "dist",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: "manifest.build.json",
    sourcemap: "hidden", // for stack traces; without the line in each chunk that names its map
  },
  server: {
    fs: { allow: [".", "../functions/password"] },
    // For `npm run dev` beside a running `go run ./infra/local`.
    proxy: {
      "/api": proxied,
      "/ws": { ...proxied, ws: true },
      "/config.json": {
        ...proxied,
        selfHandleResponse: true,
        configure: (proxy) =>
          proxy.on("proxyRes", (answer, _request, response) => {
            const parts: Buffer[] = [];
            answer.on("data", (part: Buffer) => parts.push(part));
            answer.on("end", () => {
              // Without the list of origins, which does not contain that of Vite.
              const { origins: _, ...config } = JSON.parse(Buffer.concat(parts).toString()) as Record<string, unknown>;
              response.setHeader("content-type", "application/json");
              response.end(JSON.stringify(config));
            });
          }),
      },
    },
  },
});
