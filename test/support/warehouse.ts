import { createHash, randomUUID } from "node:crypto"
import { Clock, Duration, Effect, Exit, Fiber, Layer, Logger, LogLevel, Redacted, Scope } from "effect"
import type postgres from "postgres"
import { afterAll, beforeAll } from "vitest"
import { http } from "../../src/app.ts"
import type { AccountSettings } from "../../src/config/config.ts"
import type { Counts } from "../../src/core/counts.ts"
import type { ConfigurationError, LeaseError, WarehouseError } from "../../src/core/errors.ts"
import { type Json, parseJson } from "../../src/core/json.ts"
import { KEEP } from "../../src/core/privacy.ts"
import { type Guarded, type ListStream, redacting, type Stream } from "../../src/core/stream.ts"
import { connect, Warehouse } from "../../src/postgres/connect.ts"
import { shapeOf } from "../../src/postgres/shape.ts"
import { allStreams } from "../../src/registry.ts"
import { lastMidnight, type Sandbox, type SandboxOptions, start } from "../../src/sandbox/sandbox.ts"
import type { RunOptions } from "../../src/sync/context.ts"
import { runOnce } from "../../src/sync/run.ts"
import { acquire, type Lease, release } from "../../src/warehouse/ledger/lease.ts"
import { closePass, openPass } from "../../src/warehouse/ledger/passes.ts"
import { startRun, startStream } from "../../src/warehouse/ledger/runs.ts"
import type { RunSummary, StreamSummary } from "../../src/warehouse/ledger/summary.ts"
import { loadBatch } from "../../src/warehouse/load/loader.ts"
import type { SourceRecord } from "../../src/warehouse/load/prepare.ts"
import { migrate } from "../../src/warehouse/schema/migrator.ts"
import { type PostgresVersion, type Template, testDatabase } from "./postgres.ts"
import { warehouseOf } from "./upkeep.ts"

/** A migrated warehouse, a sandbox, and runs between them: what a pipeline test is made of. */

/** Template of a database with our tables and views. */
export const MIGRATED: Template = {
  name: "migrated",
  prepare: ownerUrl =>
    Effect.runPromise(
      Effect.flatMap(connect(ownerUrl), sql => migrate(sql)).pipe(
        Effect.scoped,
        Logger.withMinimumLogLevel(LogLevel.None),
      ),
    ),
}

/** A migrated database of its own, and the owner's connection to it. */
export const testWarehouse = (
  version: PostgresVersion = "18",
): Effect.Effect<postgres.Sql, ConfigurationError | WarehouseError, Scope.Scope> =>
  Effect.flatMap(testDatabase({ version, template: MIGRATED }), ({ ownerUrl }) => connect(ownerUrl))

