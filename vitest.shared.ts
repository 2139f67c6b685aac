import { defineConfig } from "vitest/config"

/** What all suites have in common: real servers, one directory for them, and patience. */
export default defineConfig({
  test: {
    globalSetup: ["test/support/globalSetup.ts"],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    teardownTimeout: 60_000,
    // Tests wait for servers and processes more than they compute: on two cores three at once are soonest done.
    maxWorkers: 3,
    minWorkers: 1,
  },
})
