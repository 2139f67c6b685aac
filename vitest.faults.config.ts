import { defineConfig, mergeConfig } from "vitest/config"
import shared from "./vitest.shared.ts"

/** What an API, a Postgres, a network and a scheduler can do to a run: apart from `npm test`, which stays quick. */
export default mergeConfig(
  shared,
  // A slow machine takes its time: what these tests tell apart hangs, or takes for ever.
  defineConfig({ test: { include: ["test/faults/**/*.test.ts"], testTimeout: 240_000 } }),
)
