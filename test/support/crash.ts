import { Effect, type Scope } from "effect"
import type postgres from "postgres"
import { expect } from "vitest"
import type { AccountSettings } from "../../src/config/config.ts"
import type { ConfigurationError, WarehouseError } from "../../src/core/errors.ts"
import { connect } from "../../src/postgres/connect.ts"
import { type Sandbox, type SandboxOptions, start } from "../../src/sandbox/sandbox.ts"
import {
  type Cli,
  cli,
  databaseEnvironment,
  type Ended,
  type Environment,
  sandboxEnvironment,
} from "./cli.ts"
import { listPath } from "./lists.ts"
import { testDatabase } from "./postgres.ts"
import { type PostgresProxy, postgresProxy } from "./postgresProxy.ts"
import type { CommitFault } from "./postgresSession.ts"
import { dump, INCIDENTAL, MIGRATED, printed, syncOnce, testWarehouse, warehouseTables } from "./warehouse.ts"

export { randomOf } from "./seeded.ts"

/** Runs that do not come to their end, and what must be so afterwards. */

/** True if the tests are to be thorough: every commit point, many moments. `SOAK=1 npm run test:faults`. */
export const isSoaking = process.env.SOAK === "1"

/** Large enough for several batches of the largest list, small enough for a second. */
export const CRASH_WORLD: Partial<SandboxOptions> = {
  customers: 25,
  transactions: 7_600,
  payouts: 60,
  checkouts: 40,
  days: 10,
  maxPageSize: 5_000,
}

/** A batch of its own, each. */
const PAGE_SIZE = 2_500

export interface Crashable extends Cli {
  readonly sandbox: Sandbox
  readonly proxy: PostgresProxy
  /** Not through the proxy: for looking. */
  readonly sql: postgres.Sql
  readonly sync: (environment?: Environment) => Effect.Effect<Ended>
  /** Starts a sync, and does something to it right at a commit point; undisturbed where it has fewer. */
  readonly strike: (n: number, when: CommitFault["when"]) => Effect.Effect<Ended>
  /** Pages that a run asks for although they were committed before it began; call it before the run. */
  readonly refetched: (delayMillis?: number) => Effect.Effect<() => ReadonlyArray<string>>
}

/** A warehouse behind a proxy, and the program to fill it from a sandbox. */
export const crashable = (
  sandbox: Sandbox,
  environment: Environment = {},
): Effect.Effect<Crashable, ConfigurationError | WarehouseError, Scope.Scope> =>
  Effect.gen(function* () {
    const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
    const sql = yield* connect(ownerUrl)
    const proxy = yield* postgresProxy(ownerUrl)
    const program = yield* cli({
      ...sandboxEnvironment(sandbox),
      ...databaseEnvironment(proxy.through(ownerUrl)),
      PAYCOMBAT_PAGE_SIZE: String(PAGE_SIZE),
      PAYCOMBAT_LEASE_SECONDS: "5",
      ...environment,
    })
    const strike = (n: number, when: CommitFault["when"]) =>
      Effect.scoped(
        Effect.gen(function* () {
          proxy.recount()
          const running = yield* program.start(["sync"])
          const kill = () => void running.process.kill("SIGKILL")
          proxy.setFault(point => (point.n === n ? { when, also: kill } : undefined))
          const ended = yield* running.ended
          proxy.setFault(null)
          return ended
        }),
      )
    const refetched = (delayMillis?: number) =>
      Effect.gen(function* () {
        const committed = yield* committedPages(sql)
        const again: Array<string> = []
        sandbox.setFault(({ path, query }) => {
          const page = Number(query.get("page"))
          // The first page is how every run finds out whether the list is still what it was.
          if (page > 1 && page <= (committed.get(path) ?? 0)) again.push(`${path} page ${page}`)
          return delayMillis === undefined ? undefined : { delayMillis }
        })
        return () => again
      })
    return { ...program, sandbox, proxy, sql, sync: more => program.run(["sync"], more), strike, refetched }
  })

/** List path → pages of its open pass that are committed. */
const committedPages = (sql: postgres.Sql): Effect.Effect<ReadonlyMap<string, number>> =>
  Effect.promise(async () => {
    const rows = await sql<Array<{ stream: string; pages: number }>>`
      SELECT c.stream, sum(s.pages)::int AS pages FROM sync.checkpoints AS c
      JOIN sync.stream_runs AS s USING (account, stream, pass_id) GROUP BY c.stream`
    return new Map(rows.map(({ stream, pages }) => [listPath(stream), pages]))
  })

/** The sandbox that crashing runs read. It does not change. */
export const crashWorld = start(CRASH_WORLD)

const dumpAll = (sql: postgres.Sql) =>
  Effect.gen(function* () {
    const tables = yield* warehouseTables(sql)
    const dumps = yield* Effect.forEach(tables, table => dump(sql, table, INCIDENTAL))
    return new Map(tables.map((table, i) => [table, dumps[i]!]))
  })

export type Reference = ReadonlyMap<string, ReadonlyArray<string>>

