import { defineConfig } from "vitest/config";

// The tests of the model that run the engine. PHOENIX_TESTS, a list of paths, chooses fewer. Stryker then forgets results
// of the others.
const tests = process.env["PHOENIX_TESTS"]?.split(",") ?? ["src/model/**/*.test.ts"];

export default defineConfig({
  test: {
    include: tests,
    exclude: ["src/model/admin/**", "src/model/observable.test.ts", "src/model/chat/timeline.test.ts"],
    environment: "node",
    // Loading the modules for each file of tests would take longer than the tests.
    isolate: false,
    testTimeout: 60_000,
  },
});
