import { defineConfig } from "vitest/config";

// Everything in src/ except the view consists of plain modules that run without a browser, and so does fault/.
export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "fault/**/*.test.ts"],
    environment: "node",
    testTimeout: 20_000,
    // The two cores are shared with the rest of the test command.
    maxWorkers: 2,
  },
});
