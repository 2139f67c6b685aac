import { existsSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { cli, linesOf, saidIn, sandboxEnvironment } from "../support/cli.ts"
import { isUp, postmasterIn } from "../support/embedded.ts"
import { STREAM_NAMES } from "../support/lists.ts"
import { runSql } from "../support/postgres.ts"
import { onOneDay } from "../support/report.ts"
import { slow } from "../support/slow.ts"

/** Tests the commands that need only this machine: `database`, `sandbox`, `demo`. */

// The simulated time of the demo ends at midnight.
onOneDay()

const READER = /^postgres:\/\/paycombat_query:\S+@127\.0\.0\.1:\d+\/paycombat$/

/** Each test creates an embedded server and runs several commands on it, both tests at the same time. */
const LIMIT_MS = 120_000

slow(() => {
  describe.concurrent("database and sandbox", { timeout: LIMIT_MS }, () => {
    it.scopedLive("stay up, serve other commands meanwhile, and stop on SIGTERM", () =>
      Effect.gen(function* () {
        const { start, run, directory } = yield* cli()
        const dataDir = join(directory, ".paycombat")
        const database = yield* start(["database"])
        const sandbox = yield* start([
          "sandbox",
          "--port",
          "0",
          "--json",
          "--customers",
          "23",
          "--transactions",
          "120",
        ])
        yield* database.printed("Running until Ctrl-C.")
        yield* sandbox.printed("until Ctrl-C.")
        const [printed, ...more] = linesOf(database.stdout())
        expect(more).toEqual([])
        const reader = printed!.replace(/^reader\s+/, "")
        expect(reader).toMatch(READER)
        const select = (statement: string) =>
          Effect.tryPromise(() => runSql(Redacted.make(reader), statement)).pipe(Effect.either)
        expect((yield* select("SELECT * FROM analytics.settlement"))._tag).toBe("Right")
        expect((yield* select("SELECT * FROM warehouse.customers"))._tag).toBe("Left")

        const api = JSON.parse(sandbox.stdout()) as { readonly url: string; readonly token: string }
        expect((yield* run(["sync"], sandboxEnvironment(api))).code).toBe(0)
        const count = yield* run(["query", "SELECT count(*) FROM settlement_transaction", "--csv"])
        expect([count.code, count.stdout]).toEqual([0, "count\n120\n"])

        const second = yield* start(["database", "--owner", "--json"])
        yield* second.printed("Running until Ctrl-C.")
        const urls = JSON.parse(second.stdout()) as { readonly reader: string; readonly owner: string }
        expect(urls.reader).toBe(reader)
        expect(yield* Effect.promise(() => runSql(Redacted.make(urls.owner), "SELECT 1"))).toHaveLength(1)

        const file = join(directory, "warehouse.backup")
        expect((yield* run(["database", "backup", file])).code).toBe(0)
        expect(statSync(file).mode & 0o777).toBe(0o600)
        const filled = yield* run(["database", "restore", file])
        expect([filled.code, saidIn(filled.stderr).length]).toEqual([2, 1])
        const elsewhere = { PAYCOMBAT_DATA_DIR: "restored" }
        const restored = yield* run(["database", "restore", file, "--json"], elsewhere)
        expect(restored.code).toBe(0)
        expect((JSON.parse(restored.stdout) as { rows: number }).rows).toBeGreaterThan(120)
        const again = yield* run(["query", "SELECT count(*) FROM settlement_transaction", "--csv"], elsewhere)
        expect(again.stdout).toBe("count\n120\n")

        // The commands wait for a server that does not answer for a while, as after a crash, and say so.
        const postmaster = postmasterIn(dataDir)
        process.kill(postmaster, "SIGSTOP")
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => isUp(dataDir) && process.kill(postmaster, "SIGCONT")),
        )
        const waiting = yield* start(["query", "SELECT 1 AS one", "--csv"])
        yield* waiting.printed("the embedded Postgres is starting")
        process.kill(postmaster, "SIGCONT")
        const waited = yield* waiting.ended
        expect([waited.code, waited.stdout]).toEqual([0, "one\n1\n"])

        expect((yield* database.stop("SIGINT")).code).toBe(130)
        expect(isUp(dataDir)).toBe(true)
        expect((yield* second.stop("SIGTERM")).code).toBe(143)
        expect(isUp(dataDir)).toBe(false)
        expect((yield* sandbox.stop("SIGINT")).code).toBe(130)
      }),
    )
  })
})

