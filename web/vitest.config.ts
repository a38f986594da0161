import { defineConfig } from "vitest/config";

// Everything below src/ but the view is plain modules that run without a browser.
export default defineConfig({
  test: {
    include: ["src/**/*.test.ts"],
    environment: "node",
    testTimeout: 20_000,
    // Two cores are shared with the rest of the test command.
    maxWorkers: 2,
  },
});
