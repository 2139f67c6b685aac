import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { start } from "../../src/sandbox/sandbox.ts"
import { cli, databaseEnvironment, linesOf, saidIn, sandboxEnvironment } from "../support/cli.ts"
import { listPath, STREAM_NAMES } from "../support/lists.ts"
import { runSql, type TestDatabaseOptions, testDatabase } from "../support/postgres.ts"
import { slow } from "../support/slow.ts"
import { MIGRATED, SMALL } from "../support/warehouse.ts"

/** Tests `migrate`, `status` and `query` against a given Postgres. */

const parts = (options: TestDatabaseOptions = {}) =>
  Effect.gen(function* () {
    const database = yield* testDatabase(options)
    return { ...database, ...(yield* cli(databaseEnvironment(database.ownerUrl))) }
  })

describe.concurrent("migrate", () => {
  it.scopedLive(
    "--check says what is missing and exits with 1, and changes nothing; then it is done once",
    () =>
      Effect.gen(function* () {
        const { run, ownerUrl } = yield* parts()
        const missing = yield* run(["migrate", "--check", "--json"])
        expect(missing.code).toBe(1)
        const pending = JSON.parse(missing.stdout) as { migrations: Array<string>; views: Array<string> }
        expect(pending.migrations.length).toBeGreaterThan(0)
        expect(pending.views).toContain("settlement")
        const schemas = "SELECT 1 FROM pg_namespace WHERE nspname IN ('warehouse', 'sync', 'analytics')"
        expect(yield* Effect.promise(() => runSql(ownerUrl, schemas))).toHaveLength(0)

        const done = yield* run(["migrate"])
        expect(done.code).toBe(0)
        for (const name of [...pending.migrations, ...pending.views]) expect(done.stdout).toContain(name)
        const check = yield* run(["migrate", "--check"])
        expect([check.code, check.stdout]).toEqual([0, "The database is up to date.\n"])
        expect((yield* run(["migrate"])).stdout).toBe("The database is up to date.\n")
      }),
  )
})

describe.concurrent("status", () => {
  it.scopedLive("prints the status of each stream, as a table and as JSON", () =>
    Effect.gen(function* () {
      const { run } = yield* parts()
      expect(yield* run(["status"])).toMatchObject({
        code: 1,
        stdout: expect.stringContaining("Nothing was synced yet"),
      })
      yield* run(["migrate"])
      expect((yield* run(["status"])).stdout).toContain("Nothing was synced yet")

      const sandbox = yield* start(SMALL)
      sandbox.patch("payouts", 3, { status: { of: "no text" } })
      for (const index of [1, 2]) sandbox.patch("transactions", index, { event_type: "ADJUSTMENT" })
      yield* run(["sync"], sandboxEnvironment(sandbox))
      const json = JSON.parse((yield* run(["status", "--json"])).stdout) as ReadonlyArray<object>
      expect(json).toHaveLength(STREAM_NAMES.length)
      expect(json).toContainEqual(
        expect.objectContaining({
          account: "default",
          stream: "payouts",
          lastRunStatus: "complete_with_rejects",
          rows: 19,
          rejects: 1,
          removed: 0,
          path: listPath("payouts"),
          isVerified: true,
          heldBy: null,
        }),
      )
      const table = yield* run(["status", "--stream", "payouts", "--account", "default"])
      expect(table.stdout).toContain("! The figures can be trusted, with exceptions: payouts (1 reject).")
      const lines = linesOf(table.stdout).filter(line => line.includes("default"))
      expect(lines).toHaveLength(1)
      expect(lines[0]).toMatch(/payouts.*complete_with_rejects.*19.*1.*0.*\/api\/v1\/payout\/get-all │/)
      expect(json).toContainEqual(
        expect.objectContaining({ stream: "wallet_readiness", path: null, isVerified: null }),
      )
      expect(json).toContainEqual(expect.objectContaining({ stream: "transactions", unmapped: 2 }))
      const money = yield* run(["status", "--stream", "transactions"])
      expect(money.code).toBe(0)
      expect(money.stdout).toMatch(/^! transactions: 2 kinds of transactions .* have no known direction /m)
      expect(money.stdout).toContain("with exceptions: transactions (unknown direction).")
      const unknown = yield* run(["status", "--account", "eu"])
      expect([unknown.code, linesOf(unknown.stderr).length]).toEqual([2, 1])
    }),
  )
})

slow(() => {
  describe.concurrent("the discovered path of a list", () => {
    it.scopedLive("is logged when it is new, and marked in status until a record proves it", () =>
      Effect.gen(function* () {
        const { run } = yield* parts({ template: MIGRATED })
        const sandbox = yield* start({ ...SMALL, payouts: 0, pagingNames: ["page", "per_page"] })
        const sync = run(
          ["sync", "--stream", "payouts", "--stream", "transactions"],
          sandboxEnvironment(sandbox),
        )
        const found = (stream: string, stderr: string) =>
          linesOf(stderr).filter(line => line.includes(`${stream}: found at`))
        const first = yield* sync
        expect(found("transactions", first.stderr)).toEqual([
          expect.stringContaining(
            `found at ${listPath("transactions")}, paging by page,per_page, records in data`,
          ),
        ])
        expect(found("transactions", (yield* sync).stderr)).toEqual([])

        const { stdout } = yield* run(["status", "--stream", "payouts"])
        expect(stdout).toContain(`${listPath("payouts")} (unverified)`)
        const json = JSON.parse((yield* run(["status", "--json"])).stdout) as ReadonlyArray<object>
        expect(json).toContainEqual(
          expect.objectContaining({ stream: "payouts", path: listPath("payouts"), isVerified: false }),
        )
      }),
    )
  })
})

