import { defineConfig } from "@playwright/test";
import { launchOptions } from "../e2e/support/browser";

// npm run measure: measures the built client on the running system, and prints one table. Tests run in sequence, on
// an otherwise idle machine. throttle.ts simulates a mid-range phone on a slow network. No test fails because of its
// figures.
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
