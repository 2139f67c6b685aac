import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect } from "../../src/postgres/connect.ts"
import { start } from "../../src/sandbox/sandbox.ts"
import { cli, databaseEnvironment, hasTerminals, linesOf, sandboxEnvironment } from "../support/cli.ts"
import { testDatabase } from "../support/postgres.ts"
import { printed, SMALL, synced } from "../support/warehouse.ts"

/**
 * Tests `erase` as users run it: without a token, with a question on a terminal, and with counts in its
 * answer.
 */

const readOnce = Effect.gen(function* () {
  const database = yield* testDatabase({ template: synced() })
  const sql = yield* connect(database.ownerUrl)
  const sandbox = yield* start(SMALL)
  const program = yield* cli(databaseEnvironment(database.ownerUrl))
  const customers = Effect.map(
    printed(sql, "SELECT customer_id AS id FROM warehouse.customers ORDER BY 1"),
    rows => rows.map(({ id }) => id!),
  )
  return { sandbox, program, customers, sql }
})

describe("erase", () => {
  it.scopedLive("erases a customer, prints the counts, and the next sync brings nothing back", () =>
    Effect.gen(function* () {
      const { sandbox, program, customers } = yield* readOnce
      const [id, other] = yield* customers
      // This account has no record of the customer.
      const unknown = yield* program.run(["erase", "--customer", id!, "--account", "eu", "--yes"])
      expect(unknown).toMatchObject({ code: 2, stdout: "" })
      expect(unknown.stderr).toContain("Nothing was erased")

      const done = yield* program.run(["erase", "--customer", id!, "--yes"])
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

  it.scopedLive("is refused without a terminal and --yes", () =>
    Effect.gen(function* () {
      const { program, customers } = yield* readOnce
      const [id] = yield* customers
      const { code, stdout, stderr } = yield* program.run(["erase", "--customer", id!])
      expect([code, stdout, linesOf(stderr)]).toEqual([
        2,
        "",
        [expect.stringMatching(/^Nothing was erased\. .*add --yes to erase, or --dry-run/)],
      ])
      expect(yield* customers).toContain(id)
    }),
  )

  it.scopedLive("--dry-run counts the rows of an erasure by table, and changes nothing", () =>
    Effect.gen(function* () {
      const { program, customers, sql } = yield* readOnce
      const [{ id }] = (yield* printed(
        sql,
        "SELECT customer_id AS id FROM warehouse.transactions WHERE customer_id IS NOT NULL LIMIT 1",
      )) as unknown as readonly [{ readonly id: string }]
      // Everything that is stored, with the physical place of each row. An update would change the place.
      const all = Effect.promise(async () => {
        const tables = await sql<Array<{ name: string }>>`
          SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
          WHERE schemaname IN ('warehouse', 'sync') ORDER BY 1`
        const rows: Record<string, unknown> = {}
        for (const { name } of tables)
          rows[name] = await sql.unsafe(`SELECT ctid::text, t::text FROM ${name} AS t ORDER BY 1`)
        return rows
      })
      const before = yield* all
      const text = yield* program.run(["erase", "--customer", id, "--dry-run"])
      expect(text.code).toBe(0)
      expect(text.stdout).toMatch(/^default: would be erased\. Rows that would be deleted: 1 in customers, /)
      expect(text.stderr).toContain("Nothing was erased.")
      expect(`${text.stdout}${text.stderr}`).not.toContain(id)
      const asked = yield* program.run(["erase", "--customer", id, "--dry-run", "--json", "--yes"])
      expect(yield* all).toEqual(before)
      expect(yield* customers).toContain(id)
      const [{ isDryRun, ...counts }] = JSON.parse(asked.stdout) as [Record<string, unknown>]
      expect([isDryRun, counts.stripped]).toEqual([
        true,
        expect.objectContaining({ transactions: expect.any(Number) }),
      ])
      const done = yield* program.run(["erase", "--customer", id, "--yes", "--json"])
      expect(JSON.parse(done.stdout)).toEqual([counts])
    }),
  )

  // Skipped, and counted as skipped, if no terminal can be created. On Linux `script` of util-linux creates
  // one.
  it.scopedLive.skipIf(!hasTerminals)("asks first on a terminal, and treats an empty answer as no", () =>
    Effect.gen(function* () {
      const { program, customers } = yield* readOnce
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

  // Skipped, and counted as skipped, if no terminal can be created. On Linux `script` of util-linux creates
  // one.
  it.scopedLive.skipIf(!hasTerminals)("escapes hidden characters in the names of its question", () =>
    Effect.gen(function* () {
      const { program, customers, sql } = yield* readOnce
      const [id] = yield* customers
      yield* Effect.promise(
        () =>
          sql`UPDATE warehouse.customers SET account = ${"\u001b]0;title\u0007eu\n"} WHERE customer_id = ${id!}`,
      )
      const asked = yield* program.onTerminal(["erase", "--customer", id!])
      yield* asked.printed("[y/N]")
      yield* asked.type("\r")
      const { stdout } = yield* asked.ended
      expect(stdout).toContain("\\x1b]0;title\\x07eu\\n")
      expect(stdout).not.toContain("\u001b]0;title")
    }),
  )
})
