import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect } from "../../src/postgres/connect.ts"
import { allStreams } from "../../src/registry.ts"
import { type SandboxOptions, start } from "../../src/sandbox/sandbox.ts"
import { statusOf } from "../../src/warehouse/read/status.ts"
import { cli, databaseEnvironment, linesOf, sandboxEnvironment } from "../support/cli.ts"
import { listPath, STREAM_NAMES } from "../support/lists.ts"
import { runSql, testDatabase } from "../support/postgres.ts"
import { slow } from "../support/slow.ts"
import { bench, MIGRATED, SMALL, type SyncOptions, statusesOf, syncOnce } from "../support/warehouse.ts"

/** Tests that `status` tells a monitor and a user when figures cannot be trusted. */

const partsWith = (options: Partial<SandboxOptions>) =>
  Effect.gen(function* () {
    const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
    const sandbox = yield* start({ ...SMALL, ...options })
    const { run } = yield* cli({ ...sandboxEnvironment(sandbox), ...databaseEnvironment(ownerUrl) })
    const sql = (statement: string) => Effect.promise(() => runSql(ownerUrl, statement))
    const warehouse = yield* connect(ownerUrl)
    /** Syncs within this process, because the runs themselves are not under test. */
    const sync = (options?: SyncOptions) => Effect.map(syncOnce(warehouse, sandbox, options), statusesOf)
    return { sandbox, run, sql, sync }
  })

const parts = partsWith({})

interface Judged {
  readonly stream: string
  readonly problem: { readonly kind: string } | null
  readonly nextRunAt: string
}

const problemsIn = (stdout: string) =>
  Object.fromEntries(
    (JSON.parse(stdout) as ReadonlyArray<Judged>).map(({ stream, problem }) => [
      stream,
      problem?.kind ?? null,
    ]),
  )

const marked = (stdout: string) => linesOf(stdout).filter(line => line.startsWith("✖"))

