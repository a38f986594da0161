import { defineConfig } from "@playwright/test";

// One turn of a chat, for `go run ./infra/rollback`. That command copies this folder into the tree of a release and
// runs it there, so that the steps and the texts are those of the release.
export default defineConfig({
  testDir: ".",
  testMatch: "*.turn.ts",
  outputDir: "../test-results",
  workers: 1,
  retries: 0,
  timeout: 120_000,
  expect: { timeout: 20_000 },
  reporter: [["line"]],
});