/** The same for a whole test file or group: created before its tests, dropped after them. Read it inside a test. */
export const warehouseForFile = (version?: PostgresVersion): { readonly sql: postgres.Sql } => {
  let scope: Scope.CloseableScope
  let sql: postgres.Sql
  beforeAll(async () => {
    scope = await Effect.runPromise(Scope.make())
    sql = await Effect.runPromise(Scope.extend(testWarehouse(version), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return {
    get sql() {
      return sql
    },
  }
}

/** Small enough to be read in a moment, large enough for several pages of each list. */
export const SMALL: Partial<SandboxOptions> = {
  customers: 23,
  transactions: 120,
  payouts: 20,
  checkouts: 12,
  days: 10,
}

/** Records per page in tests: makes several pages of every small list. */
const PAGE_SIZE = 10
/** No answer takes so long but one that never comes: a request that is sent again would be counted. */
const PATIENCE = Duration.minutes(1)

/** An account that reads a sandbox as fast as it answers. */
export const accountOf = (
  sandbox: Pick<Sandbox, "url" | "token">,
  given: Partial<AccountSettings> = {},
): AccountSettings => ({
  name: "default",
  token: Redacted.make(sandbox.token),
  baseUrl: sandbox.url,
  pageSize: PAGE_SIZE,
  ratePerSecond: 10_000,
  concurrency: 8,
  timeout: PATIENCE,
  paths: {},
  paging: undefined,
  ...given,
})

export interface SyncOptions extends Partial<Omit<RunOptions, "accounts" | "streams">> {
  /** Names of streams to sync; the core streams if absent, because most tests are about no other, and each costs time. */
  readonly only?: ReadonlyArray<string>
  /** Streams declared by the test, synced instead of the registered ones. */
  readonly streams?: ReadonlyArray<Stream>
  readonly accounts?: ReadonlyArray<AccountSettings>
  /** Settings of the look-up `wallet_readiness`. */
  readonly readyRecheck?: Duration.Duration
  readonly readyMaxCalls?: number
  /** Settings of the one account, where no accounts are given. */
  readonly account?: Partial<AccountSettings>
}

/** One run against the sandbox, silent. */
export const syncOnce = (
  sql: postgres.Sql,
  sandbox: Pick<Sandbox, "url" | "token">,
  { only, streams, account, accounts, readyRecheck, readyMaxCalls, ...options }: SyncOptions = {},
): Effect.Effect<RunSummary, LeaseError | WarehouseError> =>
  Effect.gen(function* () {
    const known = streams ?? (yield* Effect.orDie(allStreams))
    return yield* runOnce({
      lookups: {
        wallet_readiness: {
          maxAge: readyRecheck ?? Duration.hours(24),
          maxCalls: readyMaxCalls ?? null,
          keys: {},
        },
      },
      leaseSeconds: 30,
      privacy: KEEP,
      full: false,
      ...options,
      accounts: accounts ?? [accountOf(sandbox, account)],
      streams: known.filter(({ name, isOptional }) =>
        only === undefined ? streams !== undefined || !isOptional : only.includes(name),
      ),
    })
  }).pipe(
    Effect.provide(Layer.merge(Layer.orDie(http), Layer.succeed(Warehouse, warehouseOf(sql)))),
    Logger.withMinimumLogLevel(LogLevel.None),
  )

export interface Bench {
  readonly sql: postgres.Sql
  readonly sandbox: Sandbox
  readonly sync: (options?: SyncOptions) => Effect.Effect<RunSummary, LeaseError | WarehouseError>
  /** Rows of a statement; every value as Postgres prints it, or null. */
  readonly rows: (statement: string) => Effect.Effect<ReadonlyArray<Record<string, string | null>>>
  /** The first value of a statement. */
  readonly value: (statement: string) => Effect.Effect<string | null>
}

/** A warehouse next to a sandbox. */
export const benchOf = ({ sql, sandbox }: Pick<Bench, "sql" | "sandbox">): Bench => {
  const rows = (statement: string) => printed(sql, statement)
  return {
    sql,
    sandbox,
    sync: given => syncOnce(sql, sandbox, given),
    rows,
    value: statement => Effect.map(rows(statement), ([row]) => Object.values(row ?? {})[0] ?? null),
  }
}

/** An empty warehouse next to a sandbox; both are gone with the scope. */
export const bench = (
  options: Partial<SandboxOptions> = {},
  version: PostgresVersion = "18",
): Effect.Effect<Bench, ConfigurationError | WarehouseError, Scope.Scope> =>
  Effect.gen(function* () {
    const sql = yield* testWarehouse(version)
    const sandbox = yield* start({ ...SMALL, ...options })
    return benchOf({ sql, sandbox })
  })

/** The one run that a warehouse has behind it. */
interface FirstRun extends Pick<SyncOptions, "only" | "account" | "privacy"> {
  /** Changes what the sandbox serves before the run; the name tells such changes apart. */
  readonly arranged?: { readonly name: string; readonly on: (sandbox: Sandbox) => void }
}

/** Template of a database that holds what one run reads from a sandbox with these options. */
export const synced = (
  options: Partial<SandboxOptions> = {},
  { arranged, ...settings }: FirstRun = {},
): Template => {
  const privacy = settings.privacy ?? KEEP
  const secret = privacy.mode === "hash" ? Redacted.value(privacy.key) : ""
  // The simulated records end at the last midnight.
  const key = JSON.stringify([options, settings, secret, arranged?.name, lastMidnight()])
  return {
    name: `synced_${createHash("md5").update(key).digest("hex")}`,
    from: MIGRATED,
    prepare: async ownerUrl => {
      const run = Effect.gen(function* () {
        const sandbox = yield* start({ ...SMALL, ...options })
        arranged?.on(sandbox)
        return yield* syncOnce(yield* connect(ownerUrl), sandbox, settings)
      })
      const { status } = await Effect.runPromise(Effect.scoped(run))
      if (!status.startsWith("complete")) throw new Error(`The run of a template ended as ${status}.`)
    },
  }
}

/**
 * A warehouse that has one run behind it, next to a sandbox that serves what this run read; both are gone with the
 * scope. The run is made once per test run, and its warehouse is cloned.
 */
export const syncedBench = (
  options: Partial<SandboxOptions> = {},
  firstRun: FirstRun = {},
  version: PostgresVersion = "18",
): Effect.Effect<Bench, ConfigurationError | WarehouseError, Scope.Scope> =>
  Effect.gen(function* () {
    const { ownerUrl } = yield* testDatabase({ version, template: synced(options, firstRun) })
    const sql = yield* connect(ownerUrl)
    const sandbox = yield* start({ ...SMALL, ...options })
    firstRun.arranged?.on(sandbox)
    return benchOf({ sql, sandbox })
  })

/** Rows with every value as text: what JavaScript makes of a value would hide lost digits. */
export const printed = (
  sql: postgres.Sql,
  statement: string,
): Effect.Effect<ReadonlyArray<Record<string, string | null>>> =>
  Effect.promise(async () => {
    const rows = await sql.unsafe<Array<{ row: string }>>(
      `SELECT (SELECT jsonb_object_agg(key, value) FROM jsonb_each_text(to_jsonb(q)))::text AS row
       FROM (${statement}) AS q`,
    )
    return rows.map(({ row }) => JSON.parse(row) as Record<string, string | null>)
  })

/** The ids of the records of a list that are stored, sorted. */
export const storedIds = (
  { rows }: Pick<Bench, "rows">,
  list: string,
): Effect.Effect<ReadonlyArray<string | null>> =>
  Effect.gen(function* () {
    const { table, idColumn } = yield* listStream(list)
    const stored = yield* rows(`SELECT "${idColumn}" AS id FROM ${shapeOf(table).table}`)
    return stored.map(({ id }) => id!).sort()
  })

/** The result of one stream in a run. */
export const streamOf = (summary: RunSummary, stream: string, account = "default"): StreamSummary =>
  summary.streams.find(entry => entry.stream === stream && entry.account === account)!

/** Stream name → status, for a run of one account. */
export const statusesOf = (summary: RunSummary): Record<string, string> =>
  Object.fromEntries(summary.streams.map(({ stream, status }) => [stream, status]))

/** The tables of `warehouse` that syncs write. */
export const warehouseTables = (sql: postgres.Sql): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    const rows = await sql<Array<{ name: string }>>`
      SELECT tablename AS name FROM pg_tables
      WHERE schemaname = 'warehouse' AND tablename NOT IN ('event_directions', 'account_settings') ORDER BY 1`
    return rows.map(({ name }) => name)
  })

/** When a row was read and by whom: differs between two warehouses that hold the same. */
export const BOOKKEEPING = [
  ...["run_id", "read_at", "first_seen_at", "checked_at", "changed_at"],
  ...["answered_at", "answered_run_id", "first_run_id", "last_confirmed_at", "last_run_id"],
]

/** Times and runs: two warehouses that hold the same may differ in them, also in the times of histories. */
export const INCIDENTAL = [...BOOKKEEPING, "observed_at", "settled_seen_at", "valid_from"]

/** A table's rows as JSON text, without bookkeeping and the columns named. */
export const dump = (
  sql: postgres.Sql,
  table: string,
  without: ReadonlyArray<string> = BOOKKEEPING,
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    const isTotal = table.startsWith("transaction_")
    const left = isTotal ? [...without, ...TIMES_OF_TOTALS] : without
    const rows = await sql.unsafe<Array<{ row: string }>>(
      `SELECT (to_jsonb(t) - $1::text[])::text AS row FROM warehouse.${table} AS t ORDER BY 1`,
      [`{${left.join(",")}}`],
    )
    return isTotal ? rows.map(({ row }) => withoutScale(row)).sort() : rows.map(({ row }) => row)
  })

/** Times of totals that depend on when a record was read. */
const TIMES_OF_TOTALS = ["settled_seen_at", "settled_witnessed_at"]

/** Equal sums may differ in the zeros at their end, by the amounts that came and went. */
const withoutScale = (row: string): string =>
  row.replaceAll(/(: -?\d+)\.(\d*?)0*(?=[,}])/g, (_, whole: string, rest: string) =>
    rest === "" ? whole : `${whole}.${rest}`,
  )

