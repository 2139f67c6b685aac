import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { start } from "../../src/sandbox/Sandbox.ts"
import { connect } from "../../src/warehouse/Database.ts"
import { cli, databaseEnvironment, hasTerminals, sandboxEnvironment } from "../support/cli.ts"
import { testDatabase } from "../support/postgres.ts"
import { MIGRATED, printed, SMALL, syncOnce } from "../support/warehouse.ts"

/** `erase` as people call it: needs no token, asks on a terminal, says what it did in numbers. */

const synced = Effect.gen(function* () {
  const database = yield* testDatabase({ template: MIGRATED })
  const sql = yield* connect(database.ownerUrl)
  const sandbox = yield* start(SMALL)
  yield* syncOnce(sql, sandbox)
  const program = yield* cli(databaseEnvironment(database.ownerUrl))
  const customers = Effect.map(
    printed(sql, "SELECT customer_id AS id FROM warehouse.customers ORDER BY 1"),
    rows => rows.map(({ id }) => id!),
  )
  return { sandbox, program, customers }
})

describe("erase", () => {
  it.scopedLive("removes a customer, says so, and the next sync leaves it so", () =>
    Effect.gen(function* () {
      const { sandbox, program, customers } = yield* synced
      const [id, other] = yield* customers
      // Of that account nobody knows the customer.
      const unknown = yield* program.run(["erase", "--customer", id!, "--account", "eu"])
      expect(unknown).toMatchObject({ code: 2, stdout: "" })
      expect(unknown.stderr).toContain("Nothing was erased")

      const done = yield* program.run(["erase", "--customer", id!])
      expect(done.code).toBe(0)
      expect(done.stdout).toMatch(/^default: erased\. Rows deleted: 1 in customers, /)
      expect(done.stderr).toContain("backups")
      expect(`${done.stdout}${done.stderr}`).not.toContain(id)
      const json = yield* program.run(["erase", "--customer", other!, "--json", "--yes"])
      expect(JSON.parse(json.stdout)).toMatchObject([{ account: "default", deleted: { customers: 1 } }])
      const summary = JSON.parse(
        (yield* program.run(["sync", "--json"], sandboxEnvironment(sandbox))).stdout,
      ) as { readonly streams: ReadonlyArray<{ readonly stream: string; readonly erased: number }> }
      expect(summary.streams.find(({ stream }) => stream === "customers")?.erased).toBe(2)
      const left = yield* customers
      expect(left).not.toContain(id)
      expect(left).not.toContain(other)
    }),
  )

  // Skipped, and counted as such, where nothing can make a terminal: on Linux `script` of util-linux does.
  it.scopedLive.skipIf(!hasTerminals)("asks first on a terminal, and takes no answer for no", () =>
    Effect.gen(function* () {
      const { program, customers } = yield* synced
      const [id] = yield* customers
      const asked = yield* program.onTerminal(["erase", "--customer", id!])
      yield* asked.printed("It cannot be undone. [y/N]")
      yield* asked.type("\r")
      expect(yield* asked.ended).toMatchObject({
        code: 0,
        stdout: expect.stringContaining("Nothing was erased."),
      })
      const left = yield* program.onTerminal(["erase", "--customer", id!])
      yield* left.printed("[y/N]")
      yield* left.type("\u0003")
      expect(yield* left.ended).toMatchObject({
        code: 130,
        stdout: expect.stringContaining("Nothing was erased."),
      })
      expect(yield* customers).toContain(id)
      const told = yield* program.onTerminal(["erase", "--customer", id!])
      yield* told.printed("[y/N]")
      yield* told.type("yes\r")
      expect((yield* told.ended).stdout).toContain("erased. Rows deleted: 1 in customers")
      expect(yield* customers).not.toContain(id)
    }),
  )
})
