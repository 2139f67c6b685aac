import { Duration, Effect, Either, Redacted } from "effect"
import type postgres from "postgres"
import { ConfigurationError, WarehouseError } from "../../core/errors.ts"
import { parseAddress } from "../../postgres/address.ts"
import { silent } from "../../postgres/connect.ts"
import { openDriver } from "../../postgres/driver.ts"
import { sqlState } from "../../postgres/failures.ts"
import { chooser, connectBoundSeconds } from "../../postgres/route.ts"
import { boundedDialer, makeDial } from "../../postgres/socket.ts"
import { warehouseError } from "../../postgres/statements.ts"
import { readTlsFiles } from "../../postgres/tls.ts"
import { EXCESS_RIGHTS } from "./readerRights.ts"

/** The reader's login, with which `query` and `report` read `analytics`. */

const CONNECT_TIMEOUT_SECONDS = 15
const CLOSE_TIMEOUT_SECONDS = 2
/** Most dials: the connection, a new one after a loss, which the session then refuses, and a request to cancel. */
const CONNECT_ATTEMPTS_MAX = 3

/**
 * Settings that make the same text on every server: days are UTC, and a view needs no schema in front. `pg_temp` is named
 * because an unnamed one comes first: a temporary table in a session that a proxy shares would hide a view.
 */
const SESSION = {
  search_path: "analytics, pg_temp",
  TimeZone: "UTC",
  DateStyle: "ISO, MDY",
  IntervalStyle: "postgres",
  bytea_output: "hex",
}

/** Types that the driver would turn into numbers, booleans or dates. */
const PARSED_TYPES = [16, 21, 23, 26, 114, 700, 701, 1082, 1083, 1114, 1184, 3802]

interface Opened {
  readonly sql: postgres.Sql
  /** Longest time until it connects or fails, in seconds. */
  readonly boundSeconds: number
  readonly close: () => Promise<void>
}

export interface ReaderSession {
  /** Name of the session in Postgres, after the program's name. */
  readonly name: string
  /** Longest time of one statement. */
  readonly milliseconds: number
}

/**
 * Runs SQL on a connection of its own, as a login that may read `analytics` and nothing else. Refuses another login, and
 * names the right that is too much. Every statement sees the same snapshot, and every value is the text that Postgres
 * prints.
 *
 * The login is the protection. In addition, its rights are checked in the transaction that then runs the statements. That
 * is read-only, stays so because its snapshot is taken, and is never committed. Fails if the connection was lost during
 * `use`, because the driver would continue on another one.
 */
export const asReader = <A, E>(
  readerUrl: Redacted.Redacted,
  session: ReaderSession,
  use: (sql: postgres.Sql) => Effect.Effect<A, E>,
): Effect.Effect<A, E | ConfigurationError | WarehouseError> =>
  Effect.acquireUseRelease(
    open(readerUrl, session),
    ({ sql, boundSeconds }) =>
      Effect.gen(function* () {
        yield* Effect.timeoutFail(begin(sql, session), {
          duration: Duration.seconds(boundSeconds),
          onTimeout: () => silent(boundSeconds),
        })
        begun.set(sql, yield* Effect.tryPromise({ try: () => transactionOf(sql), catch: warehouseError }))
        yield* refuseExcess(sql)
        const answer = yield* use(sql)
        yield* Effect.tryPromise({ try: () => refuseOther(sql), catch: readingError })
        return answer
      }),
    // Without COMMIT, so that any change ends with the connection.
    ({ close }) => Effect.promise(close),
  )

/** Identity of the transaction with which each connection began. */
const begun = new WeakMap<postgres.Sql, string | undefined>()

/** Identifies the transaction. Undefined if the driver, on a new connection, reads the rest of a lost cursor as the answer. */
const transactionOf = async (sql: postgres.Sql): Promise<string | undefined> => {
  const [row] = await sql.unsafe<Array<{ id: string }>>(
    "SELECT pg_backend_pid() || ' ' || extract(epoch FROM transaction_timestamp()) AS id",
  )
  return row?.id
}

