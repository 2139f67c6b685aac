import { readFileSync } from "node:fs"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { lookupVariables } from "../../src/config/lookups.ts"
import { VARIABLES } from "../../src/config/variables.ts"
import { allStreams } from "../../src/registry.ts"

/** Names in a text that look like settings; those of an account or a list have its name at their end. */
const named = (file: string) =>
  [...new Set(readFileSync(file, "utf8").match(/\b(PAYCOMBAT_[A-Z_]+[A-Z]|DATABASE_URL)\b/g))]
    .filter(
      name => !/^PAYCOMBAT_(PATH_|TOKEN_|BASE_URL_|RATE_PER_SECOND_)/.test(name) && name !== "PAYCOMBAT_PATH",
    )
    .sort()

describe("the variables that doctor knows", () => {
  it("are those that are read, and those that are documented: it must call none of them unknown", async () => {
    expect([...VARIABLES].sort()).toEqual(named("src/config/config.ts"))
    const known = [...VARIABLES, ...lookupVariables(await Effect.runPromise(allStreams))]
    expect(known).toEqual(expect.arrayContaining(named(".env.example")))
  })
})
