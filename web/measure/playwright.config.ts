import { defineConfig } from "@playwright/test";
import { launchOptions } from "../e2e/support/browser";

// npm run measure: figures of the built client on the running system, told in one table. One thing at a time, on a machine that
// does nothing else; the throttling (throttle.ts) makes of it a mid-range phone on a slow network. Nothing here passes or fails by its figures.
export default defineConfig({
  testDir: ".",
  testMatch: "*.measure.ts",
  outputDir: "../test-results",
  globalSetup: "../e2e/support/system.ts",
  workers: 1,
  retries: 0,
  timeout: 300_000,
  expect: { timeout: 60_000 },
  reporter: [["./table.ts"]],
  use: {
    browserName: "chromium",
    launchOptions,
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
    viewport: { width: 390, height: 844 },
  },
});
