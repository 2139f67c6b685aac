import { readFileSync } from "node:fs"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { lookupVariables } from "../../src/config/lookups.ts"
import { VARIABLES } from "../../src/config/variables.ts"
import { allStreams } from "../../src/registry.ts"

/** Names in a text that look like settings. Names that end in the name of an account or a list are left out. */
const named = (file: string) =>
  [...new Set(readFileSync(file, "utf8").match(/\b(PAYCOMBAT_[A-Z_]+[A-Z]|DATABASE_URL)\b/g))]
    .filter(
      name => !/^PAYCOMBAT_(PATH_|TOKEN_|BASE_URL_|RATE_PER_SECOND_)/.test(name) && name !== "PAYCOMBAT_PATH",
    )
    .sort()

const DOCUMENTS = [".env.example", "README.md", "docs/configuration.md"]

describe("the settings", () => {
  it("are the variables that the program reads", () => {
    expect([...VARIABLES].sort()).toEqual(named("src/config/config.ts"))
  })

  it.each(DOCUMENTS)("are all named in %s, with the name that the program reads", async file => {
    const settings = [...VARIABLES, ...lookupVariables(await Effect.runPromise(allStreams))]
    expect(named(file)).toEqual([...settings].sort())
  })
})
