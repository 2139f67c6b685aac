import { getTableConfig, type PgTable } from "drizzle-orm/pg-core"
import { type Json, parseJson, stringifyJson } from "../../core/json.ts"
import type { Plain, PlainFields } from "../../core/privacy.ts"
import type { Stream } from "../../core/stream.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import { dropPartRejects } from "../ledger/partRejects.ts"
import { keptChildColumns, recordColumns } from "../schema/columns.ts"

/**
 * What is left to do about a stored record that today's code cannot make a row of, and whose personal data has to
 * go all the same: which column came of which field is not known then, so that columns are judged by their names.
 */

/** `content_hash` of a record that was emptied: no record has it, so the next read of the record is another version. */
export const EMPTIED_HASH = ""

const namesIn = (plain: Plain): ReadonlyArray<string> =>
  typeof plain === "string"
    ? []
    : Array.isArray(plain)
      ? namesIn((plain as readonly [Plain])[0])
      : Object.entries(plain as PlainFields).flatMap(([name, inner]) => [name, ...namesIn(inner)])

const BOOKKEEPING = new Set(
  Object.keys({ ...recordColumns(), ...keptChildColumns(), checkedAt: 0, changedAt: 0 }).map(key =>
    key.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`),
  ),
)

/** Columns that may hold something personal and may be null: all whose name is not declared as plain. */
const doubtful = (stream: Stream, table: PgTable): ReadonlyArray<string> => {
  const plain = new Set([...namesIn(stream.personal.plain), stream.idColumn, ...BOOKKEEPING])
  return getTableConfig(table)
    .columns.filter(column => !column.notNull && !plain.has(column.name))
    .map(column => column.name)
}

const emptied = (columns: ReadonlyArray<string>) => columns.map(column => `"${column}" = NULL`)

const readable = (raw: string): Json => {
  try {
    return parseJson(raw)
  } catch {
    return raw
  }
}

/**
 * Redacts the raw text of stored records and empties every column that may be personal, of children too. A column
 * too many may go with it: the record is written anew when it is read again, as its hash is no record's.
 */
export const blank = async (
  tx: Transaction,
  account: string,
  stream: Stream,
  ids: ReadonlyArray<string>,
  redact: (record: Json) => Json,
): Promise<void> => {
  await dropPartRejects(tx, account, stream.name, ids)
  const { table, types } = shapeOf(stream.table)
  const hash = types.has("content_hash") ? [`content_hash = '${EMPTIED_HASH}'`] : []
  const set = ["raw = $3::text::jsonb", ...hash, ...emptied(doubtful(stream, stream.table))].join(", ")
  const scope = `account = $1 AND "${stream.idColumn}" = $2`
  for (const id of ids) {
    const [stored] = await tx.unsafe<Array<{ raw: string }>>(
      `SELECT raw::text AS raw FROM ${table} WHERE ${scope}`,
      [account, id],
    )
    if (stored !== undefined)
      await tx.unsafe(`UPDATE ${table} SET ${set} WHERE ${scope}`, [
        account,
        id,
        stringifyJson(redact(readable(stored.raw))),
      ])
  }
  for (const child of stream.children) {
    const columns = emptied(doubtful(stream, child.table))
    if (columns.length > 0)
      await tx.unsafe(
        `UPDATE ${shapeOf(child.table).table} SET ${columns.join(", ")}
         WHERE account = $1 AND "${child.parentColumn}" = ANY ($2::text[])`,
        [account, arrayLiteral(ids)],
      )
  }
}
