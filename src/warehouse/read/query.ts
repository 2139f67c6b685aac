import { Effect, type Redacted } from "effect"
import postgres from "postgres"
import { ConfigurationError, WarehouseError } from "../../core/errors.ts"
import { warehouseError } from "../../postgres/statements.ts"
import { type ValueType, valueTypesOf } from "../../postgres/valueTypes.ts"
import { asReader } from "./reader.ts"

/** Answer of a query. Each value is the text that Postgres prints: no amount and no time passes through a number. */
export interface QueryAnswer {
  readonly columns: ReadonlyArray<string>
  /** The columns' types, in their order. */
  readonly types: ReadonlyArray<ValueType>
  readonly rows: ReadonlyArray<ReadonlyArray<string | null>>
}

export interface QueryLimits {
  readonly rows: number
  readonly characters: number
  readonly milliseconds: number
}

/** Limits of an answer, which is held in memory. A larger one is refused and never cut: half an answer looks like a whole one. */
export const QUERY_LIMITS: QueryLimits = { rows: 200_000, characters: 100_000_000, milliseconds: 600_000 }

const BATCH_ROWS = 1_000

/** Options for the extended protocol, in which Postgres refuses a second statement after a semicolon. */
const ONE_STATEMENT = { simple: false, prepare: false }

/**
 * Runs one statement that answers with rows, as a login that may read `analytics` and nothing else: see `asReader`. A
 * statement that Postgres refuses fails with `WarehouseError` in Postgres' words.
 */
export const runQuery = (
  readerUrl: Redacted.Redacted,
  statement: string,
  limits: QueryLimits = QUERY_LIMITS,
): Effect.Effect<QueryAnswer, ConfigurationError | WarehouseError> =>
  asReader(readerUrl, { name: "query", milliseconds: limits.milliseconds }, sql =>
    answer(sql, statement, limits),
  )

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
      const types = await valueTypesOf(
        sql,
        columns.map(({ type }) => type),
      )
      const rows: Array<ReadonlyArray<string | null>> = []
      let characters = 0
      let lastTaken: unknown
      const take = (batch: ReadonlyArray<ReadonlyArray<Buffer | null>>) => {
        for (const values of batch) {
          const row = values.map(value => value?.toString("utf8") ?? null)
          for (const text of row) characters += text?.length ?? 0
          rows.push(row)
        }
        if (rows.length > limits.rows || characters > limits.characters) throw tooLarge(limits)
        lastTaken = batch
      }
      const running = sql.unsafe(statement, [], ONE_STATEMENT).raw()
      signal.addEventListener("abort", () => void Promise.resolve(running.cancel()).catch(() => undefined))
      const last: unknown = await running.cursor(BATCH_ROWS, take)
      // The driver hands over the last batch only where the command's tag counts rows: EXPLAIN and SHOW do not.
      if (last !== lastTaken && Array.isArray(last)) take(last)
      return { columns: columns.map(({ name }) => name), types, rows }
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

/** Makes an error of Postgres' own words. They may quote a value, which the caller has sent or may read. */
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

/** Describes a position in a statement. Postgres counts characters from 1, over all lines. */
const place = (statement: string, position: number): string => {
  if (!(position > 0)) return ""
  const before = Array.from(statement)
    .slice(0, position - 1)
    .join("")
    .split("\n")
  return ` (line ${before.length}, character ${Array.from(before.at(-1) ?? "").length + 1})`
}