describe.concurrent("query", () => {
  const DIGITS = "12345678901234567890.123456789012345678"
  const STATEMENT = `SELECT ${DIGITS}::numeric AS amount, NULL AS nothing, 'a, "b"' AS words, true AS yes`

  const reader = Effect.gen(function* () {
    const { readerUrl, ...program } = yield* parts({ template: MIGRATED })
    const environment = { PAYCOMBAT_READER_URL: Redacted.value(readerUrl) }
    return {
      ...program,
      environment,
      query: (...args: ReadonlyArray<string>) => program.run(["query", ...args], environment),
    }
  })

  it.scopedLive("prints every digit as a table, as CSV and as JSON", () =>
    Effect.gen(function* () {
      const { query } = yield* reader
      const [table, csv, json] = yield* Effect.all(
        [query(STATEMENT), query(STATEMENT, "--csv"), query("--json", STATEMENT)],
        { concurrency: 2 },
      )
      for (const { code, stderr } of [table, csv, json]) expect([code, saidIn(stderr)]).toEqual([0, []])
      expect(table.stdout).toContain(`│ ${DIGITS} │`)
      expect(table.stdout).toContain("1 row\n")
      expect(csv.stdout).toBe(`amount,nothing,words,yes\n${DIGITS},,"a, ""b""",t\n`)
      expect(JSON.parse(json.stdout)).toEqual([{ amount: DIGITS, nothing: null, words: 'a, "b"', yes: true }])
      const none = yield* query("SELECT * FROM settlement", "--json")
      expect(none.stdout).toBe("[]\n")
    }),
  )

  it.scopedLive("escapes terminal sequences, and prints the same CSV as psql", () =>
    Effect.gen(function* () {
      const { query } = yield* reader
      const statement =
        "SELECT * FROM (VALUES (E'a\\x1b[31m\\n', '=cmd'), (NULL, 'ab   '), (NULL, NULL)) AS v (x, x)"
      const [table, csv, json, failed] = yield* Effect.all(
        [
          query(statement),
          query(statement, "--csv"),
          query(statement, "--json"),
          query("SELECT E'a\\x1b[31m\\nb'::int"),
        ],
        { concurrency: 2 },
      )
      expect(table.stdout).toContain(String.raw`a\x1b[31m\n │ =cmd`)
      expect(table.stdout).toContain("3 rows\n")
      expect(csv.stdout).toBe(`x,x\n"a\u001b[31m\n",'=cmd\n,ab   \n,\n`)
      expect(JSON.parse(json.stdout)).toEqual([
        { x: "a\u001b[31m\n", x_2: "=cmd" },
        { x: null, x_2: "ab   " },
        { x: null, x_2: null },
      ])
      for (const { stdout, stderr } of [table, json, failed]) expect(stdout + stderr).not.toContain("\u001b")
      expect(failed.code).toBe(1)
      expect(saidIn(failed.stderr)).toHaveLength(1)
    }),
  )

  it.scopedLive("refuses a second statement, and everything outside analytics, in one line", () =>
    Effect.gen(function* () {
      const { query } = yield* reader
      for (const statement of [
        "SELECT 1; SELECT 2",
        "SELECT * FROM warehouse.customers",
        "DELETE FROM analytics.settlement",
        "SELECT nothing FROM",
      ]) {
        const ended = yield* query(statement)
        expect(ended.code, statement).toBe(1)
        expect(ended.stdout, statement).toBe("")
        expect(saidIn(ended.stderr), statement).toHaveLength(1)
      }
    }),
  )

  it.scopedLive("queries a given Postgres only as a login that can read analytics and no more", () =>
    Effect.gen(function* () {
      const { run, ownerUrl } = yield* reader
      const unset = yield* run(["query", "SELECT 1"])
      expect(unset.code).toBe(2)
      expect(unset.stderr).toContain("PAYCOMBAT_READER_URL is not set")
      const owner = yield* run(["query", "SELECT 1"], { PAYCOMBAT_READER_URL: Redacted.value(ownerUrl) })
      expect(owner.code).toBe(2)
      expect(saidIn(owner.stderr)).toHaveLength(1)
      for (const { stderr } of [unset, owner])
        expect(stderr).not.toContain(new URL(Redacted.value(ownerUrl)).password)
    }),
  )

  it.scopedLive("allows the reader of its output to stop reading", () =>
    Effect.gen(function* () {
      const program = yield* reader
      const large = "SELECT repeat('x', 1000) FROM generate_series(1, 50000)"
      const running = yield* program.start(["query", large, "--csv"], program.environment)
      running.process.stdout!.once("data", () => running.process.stdout!.destroy())
      const { stderr } = yield* running.ended
      expect(saidIn(stderr)).toEqual([])
    }),
  )
})
