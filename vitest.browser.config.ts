import { defineConfig, mergeConfig } from "vitest/config"
import shared from "./vitest.shared.ts"

/** What is looked at in a real browser: apart from `npm test`, which needs none. */
export default mergeConfig(
  shared,
  defineConfig({
    test: {
      include: ["test/browser/**/*.test.ts"],
      globalSetup: ["test/browser/setup.ts"],
      // A browser takes as much memory and processor as all else together.
      maxWorkers: 1,
      minWorkers: 1,
      // A browser that starts on a busy machine takes its time.
      testTimeout: 120_000,
      provide: { suite: "quick" },
    },
  }),
)
