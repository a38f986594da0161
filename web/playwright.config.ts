import { defineConfig } from "@playwright/test";
import { engines, everywhere, firefoxOptions, launchOptions, whole } from "./e2e/support/browser";

// Drives the built client against the running system, which e2e/support/system.ts
// starts. Browsers are never downloaded: CHROMIUM names one that is installed.
export default defineConfig({
  testDir: "e2e",
  outputDir: "test-results",
  globalSetup: "./e2e/support/system.ts",
  fullyParallel: true,
  forbidOnly: true,
  workers: 2,
  retries: 0,
  // Generous, since a busy machine is no fault of the chat; what must be fast says so itself.
  timeout: 120_000,
  expect: { timeout: 15_000 },
  reporter: [["list"]],
  projects: [
    { name: "system", testIgnore: "view/**", grepInvert: new RegExp(whole) }, // the client and all that is behind it
    { name: "view", testMatch: "view/**/*.spec.ts" }, // the view alone, on a model without a server
    // The journeys of people, and the parts of the panel that the backends have a part in.
    {
      name: "backends",
      testMatch: /\/(access|account|admin|admin-letters|chat|delivery|hints|offline|people|sending)\.spec\.ts/,
      testIgnore: "view/**",
    },
    { name: "chromium", testIgnore: "view/**", grep: new RegExp(`${everywhere}|${whole}`) }, // and what "system" left out
    {
      name: "firefox",
      testIgnore: "view/**",
      grep: new RegExp(`${everywhere}|${engines}`),
      use: { browserName: "firefox", channel: "moz-firefox", launchOptions: firefoxOptions },
    },
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
