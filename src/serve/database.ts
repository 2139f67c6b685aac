import { Clock, Effect } from "effect"
import type postgres from "postgres"
import { type ConfigurationError, WarehouseError } from "../core/errors.ts"
import type { Stream } from "../core/stream.ts"
import type { Verdict } from "../core/verdict.ts"
import { readingWithin } from "../postgres/readOnly.ts"
import {
  databaseNow,
  type RecentRun,
  recentRuns,
  type StreamStatus,
  statusOf,
} from "../warehouse/read/status.ts"
import { verdictsOf } from "../warehouse/read/verdict.ts"
import { pendingMigrations } from "../warehouse/schema/migrator.ts"

/** Reads the database for `serve`, within a time limit, and keeps its last answer while it cannot be read. */

/** Time after which the database counts as not answering. Postgres ends a statement earlier, and says why. */
const ANSWER_LIMIT = "5 seconds"
const STATEMENT_MILLIS = 4_500
/** Interval between two checks that tables and views are at the program's version. */
const MIGRATIONS_MILLIS = 60_000
/** Size up to which rows are counted. Rows of larger tables are estimated, to spare the database. */
const COUNTED_BYTES_MAX = 2 ** 24
const RUNS_SHOWN = 10
/** Runs shown per account, because several accounts run at each tick. */
const RUNS_SHOWN_EACH = 4
/** Accounts and streams to read, and how old their figures may be. */
export interface DatabaseScope {
  readonly accounts: ReadonlyArray<string>
  readonly streams: ReadonlyArray<Stream>
  /** Age in seconds beyond which figures are stale. If absent, the stored limit of each account applies. */
  readonly maxAgeSeconds?: number
}

/** The database's last answer, with its time by Postgres' clock and by this process' clock. */
export interface LastAnswer {
  readonly statuses: ReadonlyArray<StreamStatus>
  readonly verdicts: ReadonlyArray<Verdict>
  readonly runs: ReadonlyArray<RecentRun>
  readonly at: Date
  readonly hereMillis: number
}

/** The database as it was read last. */
export interface DatabaseState {
  answer: LastAnswer | null
  problem: string | null
  /** True if the latest read got an answer. */
  isCurrent: boolean
  migrations: { readonly checkedAt: number; readonly problem: string | null }
}

/** The state before the first read. */
export const unread = (): DatabaseState => ({
  answer: null,
  problem: "The database was not read yet.",
  isCurrent: false,
  migrations: { checkedAt: Number.NEGATIVE_INFINITY, problem: null },
})

/** True if `since` is less than `limit` ms ago. A `since` in the future (the clock was set back) counts as too old. */
export const isYounger = (limitMillis: number, millis: number, since: number) =>
  millis >= since && millis - since < limitMillis

const checkMigrations = (tx: postgres.Sql, database: DatabaseState) =>
  Effect.gen(function* () {
    const millis = yield* Clock.currentTimeMillis
    if (isYounger(MIGRATIONS_MILLIS, millis, database.migrations.checkedAt)) return
    const { migrations, views } = yield* pendingMigrations(tx)
    const isMigrated = migrations.length + views.length === 0
    database.migrations = {
      checkedAt: millis,
      problem: isMigrated
        ? null
        : "The database is not this program's version: run `paycombat-sync migrate`.",
    }
  })

const queryDatabase = (
  sql: postgres.Sql,
  { accounts, streams, maxAgeSeconds }: DatabaseScope,
  database: DatabaseState,
): Effect.Effect<LastAnswer, WarehouseError | ConfigurationError> =>
  readingWithin(sql, STATEMENT_MILLIS, tx =>
    Effect.gen(function* () {
      yield* checkMigrations(tx, database)
      const statuses = yield* statusOf(tx, streams, COUNTED_BYTES_MAX)
      const verdicts = yield* verdictsOf(tx, {
        accounts,
        streams: streams.map(({ name }) => name),
        limits: maxAgeSeconds === undefined ? {} : { maxAgeSeconds },
      })
      const runs = yield* recentRuns(tx, Math.max(RUNS_SHOWN, RUNS_SHOWN_EACH * accounts.length))
      const at = yield* databaseNow(tx)
      return {
        statuses,
        verdicts: verdicts.filter(({ account }) => accounts.includes(account)),
        runs,
        at,
        hereMillis: yield* Clock.currentTimeMillis,
      }
    }),
  )

/** Reads the database in time. A failure becomes the problem that is shown, beside the answer before it. */
export const readDatabase = (
  sql: postgres.Sql,
  options: DatabaseScope,
  database: DatabaseState,
): Effect.Effect<void> =>
  queryDatabase(sql, options, database).pipe(
    Effect.tap(answer =>
      Effect.sync(() => {
        database.answer = answer
        database.problem = database.migrations.problem
        database.isCurrent = true
      }),
    ),
    Effect.timeoutFail({
      duration: ANSWER_LIMIT,
      onTimeout: () => new WarehouseError({ message: `The database did not answer within ${ANSWER_LIMIT}.` }),
    }),
    Effect.catchAllDefect(defect =>
      Effect.zipRight(
        Effect.logError("unexpected failure while reading the database", defect),
        new WarehouseError({ message: "The database's answer could not be read: see the log." }),
      ),
    ),
    Effect.catchAll(({ message }) =>
      Effect.sync(() => {
        database.problem = message
        database.isCurrent = false
      }),
    ),
  )
