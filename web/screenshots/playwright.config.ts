import { defineConfig } from "@playwright/test";
import { launchOptions } from "../e2e/support/browser";

// npm run screenshots: takes screenshots of the built client on the running system, into this folder, and the pictures
// of the manifest.
export default defineConfig({
  testDir: ".",
  testMatch: ["take.ts", "install.ts"],
  outputDir: "../test-results",
  globalSetup: "../e2e/support/system.ts",
  workers: 1,
  timeout: 180_000,
  expect: { timeout: 30_000 },
  reporter: [["list"]],
  use: { browserName: "chromium", launchOptions, locale: "en-GB", timezoneId: "Europe/Berlin" },
});
