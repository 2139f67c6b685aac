import type { Json } from "../../core/json.ts"
import type { Open, StoredKeys } from "../../core/lookup.ts"
import type { Guarded, LookupStream, Row, Stream } from "../../core/stream.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { type Shape, shapeOf } from "../../postgres/shape.ts"

/** A look-up in SQL: its keys, and the earlier look-ups of them. */

interface StoredSource extends Pick<StoredKeys, "column"> {
  readonly table: Shape
  readonly time: string
  readonly only: StoredKeys["only"] | undefined
}

/** Keys in a column of a table, or a list of them. */
export type KeySource = StoredSource | { readonly given: ReadonlyArray<string> }

/** A look-up with the tables that hold its keys. */
export interface Lookup {
  readonly stream: Guarded<LookupStream>
  readonly keys: ReadonlyArray<KeySource>
}

/** Finds the tables of a look-up's keys among the streams. `given` are the configured lists, by variable. */
export const lookupOf = (
  stream: Guarded<LookupStream>,
  streams: ReadonlyArray<Stream>,
  given: Readonly<Record<string, ReadonlyArray<string>>>,
): Lookup => ({
  stream,
  keys: stream.source.keys.map((keys): KeySource => {
    if ("variable" in keys) return { given: given[keys.variable] ?? keys.otherwise }
    const owner = streams.find(({ name }) => name === keys.stream)
    const table =
      keys.child === undefined
        ? owner?.table
        : owner?.children.find(child => shapeOf(child.table).name === keys.child)?.table
    if (table === undefined) throw new Error(`${stream.name}: there is no table ${keys.child ?? keys.stream}`)
    return { table: shapeOf(table), column: keys.column, time: keys.time ?? "first_seen_at", only: keys.only }
  }),
})

/** Names the keys in a message: by the records whose ids they are, or "keys". */
export const subjectOf = ({ keys: [source, ...others] }: Lookup): string =>
  source !== undefined && others.length === 0 && isUnique(source) ? source.table.name : "keys"

/** The parameters of a statement, numbered as they are added. */
export interface Parameters {
  readonly values: Array<string | number | null>
  readonly add: (value: string | number | null) => string
}

export const parametersOf = (): Parameters => {
  const values: Array<string | number | null> = []
  return { values, add: value => `$${values.push(value)}` }
}

const selectOf = (source: KeySource, account: string, { add }: Parameters): string => {
  if ("given" in source)
    return `SELECT DISTINCT key, NULL::timestamptz AS seen_at, NULL::timestamptz AS read_at
      FROM unnest(${add(arrayLiteral(source.given))}::text[]) AS key`
  const { table, column, time, only } = source
  const has = (name: string) => table.types.has(name)
  const columnOr = (name: string) => (has(name) ? `k."${name}"` : "NULL::timestamptz")
  return `SELECT k."${column}" AS key, ${columnOr(time)} AS seen_at, ${columnOr("read_at")} AS read_at
    FROM ${table.table} AS k
    WHERE k.account = ${account} AND k."${column}" <> ''${has("removed_at") ? " AND k.removed_at IS NULL" : ""}
      ${only === undefined ? "" : `AND k."${only.column}" = ANY (${add(arrayLiteral(only.oneOf))}::text[])`}`
}

/** True if each row of the source has a key of its own. */
const isUnique = (source: KeySource): source is StoredSource =>
  "table" in source && source.table.key.join() === `account,${source.column}`

/** Makes a relation of `key`, `seen_at` and `read_at` with each key once. `account` is the parameter with the account. */
export const keysOf = ({ keys }: Lookup, account: string, parameters: Parameters): string => {
  const [first] = keys
  if (keys.length === 1 && first !== undefined && isUnique(first))
    return `(${selectOf(first, account, parameters)})`
  const all = keys.map(source => selectOf(source, account, parameters)).join(" UNION ALL ")
  return `(SELECT key, min(seen_at) AS seen_at, max(read_at) AS read_at FROM (${all}) AS k GROUP BY key)`
}

/** Condition on a row: its answer may still change. An empty column says nothing, so the answer may. */
const isOpen = (open: Open | undefined, row: "r" | "t", { add }: Parameters): string => {
  if (open === undefined) return "false"
  const column = `${row}."${open.column}"`
  if ("noneOf" in open) return `(${column} <> ALL (${add(arrayLiteral(open.noneOf))}::text[])) IS NOT FALSE`
  if ("is" in open) return `${column} IS DISTINCT FROM ${!open.is}`
  return `(${column} > clock_timestamp()) IS NOT FALSE`
}

/** A relation `r` with earlier look-ups, to be joined with keys. */
export interface EarlierLookups {
  /** Quoted table. */
  readonly table: string
  /** Its column with the key. */
  readonly key: string
  /** Condition on `r`: of this account and stream. */
  readonly scope: string
  /** Makes a condition on `r`: its answer may still change. */
  readonly isOpen: () => string
}

export const earlierLookups = (
  { stream }: Lookup,
  account: string,
  parameters: Parameters,
): EarlierLookups => {
  const { table } = shapeOf(stream.table)
  const { answer, recheck } = stream.source
  const isYoung = () =>
    recheck.openDays === undefined
      ? "true"
      : `r.changed_at > statement_timestamp() - make_interval(days => ${parameters.add(recheck.openDays)}::int)`
  const isOpenRow = (row: "r" | "t") => isOpen(recheck.open, row, parameters)
  if (answer.kind === "state")
    return {
      table,
      key: `"${stream.idColumn}"`,
      scope: `r.account = ${account}`,
      isOpen: () => `(${isOpenRow("r")} AND ${isYoung()})`,
    }
  return {
    table: "sync.lookup_keys",
    key: "record_id",
    scope: `r.account = ${account} AND r.stream = ${parameters.add(stream.name)}`,
    isOpen: () =>
      `(${isYoung()} AND EXISTS (
        SELECT FROM ${table} AS t
        WHERE t.account = ${account} AND t."${answer.keyColumn}" = r.record_id AND ${isOpenRow("t")}))`,
  }
}

/** Answer about one key, or the reason why there is none. */
export interface Answer {
  readonly key: string
  readonly checkedAt: string
  /** The state, and its raw text; both null if there is none. */
  readonly row: Row | null
  readonly raw: string | null
  /** The records as they were sent, with the asked key; absent for a state. */
  readonly records?: ReadonlyArray<Json>
  readonly error: string | null
  /** There was no answer at all. A refusal is an answer. */
  readonly isUnanswered?: boolean
}

/** Texts of `check_error` for answers that are no state, or no row. */
export const REJECTED = "The answer could not become a row: see `paycombat-sync rejects list`."
export const UNSTORABLE = "The answer holds a text or a number that Postgres cannot store."