/** Place of each row, and its writing transaction. Any write shows, even one without a change. */
export const footprint = (sql: postgres.Sql, table: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    const rows = await sql.unsafe<Array<{ row: string }>>(
      `SELECT ctid::text || ' ' || xmin::text || ' ' || xmax::text AS row FROM warehouse.${table} ORDER BY ctid`,
    )
    return rows.map(({ row }) => row)
  })

export interface Loading {
  readonly lease: Lease
  readonly passId: string
  /** Loads records as one batch, each with the time it was read. */
  readonly load: (
    ...records: ReadonlyArray<readonly [record: Json, readAt: string, marks?: Pick<SourceRecord, "isListed">]>
  ) => Effect.Effect<Counts, LeaseError | WarehouseError>
  /** Closes the pass as a complete one. */
  readonly close: (
    provesRemoval?: boolean,
  ) => Effect.Effect<
    { removed: number; openRejects: number; note: string | null },
    LeaseError | WarehouseError
  >
}

/** A pass over a stream of records without any HTTP: what the loader is called with. */
export const loading = (
  sql: postgres.Sql,
  stream: Stream,
): Effect.Effect<Loading, LeaseError | WarehouseError> =>
  Effect.gen(function* () {
    const runId = randomUUID()
    const taken = yield* acquire(sql, {
      streams: [{ account: "default", stream: stream.name }],
      runId,
      holder: "test",
      leaseSeconds: 30,
    })
    if (taken.refused[0] !== undefined) return yield* taken.refused[0]
    const lease = taken.leases[0]!
    yield* startRun(sql, { runId, host: "test", processId: 1, version: "0" })
    yield* startStream(sql, lease, "full")
    const { passId } = yield* openPass(sql, lease, {
      newPassId: randomUUID(),
      canResume: false,
      decodePosition: position => position,
    })
    return {
      lease,
      passId,
      load: (...records) =>
        loadBatch(
          sql,
          lease,
          redacting(stream, KEEP),
          records.map(([record, readAt, marks]) => ({ record, readAt: new Date(readAt), ...marks })),
          { passId, position: null, pages: 1, requests: 0, retries: 0 },
        ),
      close: (provesRemoval = true) =>
        Effect.zipLeft(closePass(sql, lease, stream, { passId, provesRemoval }), release(sql, [lease])),
    }
  })

