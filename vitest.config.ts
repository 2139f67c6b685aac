import { configDefaults, defineConfig, mergeConfig } from "vitest/config"
import shared from "./vitest.shared.ts"

/** `npm test`: every promise and every view, in four minutes on two cores. */
export default mergeConfig(
  shared,
  defineConfig({
    test: {
      include: ["test/**/*.test.ts"],
      // Suites of their own: npm run test:browser needs a browser, the others need time.
      exclude: [...configDefaults.exclude, "test/browser/**", "test/faults/**", "test/**/*.slow.test.ts"],
      provide: { suite: "quick" },
    },
  }),
)
