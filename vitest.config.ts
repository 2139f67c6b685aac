import { configDefaults, defineConfig, mergeConfig } from "vitest/config"
import shared from "./vitest.shared.ts"

export default mergeConfig(
  shared,
  defineConfig({
    test: {
      include: ["test/**/*.test.ts"],
      // Suites of their own: npm run test:browser, which needs a browser, and npm run test:faults, which needs time.
      exclude: [...configDefaults.exclude, "test/browser/**", "test/faults/**"],
    },
  }),
)
