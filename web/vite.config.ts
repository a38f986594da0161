import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { serviceWorker } from "./build/service-worker.ts";

// The realtime service serves the output at the root of its address, under a content security policy without
// unsafe-inline. Therefore nothing is inlined into the page, and no asset becomes a data: address.
export default defineConfig({
  plugins: [svelte(), serviceWorker({ without: ["Admin", "Figures"] })],
  build: {
    target: "es2022",
    outDir: "dist",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: "manifest.build.json",
    sourcemap: true,
  },
  server: {
    // For `npm run dev` beside a running `go run ./infra/local`.
    proxy: {
      "/api": { target: process.env["PHOENIX_URL"] ?? "http://127.0.0.1:8080" },
      "/config.json": { target: process.env["PHOENIX_URL"] ?? "http://127.0.0.1:8080" },
      "/ws": { target: process.env["PHOENIX_URL"] ?? "http://127.0.0.1:8080", ws: true },
    },
  },
});