const readingError = (error: unknown): WarehouseError =>
  error instanceof WarehouseError ? error : warehouseError(error)

const refuseOther = async (sql: postgres.Sql): Promise<void> => {
  const now = await transactionOf(sql)
  if (now === undefined || now !== begun.get(sql))
    throw new WarehouseError({
      code: "CONNECTION_CLOSED",
      message: "Postgres: the connection was lost while its rows were read: run it again.",
    })
}

/**
 * Yields the batches of a cursor, and throws if some are missing: if the connection is lost between two batches, the
 * driver's cursor ends as if there were no more.
 */
export async function* allOf<A>(sql: postgres.Sql, batches: AsyncIterable<A>): AsyncGenerator<A> {
  yield* batches
  await refuseOther(sql)
}

const open = (
  readerUrl: Redacted.Redacted,
  { name }: ReaderSession,
): Effect.Effect<Opened, ConfigurationError> =>
  Effect.try({
    try: () => {
      const address = Either.getOrThrowWith(
        parseAddress(Redacted.value(readerUrl)),
        problem => new Error(problem),
      )
      const timeoutSeconds = address.connectTimeoutSeconds ?? CONNECT_TIMEOUT_SECONDS
      const dial = makeDial(address, readTlsFiles(address.tls), timeoutSeconds)
      const dialer = boundedDialer(chooser(address, dial, timeoutSeconds), CONNECT_ATTEMPTS_MAX)
      const sql = openDriver(address, dialer.socket, {
        max: 1,
        max_lifetime: null,
        fetch_types: false,
        prepare: false,
        connect_timeout: timeoutSeconds,
        connection: { application_name: `paycombat-sync ${name}` },
        types: { printed: { to: 25, from: PARSED_TYPES, serialize: String, parse: String } },
        onnotice: () => undefined,
      })
      return {
        sql,
        boundSeconds: connectBoundSeconds(address, timeoutSeconds),
        close: () => sql.end({ timeout: CLOSE_TIMEOUT_SECONDS }).finally(dialer.close),
      }
    },
    catch: error => new ConfigurationError({ message: `PAYCOMBAT_READER_URL ${(error as Error).message}.` }),
  })

const begin = (
  sql: postgres.Sql,
  { milliseconds }: ReaderSession,
): Effect.Effect<void, ConfigurationError | WarehouseError> =>
  Effect.tryPromise({
    try: async () => {
      await sql.unsafe("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
      const settings = Object.entries({ ...SESSION, statement_timeout: String(milliseconds) })
      for (const [name, value] of settings) await sql`SELECT set_config(${name}, ${value}, true)`
    },
    catch: error =>
      /^(28|3D)/.test(sqlState(error) ?? "")
        ? new ConfigurationError({
            message: `Postgres does not let the reader's login in (${sqlState(error)}): check user, password and database of PAYCOMBAT_READER_URL.`,
          })
        : warehouseError(error),
  })

const refuseExcess = (sql: postgres.Sql): Effect.Effect<void, ConfigurationError | WarehouseError> =>
  Effect.gen(function* () {
    const rights = yield* Effect.tryPromise({
      try: async () => ({
        excess: await sql.unsafe<Array<{ what: string }>>(EXCESS_RIGHTS),
        mayRead: await sql<Array<{ yes: string }>>`
          SELECT coalesce(has_schema_privilege(to_regnamespace('analytics')::oid, 'USAGE'), false) AS yes`,
      }),
      catch: warehouseError,
    })
    if (rights.excess.length > 0)
      return yield* new ConfigurationError({
        message: `Refused: the login of PAYCOMBAT_READER_URL may do more than read analytics: it ${rights.excess.map(({ what }) => what).join("; ")}. Use a login whose only right is to be a member of paycombat_reader.`,
      })
    if (rights.mayRead[0]?.yes !== "t")
      return yield* new ConfigurationError({
        message:
          "The login of PAYCOMBAT_READER_URL may not read schema analytics, or there is none: run `paycombat-sync migrate`, then GRANT paycombat_reader TO that login.",
      })
  })