/** The tables of `warehouse` after one undisturbed run. */
export const pageReference = (sandbox: Sandbox, account: Partial<AccountSettings>) =>
  Effect.promise(() => {
    const { fault: _, ...options } = sandbox.options
    const key = JSON.stringify([options, account])
    const known = references.get(key) ?? Effect.runPromise(Effect.scoped(readReference(options, account)))
    references.set(key, known)
    return known
  })

/** The same options make the same records: one reference does for all tests of a file. */
const references = new Map<string, Promise<Reference>>()

/** From a sandbox of its own: nothing is wrong with that one. */
const readReference = (options: Partial<SandboxOptions>, account: Partial<AccountSettings>) =>
  Effect.gen(function* () {
    const sql = yield* testWarehouse()
    const sandbox = yield* start({ ...options, port: 0 })
    const { streams } = yield* syncOnce(sql, sandbox, { account })
    expect(streams.filter(({ status }) => status !== "complete")).toEqual([])
    return yield* dumpAll(sql)
  })

/** The same, read in the pages of the crashing program. */
export const referenceOf = (sandbox: Sandbox) => pageReference(sandbox, { pageSize: PAGE_SIZE })

/** Ends every lease of a killed run, so that no run has to wait for it. */
export const expireLeases = ({ proxy, sql }: Crashable) =>
  Effect.zipRight(
    // A statement that it sent may still renew a lease.
    proxy.ended,
    Effect.promise(() => sql`UPDATE sync.leases SET expires_at = clock_timestamp() - interval '1 second'`),
  )

/** The warehouse is that of an undisturbed run, and the ledger adds up. */
export const expectWhole = (sql: postgres.Sql, reference: Reference, about: string) =>
  Effect.gen(function* () {
    const found = yield* dumpAll(sql)
    for (const [table, rows] of reference) {
      expect(found.get(table)!.length, `${about}: rows of ${table}`).toBe(rows.length)
      expect(
        found
          .get(table)!
          .filter((row, i) => row !== rows[i])
          .slice(0, 3),
        `${about}: ${table}`,
      ).toEqual([])
    }
    expect(yield* printed(sql, DISAGREEMENTS), `${about}: the ledger`).toEqual([])
  })

/**
 * Statements of the ledger that cannot be true at the end. A run that resumes another's pass looks at both ends of the
 * list again, because it does not know what the other saw there.
 */
const DISAGREEMENTS = `
  SELECT 'runs' AS what, run_id::text AS which, status AS said FROM sync.runs
  WHERE status NOT IN ('complete', 'dead', 'interrupted', 'failed') OR finished_at IS NULL
  UNION ALL
  SELECT 'stream_runs', stream, status FROM sync.stream_runs
  WHERE status NOT IN ('complete', 'dead', 'interrupted', 'failed') OR finished_at IS NULL
  UNION ALL
  SELECT 'sum of counters', stream, extracted::text FROM sync.stream_runs
  WHERE extracted <> inserted + updated + unchanged + stale + rejected + erased
  UNION ALL
  SELECT 'records of a pass, over its runs', s.stream, format('%s of %s', sum(s.extracted), c.rows)
  FROM sync.stream_runs AS s JOIN (
    SELECT 'transactions' AS stream, count(*) AS rows FROM warehouse.transactions
    UNION ALL SELECT 'payouts', count(*) FROM warehouse.payouts
    UNION ALL SELECT 'checkouts', count(*) FROM warehouse.checkouts
    UNION ALL SELECT 'customers', count(*) FROM warehouse.customers
    UNION ALL SELECT 'wallets', count(*) FROM warehouse.wallets) AS c USING (stream)
  WHERE s.pass_id IS NOT NULL AND s.mode = 'full'
  GROUP BY s.stream, s.pass_id, c.rows
  HAVING NOT sum(s.extracted) BETWEEN c.rows AND c.rows + (count(*) - 1) * ${2 * PAGE_SIZE}
  UNION ALL
  SELECT 'inserted, over all runs', s.stream, format('%s of %s', sum(s.inserted), c.rows)
  FROM sync.stream_runs AS s JOIN (
    SELECT 'transactions' AS stream, count(*) AS rows FROM warehouse.transactions
    UNION ALL SELECT 'payouts', count(*) FROM warehouse.payouts
    UNION ALL SELECT 'checkouts', count(*) FROM warehouse.checkouts
    UNION ALL SELECT 'customers', count(*) FROM warehouse.customers
    UNION ALL SELECT 'wallets', count(*) FROM warehouse.wallets
    UNION ALL SELECT 'wallet_readiness', count(*) FROM warehouse.wallet_readiness) AS c USING (stream)
  GROUP BY s.stream, c.rows HAVING sum(s.inserted) <> c.rows
  UNION ALL
  SELECT 'left behind', 'checkpoints', count(*)::text FROM sync.checkpoints HAVING count(*) > 0
  UNION ALL
  SELECT 'left behind', 'seen_keys', count(*)::text FROM sync.seen_keys HAVING count(*) > 0
  UNION ALL
  SELECT 'left behind', 'due_keys', count(*)::text FROM sync.due_keys HAVING count(*) > 0
  UNION ALL
  SELECT 'still held', stream, holder FROM sync.leases WHERE expires_at > clock_timestamp()`
