import { defineConfig, mergeConfig } from "vitest/config"
import shared from "./vitest.shared.ts"

/** `npm run test:faults`: an API, a Postgres, a network or a scheduler that fails during a run. */
export default mergeConfig(
  shared,
  defineConfig({
    test: {
      include: ["test/faults/**/*.test.ts"],
      // Most of these tests wait, for a lease or for a time limit, so more of them at once use the processor well.
      maxWorkers: 4,
      minWorkers: 4,
      // These tests run the program many times, or wait for its own time limits.
      testTimeout: 240_000,
      hookTimeout: 180_000,
      provide: { suite: "slow" },
    },
  }),
)
