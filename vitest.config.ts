import { configDefaults, defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // They need a browser: npm run test:browser.
    exclude: [...configDefaults.exclude, "test/browser/**"],
    globalSetup: ["test/support/globalSetup.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Tests wait for servers and processes more than they compute: on two cores three at once are soonest done.
    maxWorkers: 3,
    minWorkers: 1,
  },
})