describe.concurrent("status", () => {
  it.scopedLive(
    "says for a given database without tables that nothing was synced yet, and exits with 1",
    () =>
      Effect.gen(function* () {
        const { ownerUrl } = yield* testDatabase()
        const { run } = yield* cli({ PAYCOMBAT_TOKEN: "t", ...databaseEnvironment(ownerUrl) })
        const line =
          /^Nothing was synced yet: the database \S+ \(DATABASE_URL\) holds no tables of paycombat-sync/
        const status = yield* run(["status"])
        expect([status.code, status.stdout, status.stderr]).toEqual([1, expect.stringMatching(line), ""])
        const json = yield* run(["status", "--json"])
        expect([json.code, json.stdout, json.stderr]).toEqual([1, "[]\n", expect.stringMatching(line)])
        // Other commands have no tables to read.
        const rejects = yield* run(["rejects", "list"])
        expect([rejects.code, rejects.stdout]).toEqual([2, ""])
        expect(rejects.stderr).toContain("Nothing was synced yet")
      }),
  )

  it.scopedLive("exits with 1 under --strict if an equation differs", () =>
    Effect.gen(function* () {
      const { run, sync } = yield* partsWith({ breaches: ["fee-sums"] })
      yield* sync()
      const { code, stdout } = yield* run(["status"])
      expect([code, stdout]).toEqual([
        0,
        expect.stringContaining("! transactions: equation fees differs in "),
      ])
      expect((yield* run(["status", "--strict"])).code).toBe(1)
      // The commands that settle an assumption, and the equation in each command's words.
      expect(stdout).toMatch(
        /· transactions: \d+ kinds of transactions .* count by rules that are assumed \(.*`paycombat-sync directions confirm`/,
      )
      const doctor = yield* run(["doctor", "--stream", "transactions"])
      expect(doctor.stdout).toContain("equation fees differs in ")
      expect(doctor.stdout).toContain("assumed until a person confirms them")
    }),
  )

  it.scopedLive("exits with 0 only if the figures are fresh, and otherwise describes the problem", () =>
    Effect.gen(function* () {
      const { run, sandbox, sql, sync } = yield* parts
      expect(yield* sync({ only: ["payouts"] })).toEqual({ payouts: "complete" })
      const part = yield* run(["status"])
      expect([part.code, part.stderr, ...marked(part.stdout)]).toEqual([
        1,
        "",
        `✖ ${STREAM_NAMES.filter(name => name !== "payouts").join(", ")}: was never read: run \`paycombat-sync sync\`, or see that \`serve\` runs.`,
        expect.stringContaining("The figures cannot be trusted: "),
      ])
      yield* sync()
      const fresh = yield* run(["status"])
      expect([fresh.code, fresh.stderr]).toEqual([0, ""])
      expect(linesOf(fresh.stdout).at(-1)).toBe("✔ The figures can be trusted.")
      expect(fresh.stdout).toMatch(/next run \d{4}-\d\d-\d\d \d\d:(00|15|30|45) UTC/)

      sandbox.setFault(({ path }) => (path === listPath("payouts") ? { status: 403 } : undefined))
      expect(yield* sync({ only: ["payouts"] })).toEqual({ payouts: "failed" })
      const failed = yield* run(["status"])
      expect(failed.code).toBe(1)
      expect(marked(failed.stdout)).toEqual([
        expect.stringMatching(/^✖ payouts: failed: .*403.* The figures are .* old\.$/),
        expect.stringContaining("The figures cannot be trusted: "),
      ])
      expect((yield* run(["status", "--stream", "wallets"])).code).toBe(0)
      const json = yield* run(["status", "--json"])
      expect(json.code).toBe(1)
      expect(problemsIn(json.stdout)).toMatchObject({ payouts: "failed", wallets: null })

      sandbox.setFault(null)
      expect(yield* sync({ only: ["payouts"] })).toEqual({ payouts: "complete" })
      yield* sql(
        "UPDATE sync.stream_runs SET finished_at = finished_at - interval '61 minutes' WHERE stream = 'wallets'",
      )
      const stale = yield* run(["status"])
      expect([stale.code, stale.stderr]).toEqual([1, ""])
      expect(stale.stdout).toMatch(/✖ wallets: was read to its end 6\d min ago, which is more than 1h:/)
      expect((yield* run(["status", "--max-age", "2 hours"])).code).toBe(0)
      expect(yield* run(["status", "--max-age", "never"])).toMatchObject({ code: 2 })
    }),
  )

  slow(() => {
    it.scopedLive("names a configured account that was never synced, and the current or dead run", () =>
      Effect.gen(function* () {
        const { run, sql, sync } = yield* parts
        // Reading the status needs no token.
        const two = { PAYCOMBAT_ACCOUNTS: "eu,apac" }
        expect(yield* sync({ account: { name: "eu" }, only: ["payouts"] })).toEqual({ payouts: "complete" })
        const missing = yield* run(["status"], two)
        expect(missing.code).toBe(1)
        expect(missing.stdout).toContain(
          "✖ apac: nothing was synced yet: run `paycombat-sync sync --account apac`.",
        )
        const payouts = ["status", "--account", "eu", "--stream", "payouts"]
        expect((yield* run(payouts, two)).code).toBe(0)

        yield* sql(`UPDATE sync.leases SET expires_at = clock_timestamp() + interval '1 hour', holder = 'host:7';
        INSERT INTO sync.stream_runs (run_id, account, stream, mode, status, started_at)
        SELECT gen_random_uuid(), account, stream, 'full', 'running', clock_timestamp() FROM sync.leases`)
        const refused = yield* run(payouts, two)
        expect(refused.code).toBe(0)
        expect(refused.stdout).toMatch(/host:7 since \d{4}-/)
        yield* sql("UPDATE sync.leases SET expires_at = clock_timestamp() - interval '1 hour'")
        const dead = yield* run(payouts, two)
        expect(dead.code).toBe(1)
        expect(dead.stdout).toContain(
          "✖ payouts: the process of the latest run ended without recording an outcome",
        )

        const retired = yield* run(["status"], { ...two, PAYCOMBAT_ACCOUNTS: "apac" })
        expect(retired.stdout).toContain("eu (not configured)")
        expect(retired.stdout).toMatch(/^· eu: no longer configured; its figures are \d+ (s|min) old\./m)
        expect(marked(retired.stdout)).toEqual([
          expect.stringMatching(/^✖ apac: nothing was synced yet/),
          "✖ Nothing was synced yet: no stream was ever read.",
        ])
      }),
    )
  })

  it.scopedLive("reports in one line that Postgres does not answer", () =>
    Effect.gen(function* () {
      const { run } = yield* cli({ DATABASE_URL: "postgres://nobody:x@127.0.0.1:1/nowhere" })
      const away = yield* run(["status"])
      expect([away.code, away.stdout]).toEqual([1, ""])
      expect(away.stderr).toMatch(/^Postgres: [^\n]* check [^\n]*DATABASE_URL[^\n]*\n$/)
    }),
  )
})

slow(() => {
  describe("the status of a large warehouse", () => {
    it.scopedLive("is an estimate, marked as one, and close to the real count", () =>
      Effect.gen(function* () {
        const { sql, sync, sandbox } = yield* bench({ transactions: 2_000 })
        yield* sync()
        yield* Effect.promise(() => sql.unsafe("ANALYZE warehouse.transactions"))
        const streams = yield* allStreams
        const counted = (yield* statusOf(sql, streams)).find(({ stream }) => stream === "transactions")!
        expect([counted.rows, counted.removed, counted.isEstimate]).toEqual([2_000, 0, false])
        expect(sandbox.truth.count("transactions")).toBe(2_000)
        const estimated = (yield* statusOf(sql, streams, 0)).find(({ stream }) => stream === "transactions")!
        expect(estimated.isEstimate).toBe(true)
        expect(estimated.rows).toBeGreaterThan(1_800)
        expect(estimated.rows).toBeLessThan(2_200)
        expect(estimated.removed).toBeLessThan(50)
      }),
    )

    it.scopedLive("does not read the whole ledger", () =>
      Effect.gen(function* () {
        const { sql } = yield* bench()
        yield* Effect.promise(() =>
          sql.unsafe(`INSERT INTO sync.stream_runs (run_id, account, stream, mode, status, started_at, finished_at)
            SELECT gen_random_uuid(), account, stream, 'full', 'complete', t, t + interval '1 minute'
            FROM generate_series(now() - interval '500 days', now(), '1 hour') AS t,
              unnest(ARRAY['eu', 'apac']) AS account, unnest(ARRAY['payouts', 'wallets']) AS stream`),
        )
        yield* Effect.promise(() => sql.unsafe("ANALYZE sync.stream_runs"))
        // One connection: each connection reports its reads when it likes, or when it is asked to.
        const one = yield* Effect.acquireRelease(
          Effect.promise(() => sql.reserve()),
          lock => Effect.sync(() => lock.release()),
        )
        const rowsRead = Effect.promise(async () => {
          await one.unsafe("SELECT pg_stat_force_next_flush()")
          const [row] = await one.unsafe<Array<{ count: string }>>(
            "SELECT seq_tup_read AS count FROM pg_stat_user_tables WHERE relname = 'stream_runs'",
          )
          return Number(row!.count)
        })
        const before = yield* rowsRead
        const statuses = yield* statusOf(one, yield* allStreams)
        expect(statuses.map(({ account, stream }) => `${account}/${stream}`)).toEqual([
          "apac/payouts",
          "apac/wallets",
          "eu/payouts",
          "eu/wallets",
        ])
        expect(statuses.every(({ lastCompleteAt }) => lastCompleteAt !== null)).toBe(true)
        expect((yield* rowsRead) - before).toBe(0)
        yield* Effect.promise(() => one.unsafe("SELECT count(note) FROM sync.stream_runs"))
        expect((yield* rowsRead) - before).toBeGreaterThan(40_000)
      }),
    )
  })
})
