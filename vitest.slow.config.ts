import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { defineConfig, mergeConfig } from "vitest/config"
import shared from "./vitest.shared.ts"

const files = readdirSync("test", { recursive: true, encoding: "utf8" }).map(file => join("test", file))

/** `npm run test:slow`: the tests of `test/` that are registered through `slow` (test/support/slow.ts), and no others. */
export default mergeConfig(
  shared,
  defineConfig({
    test: {
      include: files.filter(
        file => file.endsWith(".test.ts") && readFileSync(file, "utf8").includes("support/slow.ts"),
      ),
      testNamePattern: /(^| )slow /,
      provide: { suite: "slow" },
      testTimeout: 120_000,
      hookTimeout: 180_000,
    },
  }),
)
