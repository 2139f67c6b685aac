import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { connect } from "../../src/postgres/connect.ts"
import { start } from "../../src/sandbox/sandbox.ts"
import { cli, sandboxEnvironment } from "../support/cli.ts"
import { expectWhole, pageReference } from "../support/crash.ts"
import { runSql, testDatabase } from "../support/postgres.ts"
import { postgresProxy } from "../support/postgresProxy.ts"
import { printed, SMALL, syncOnce } from "../support/warehouse.ts"

/**
 * A proxy that pools by transaction, like PgBouncer: few connections, lent for one transaction each, without the
 * settings that a client made at its start. Session state breaks here.
 */

const CONNECTIONS = 3
const PAGE_SIZE = 10

const pooledParts = Effect.gen(function* () {
  // Empty: the migration goes through the proxy too.
  const { ownerUrl, readerUrl } = yield* testDatabase()
  const database = new URL(Redacted.value(ownerUrl)).pathname.slice(1)
  // A server whose own settings are not those that the program would like.
  yield* Effect.promise(() =>
    runSql(
      ownerUrl,
      `ALTER DATABASE ${database} SET timezone = 'Asia/Kolkata'; ALTER DATABASE ${database} SET datestyle = 'German, DMY';
       ALTER DATABASE ${database} SET intervalstyle = 'iso_8601'`,
    ),
  )
  const proxy = yield* postgresProxy(ownerUrl, { pool: { size: CONNECTIONS, logins: [ownerUrl, readerUrl] } })
  const sandbox = yield* start(SMALL)
  const reference = yield* pageReference(sandbox, {})
  return { ownerUrl, readerUrl, proxy, sandbox, reference }
})

describe.concurrent("behind a transaction-pooling proxy", () => {
  it.scopedLive(
    "migrate, sync, status and query work, and write the same as without it",
    () =>
      Effect.gen(function* () {
        const { ownerUrl, readerUrl, proxy, sandbox, reference } = yield* pooledParts
        const { run } = yield* cli({
          ...sandboxEnvironment(sandbox),
          PAYCOMBAT_PAGE_SIZE: String(PAGE_SIZE),
          DATABASE_URL: Redacted.value(proxy.through(ownerUrl)),
          PAYCOMBAT_READER_URL: Redacted.value(proxy.through(readerUrl)),
        })
        const migrated = yield* run(["migrate"])
        expect(migrated.code, migrated.stderr).toBe(0)
        expect((yield* run(["migrate", "--check"])).code).toBe(0)
        const synced = yield* run(["sync"])
        expect(synced.code, synced.stderr + synced.stdout).toBe(0)
        const again = yield* run(["sync", "--json"])
        expect(again.code, again.stderr).toBe(0)
        const { streams } = JSON.parse(again.stdout) as {
          streams: ReadonlyArray<{ inserted: number; updated: number }>
        }
        expect(streams.filter(({ inserted, updated }) => inserted + updated > 0)).toEqual([])
        const status = yield* run(["status", "--json"])
        expect(status.code, status.stderr).toBe(0)
        const states = JSON.parse(status.stdout) as ReadonlyArray<{ lastRunStatus: string }>
        expect(states.map(({ lastRunStatus }) => lastRunStatus)).toEqual(states.map(() => "complete"))
        const asked = yield* run(["query", "--csv", "SELECT count(*) FROM analytics.settlement_transaction"])
        expect(asked.stdout, asked.stderr).toBe(`count\n${sandbox.truth.count("transactions")}\n`)
        yield* expectSame(ownerUrl, reference)
      }),
    300_000,
  )

  it.scopedLive("no session state is kept, so code that needs it fails here", () =>
    Effect.gen(function* () {
      const { ownerUrl, proxy } = yield* pooledParts
      const sql = yield* connect(proxy.through(ownerUrl))
      const seen = yield* Effect.promise(async () => {
        let begun = 0
        let letGo = () => {}
        const all = new Promise<void>(resolve => {
          letGo = resolve
        })
        // Each has a connection of its own, and keeps it until the others have theirs.
        await Promise.all(
          Array.from({ length: CONNECTIONS }, () =>
            sql.begin(async tx => {
              await tx`SELECT 1`
              begun += 1
              if (begun === CONNECTIONS) letGo()
              await all
            }),
          ),
        )
        await sql`SELECT set_config('paycombat.mine', 'yes', false)`
        const asked = Array.from(
          { length: 6 },
          () =>
            sql<[{ mine: string; pid: string }]>`
            SELECT coalesce(current_setting('paycombat.mine', true), '') AS mine, pg_backend_pid()::text AS pid`,
        )
        return (await Promise.all(asked)).map(([row]) => row)
      })
      expect(seen.map(({ mine }) => mine)).toContain("")
      const servers = new Set(seen.map(({ pid }) => pid)).size
      expect(servers).toBeGreaterThan(1)
      expect(servers).toBeLessThanOrEqual(CONNECTIONS)
    }),
  )

  it.scopedLive("several runs at once share its few connections", () =>
    Effect.gen(function* () {
      const { ownerUrl, proxy, sandbox, reference } = yield* pooledParts
      const url = proxy.through(ownerUrl)
      const { run } = yield* cli({ DATABASE_URL: Redacted.value(url) })
      expect((yield* run(["migrate"])).code).toBe(0)
      const one = (only: ReadonlyArray<string>) =>
        Effect.scoped(Effect.flatMap(connect(url), sql => syncOnce(sql, sandbox, { only, wait: true })))
      const summaries = yield* Effect.all(
        [
          one(["customers", "wallet_readiness"]),
          one(["wallets", "checkouts"]),
          one(["payouts"]),
          one(["transactions"]),
        ],
        { concurrency: "unbounded" },
      )
      expect(summaries.map(({ status }) => status)).toEqual(summaries.map(() => "complete"))
      yield* expectSame(ownerUrl, reference)
      const sql = yield* connect(ownerUrl)
      const times = yield* printed(sql, "SELECT 1 AS one FROM sync.runs WHERE finished_at < started_at")
      expect(times).toEqual([])
    }),
  )
})

const expectSame = (ownerUrl: Redacted.Redacted, reference: Parameters<typeof expectWhole>[1]) =>
  Effect.flatMap(connect(ownerUrl), sql => expectWhole(sql, reference, "behind the proxy"))
