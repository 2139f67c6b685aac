import { defineConfig } from "vitest/config"

/** Settings of all suites: real servers with one directory for them, and workers that load each module once. */
export default defineConfig({
  test: {
    globalSetup: ["test/support/globalSetup.ts"],
    // A test that hangs fails soon. A test that may take longer names its own limit, with the reason.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 60_000,
    // Test files leave nothing behind in their modules, so a worker loads the libraries once for all of its files.
    isolate: false,
    // Tests wait for servers and processes more than they compute: on two cores three workers finish first.
    maxWorkers: 3,
    // As many as at most: a worker that is ended while others still run can fail the whole run.
    minWorkers: 3,
    // The default young generation is collected some hundred times per test.
    poolOptions: { forks: { execArgv: ["--max-semi-space-size=64"] } },
  },
})
