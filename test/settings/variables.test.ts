import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { settingNames, unknownVariables, VARIABLES } from "../../src/config/variables.ts"

/** Tests the search for unknown names and for the settings that are probably meant. */

const LISTS = ["customers", "payouts"]
const LOOKUPS = ["PAYCOMBAT_READY_RECHECK", "PAYCOMBAT_READY_MAX_CALLS"]

const closestTo = (...names: ReadonlyArray<string>) =>
  Object.fromEntries(
    unknownVariables(names, ["eu"], LISTS, LOOKUPS).map(({ name, closest }) => [name, closest]),
  )

describe("unknown variable names", () => {
  it("are found with the setting that is probably meant", () => {
    const meant: Readonly<Record<string, string>> = {
      PAYCOMBAT_BASEURL: "PAYCOMBAT_BASE_URL",
      PAYCOMBAT_TOKE: "PAYCOMBAT_TOKEN",
      PAYCOMBAT_TOKENS: "PAYCOMBAT_TOKEN",
      PAYCOMABT_TOKEN: "PAYCOMBAT_TOKEN",
      PAY_COMBAT_TOKEN: "PAYCOMBAT_TOKEN",
      "PAYCOMBAT-TOKEN": "PAYCOMBAT_TOKEN",
      paycombat_token: "PAYCOMBAT_TOKEN",
      PAYCOMBAT_TOKN_EU: "PAYCOMBAT_TOKEN_EU",
      PAYCOMBAT_PATH_CUSTOMER: "PAYCOMBAT_PATH_CUSTOMERS",
      // This could be the paging of an account named size, but that account has no token.
      PAYCOMBAT_PAGING_SIZE: "PAYCOMBAT_PAGE_SIZE",
      DATABSE_URL: "DATABASE_URL",
      DATABASE_URI: "DATABASE_URL",
      PAYCOMBAT_DATABASE_URL: "DATABASE_URL",
    }
    expect(closestTo(...Object.keys(meant))).toEqual(meant)
  })

  it("are found by the prefix alone if no setting is close", () => {
    expect(
      closestTo("PAYCOMBAT_FAVOURITE_COLOUR", "HOME", "PATH", "DATABASE_HOST", "PGHOST", "TOKEN"),
    ).toEqual({
      PAYCOMBAT_FAVOURITE_COLOUR: undefined,
    })
  })

  it("do not include variables of accounts and list streams", () => {
    const known = [
      ...settingNames(["eu", "apac-2"], LISTS, LOOKUPS),
      // A token implies its account, although the account is not configured.
      "PAYCOMBAT_TOKEN_US",
      "PAYCOMBAT_BASE_URL_US",
    ]
    expect(unknownVariables(known, ["eu", "apac-2"], LISTS, LOOKUPS)).toEqual([])
  })

  it("are found for any one letter that is dropped, doubled or swapped", () => {
    const typo = fc
      .record({
        name: fc.constantFrom(...VARIABLES, ...LOOKUPS),
        at: fc.nat(),
        kind: fc.constantFrom("drop", "double", "swap"),
      })
      .map(({ name, at, kind }) => {
        const i = at % (name.length - 1)
        const [left, one, two, right] = [name.slice(0, i), name[i]!, name[i + 1]!, name.slice(i + 2)]
        return {
          drop: left + two + right,
          double: left + one + one + two + right,
          swap: left + two + one + right,
        }[kind]!
      })
      .filter(name => ![...VARIABLES, ...LOOKUPS].includes(name))
    fc.assert(
      fc.property(typo, name => {
        expect([...VARIABLES, ...LOOKUPS]).toContain(closestTo(name)[name])
      }),
    )
  })
})
