import { defineConfig } from "@playwright/test";
import { backend, engines, everywhere, firefoxOptions, launchOptions, whole } from "./e2e/support/browser";

/** Tests that projects of their own run. */
const elsewhere = ["view/**", "webkit.spec.ts"];

// The tests drive the built client against the running system, which e2e/support/system.ts starts. Browsers are never
// downloaded: CHROMIUM names an installed one.
export default defineConfig({
  testDir: "e2e",
  outputDir: "test-results",
  globalSetup: "./e2e/support/system.ts",
  fullyParallel: true,
  forbidOnly: true,
  workers: 2,
  retries: 0,
  // Generous, because the machine may be busy. Tests of speed have limits of their own.
  timeout: 120_000,
  expect: { timeout: 15_000 },
  reporter: [["list"]],
  projects: [
    { name: "system", testIgnore: elsewhere, grepInvert: new RegExp(whole) }, // the client and the services
    { name: "view", testMatch: "view/**/*.spec.ts" }, // the view alone, on a model without a server
    // The journeys whose outcome depends on a backend.
    { name: "backends", testIgnore: elsewhere, grep: new RegExp(backend) },
    { name: "chromium", testIgnore: elsewhere, grep: new RegExp(`${everywhere}|${whole}`) }, // and the tests that "system" leaves out
    {
      name: "firefox",
      testIgnore: elsewhere,
      grep: new RegExp(`${everywhere}|${engines}`),
      use: { browserName: "firefox", channel: "moz-firefox", launchOptions: firefoxOptions },
    },
    // WebKit and, beside it, the Chromium of the person at the other end.
    { name: "webkit", testMatch: "webkit.spec.ts" },
  ],
  use: {
    browserName: "chromium",
    launchOptions,
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
    viewport: { width: 1280, height: 800 },
    screenshot: "only-on-failure",
  },
});