/** A registered list stream by its name, which keeps what it reads about people. */
export const listStream = (name: string): Effect.Effect<Guarded<ListStream>> =>
  Effect.map(Effect.orDie(allStreams), streams =>
    redacting(streams.find(stream => stream.name === name) as ListStream, KEEP),
  )

/** JSON text as the program reads it: digits kept. */
export const json = (text: string): Json => parseJson(text)

/** Locks a table against reads and writes until it is released. */
export const holdUp = (
  sql: postgres.Sql,
  table: `${"sync" | "warehouse"}.${string}`,
  mode: "SHARE" | "ACCESS EXCLUSIVE",
) =>
  Effect.gen(function* () {
    const connection = yield* Effect.promise(async () => {
      const reserved = await sql.reserve()
      await reserved`BEGIN`
      await reserved.unsafe(`LOCK TABLE ${table} IN ${mode} MODE`)
      return reserved
    })
    const letGo = yield* Effect.once(
      Effect.promise(async () => {
        await connection`ROLLBACK`
        connection.release()
      }),
    )
    // Also where a test fails: what waits for it would keep the warehouse open.
    yield* Effect.addFinalizer(() => letGo)
    return letGo
  })

/** From so long on, who waits gives something up after it. */
const GIVING_UP_SECONDS = 3
/** How much longer that takes by a clock that gives time. */
const UNHURRIED = 20

/**
 * Runs with a clock that gives time. A run that is told to stop waits a few seconds for Postgres to store its end, and
 * a slow machine may need more.
 */
export const unhurried = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Clock.clockWith(Effect.succeed), live => {
    const clock: Clock.Clock = Object.assign(Object.create(live), {
      sleep: (duration: Duration.Duration) =>
        live.sleep(
          Duration.toSeconds(duration) < GIVING_UP_SECONDS ? duration : Duration.times(duration, UNHURRIED),
        ),
    })
    return Effect.withClock(effect, clock)
  })

/** Waits until a session waits for the lock. A session that just got the lock does not count. */
export const untilWaiting = (sql: postgres.Sql): Effect.Effect<void> =>
  printed(
    sql,
    `SELECT 1 AS one FROM pg_locks WHERE NOT granted AND locktype = 'relation'
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  ).pipe(Effect.delay("20 millis"), Effect.repeat({ until: waiting => waiting.length > 0 }), Effect.asVoid)

/** Tells a run to stop once it waits for what is held up, and lets that go a moment later. */
export const stopWhileWaiting = <A, E>(
  sql: postgres.Sql,
  run: Fiber.RuntimeFiber<A, E>,
  letGo: Effect.Effect<void>,
) =>
  Effect.gen(function* () {
    yield* untilWaiting(sql)
    const stopping = yield* Effect.fork(Fiber.interrupt(run))
    yield* Effect.sleep("200 millis")
    yield* letGo
    return yield* Fiber.join(stopping)
  })

/** Lets work begin, and tells it to stop while Postgres still holds up that a stream of it is booked as begun. */
export const stoppedWhileBeginning = <A, E>(sql: postgres.Sql, work: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const letGo = yield* holdUp(sql, "sync.stream_runs", "SHARE")
    yield* stopWhileWaiting(sql, yield* Effect.fork(unhurried(work)), letGo)
  })