describe.concurrent("demo", { timeout: LIMIT_MS }, () => {
  it.scopedLive("shows the product in one command, and ignores the environment", () =>
    Effect.gen(function* () {
      const { run, directory } = yield* cli({
        DATABASE_URL: "postgres://owner:password@127.0.0.1:1/real",
        PAYCOMBAT_TOKEN: "real-token",
        PAYCOMBAT_BASE_URL: "http://127.0.0.1:1",
        PAYCOMBAT_DATA_DIR: "real",
        PAYCOMBAT_READER_URL: "postgres://reader:password@127.0.0.1:1/real",
        PAYCOMBAT_LEASE_SECONDS: "nonsense",
        PAYCOMBAT_LOG_LEVEL: "nonsense",
      })
      const first = yield* run(["demo"])
      expect(first.code).toBe(0)
      for (const words of [
        "Settlement:",
        "Balance:",
        "KYC gaps:",
        "query --demo",
        "In Progress",
        "Done",
        "│ assumed",
      ])
        expect(first.stdout).toContain(words)
      const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10)
      for (const currency of ["AUD", "EUR", "JPY"])
        expect(first.stdout).toMatch(new RegExp(`│ ${currency} +│ ${yesterday} │`))
      expect(Math.max(...linesOf(first.stdout).map(line => line.length))).toBeLessThanOrEqual(110)
      expect(first.stdout).not.toContain("\u001b")
      expect(readdirSync(directory)).toEqual([".paycombat-demo"])

      const second = yield* run(["demo", "--json"])
      expect(second.code).toBe(0)
      const { summary, answers } = JSON.parse(second.stdout) as {
        readonly summary: { readonly streams: ReadonlyArray<{ inserted: number; updated: number }> }
        readonly answers: ReadonlyArray<{ title: string; sql: string; rows: ReadonlyArray<object> }>
      }
      expect(summary.streams).toHaveLength(STREAM_NAMES.length)
      for (const { inserted, updated } of summary.streams) expect([inserted, updated]).toEqual([0, 0])
      expect(answers).toHaveLength(3)
      for (const { rows } of answers) expect(rows.length).toBeGreaterThan(3)

      const ask = (sql: string) => run(["query", "--demo", sql, "--csv"], { PAYCOMBAT_LOG_LEVEL: "info" })
      expect(linesOf((yield* ask("SELECT * FROM analytics.kyc_gap")).stdout).length).toBeGreaterThan(3)
      const names = "SELECT table_name FROM information_schema.views ORDER BY 1"
      expect((yield* ask(names)).stdout).toContain("\nbalance_daily\n")
      // The commands that the demo names settle its rules.
      expect(first.stdout).toContain("directions list --demo")
      const directions = (command: string) =>
        run(["directions", command, "--demo"], { PAYCOMBAT_LOG_LEVEL: "info" })
      expect((yield* directions("list")).stderr).toContain("`paycombat-sync directions confirm --demo`")
      expect((yield* directions("confirm")).code).toBe(0)
      expect((yield* ask("SELECT count(*) FROM analytics.settlement WHERE is_assumed")).stdout).toBe(
        "count\n0\n",
      )
      expect(existsSync(join(directory, "real"))).toBe(false)
      expect(isUp(join(directory, ".paycombat-demo"))).toBe(false)
    }),
  )
})
