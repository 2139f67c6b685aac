import { Effect, Redacted } from "effect"
import postgres from "postgres"
import { ConfigurationError, WarehouseError } from "../Errors.ts"
import { sqlState, warehouseError } from "./Database.ts"
import { EXCESS_RIGHTS } from "./readerRights.ts"

/** Each value is the text that Postgres prints: no digit of an amount and no microsecond passes through a number. */
export interface QueryAnswer {
  readonly columns: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string | null>>
}

export interface QueryLimits {
  readonly rows: number
  readonly characters: number
  readonly milliseconds: number
}

/** An answer is held in memory. One that is larger is refused, never cut: half an answer looks like a whole one. */
export const QUERY_LIMITS: QueryLimits = { rows: 200_000, characters: 100_000_000, milliseconds: 600_000 }

const CONNECT_TIMEOUT_SECONDS = 15
const CLOSE_TIMEOUT_SECONDS = 2
const BATCH_ROWS = 1_000

/** The extended protocol: Postgres itself refuses a second statement after a semicolon. */
const ONE_STATEMENT = { simple: false, prepare: false }

/** The same text on every server: days are UTC, and a view needs no schema in front. */
const SESSION = {
  search_path: "analytics",
  TimeZone: "UTC",
  DateStyle: "ISO, MDY",
  IntervalStyle: "postgres",
  bytea_output: "hex",
}

/**
 * Runs one statement that answers with rows, as a login that may read `analytics` and nothing else; refuses to
 * run it as any other, naming the right that is too much.
 *
 * The wall is the login. Around it: the rights are looked up in the transaction that then runs the statement,
 * which is read-only and, a snapshot being taken, cannot be made anything else; it is never committed.
 * A statement that Postgres refuses fails with `WarehouseError` in Postgres' words.
 */
export const runQuery = (
  readerUrl: Redacted.Redacted,
  statement: string,
  limits: QueryLimits = QUERY_LIMITS,
): Effect.Effect<QueryAnswer, ConfigurationError | WarehouseError> =>
  Effect.acquireUseRelease(
    open(readerUrl),
    sql =>
      Effect.gen(function* () {
        yield* begin(sql, limits)
        yield* refuseExcess(sql)
        return yield* answer(sql, statement, limits)
      }),
    // Without COMMIT: what a statement did against all odds goes with the connection.
    sql => Effect.promise(() => sql.end({ timeout: CLOSE_TIMEOUT_SECONDS })),
  )

const open = (readerUrl: Redacted.Redacted): Effect.Effect<postgres.Sql, ConfigurationError> =>
  Effect.try({
    try: () =>
      postgres(Redacted.value(readerUrl), {
        max: 1,
        max_lifetime: null,
        fetch_types: false,
        prepare: false,
        connect_timeout: CONNECT_TIMEOUT_SECONDS,
        connection: { application_name: "paycombat-sync query" },
        onnotice: () => undefined,
      }),
    // The parser's own message repeats the URL, password and all.
    catch: () =>
      new ConfigurationError({
        message:
          "PAYCOMBAT_READER_URL is not a Postgres URL: it should look like postgres://login:password@host:5432/database.",
      }),
  })

const begin = (
  sql: postgres.Sql,
  limits: QueryLimits,
): Effect.Effect<void, ConfigurationError | WarehouseError> =>
  Effect.tryPromise({
    try: async () => {
      await sql.unsafe("BEGIN TRANSACTION READ ONLY")
      const settings = Object.entries({ ...SESSION, statement_timeout: String(limits.milliseconds) })
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
    const found = yield* Effect.tryPromise({
      try: async () => ({
        excess: await sql.unsafe<Array<{ what: string }>>(EXCESS_RIGHTS),
        mayRead: await sql<Array<{ yes: boolean }>>`
          SELECT coalesce(has_schema_privilege(to_regnamespace('analytics')::oid, 'USAGE'), false) AS yes`,
      }),
      catch: warehouseError,
    })
    if (found.excess.length > 0)
      return yield* new ConfigurationError({
        message: `Refused: the login of PAYCOMBAT_READER_URL may do more than read analytics: it ${found.excess.map(({ what }) => what).join("; ")}. Use a login whose only right is to be a member of paycombat_reader.`,
      })
    if (found.mayRead[0]?.yes !== true)
      return yield* new ConfigurationError({
        message:
          "The login of PAYCOMBAT_READER_URL may not read schema analytics, or there is none: run `paycombat-sync migrate`, then GRANT paycombat_reader TO that login.",
      })
  })

const answer = (
  sql: postgres.Sql,
  statement: string,
  limits: QueryLimits,
): Effect.Effect<QueryAnswer, ConfigurationError | WarehouseError> =>
  Effect.tryPromise({
    try: async signal => {
      const { columns } = await sql.unsafe(statement, [], ONE_STATEMENT).describe()
      if (columns.length === 0)
        throw new ConfigurationError({
          message:
            "`query` runs one statement that answers with rows: SELECT, WITH, VALUES, TABLE, SHOW or EXPLAIN.",
        })
      const rows: Array<ReadonlyArray<string | null>> = []
      let characters = 0
      let taken: unknown
      const take = (batch: ReadonlyArray<ReadonlyArray<Buffer | null>>) => {
        for (const values of batch) {
          const row = values.map(value => value?.toString("utf8") ?? null)
          for (const text of row) characters += text?.length ?? 0
          rows.push(row)
        }
        if (rows.length > limits.rows || characters > limits.characters) throw tooLarge(limits)
        taken = batch
      }
      const running = sql.unsafe(statement, [], ONE_STATEMENT).raw()
      signal.addEventListener("abort", () => void Promise.resolve(running.cancel()).catch(() => undefined))
      const last: unknown = await running.cursor(BATCH_ROWS, take)
      // The driver hands over the last batch only where the command's tag counts rows: EXPLAIN and SHOW do not.
      if (last !== taken && Array.isArray(last)) take(last)
      return { columns: columns.map(({ name }) => name), rows }
    },
    catch: error => {
      if (error instanceof ConfigurationError || error instanceof WarehouseError) return error
      return refused(error, statement)
    },
  })

const tooLarge = (limits: QueryLimits) =>
  new WarehouseError({
    message: `The answer is larger than ${limits.rows} rows or ${limits.characters} characters: aggregate, filter or LIMIT it, or connect a client to the reader's URL.`,
  })

/** Postgres' own words. They may quote a value, and may: it is the asker's, or one that the asker may read. */
const refused = (error: unknown, statement: string): WarehouseError => {
  if (!(error instanceof postgres.PostgresError)) return warehouseError(error)
  const { message, detail, hint, position, code } = error
  const parts = [
    message + place(statement, Number(position)),
    detail,
    hint === undefined ? undefined : `Hint: ${hint}`,
  ]
  return new WarehouseError({ code, message: parts.filter(part => part !== undefined).join(" ") })
}

/** Postgres counts characters from 1, over all lines. */
const place = (statement: string, position: number): string => {
  if (!(position > 0)) return ""
  const before = Array.from(statement)
    .slice(0, position - 1)
    .join("")
    .split("\n")
  return ` (line ${before.length}, character ${Array.from(before.at(-1) ?? "").length + 1})`
}
