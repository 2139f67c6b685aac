import { defineConfig } from "vitest/config"

/** What is looked at in a real browser: apart from `npm test`, which needs none. */
export default defineConfig({
  test: {
    include: ["test/browser/**/*.test.ts"],
    globalSetup: ["test/support/globalSetup.ts", "test/browser/setup.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // A browser takes as much memory and processor as all else together.
    maxWorkers: 1,
    minWorkers: 1,
  },
})
