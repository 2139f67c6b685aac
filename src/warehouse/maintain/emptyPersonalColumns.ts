import { getTableConfig, type PgTable } from "drizzle-orm/pg-core"
import { type Json, parseJson, stringifyJson } from "../../core/json.ts"
import type { Plain, PlainFields } from "../../core/privacy.ts"
import type { Stream } from "../../core/stream.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import { dropPartRejects } from "../ledger/partRejects.ts"
import { bookkeeping } from "../schema/columns.ts"

/**
 * Removes personal data from stored records that the present code cannot decode. It is not known then which column came
 * from which field, so columns are judged by their names.
 */

/** `content_hash` of an emptied record. No record has it, so the next read of the record is another version. */
export const EMPTIED_HASH = ""

const namesIn = (plain: Plain): ReadonlyArray<string> =>
  typeof plain === "string"
    ? []
    : Array.isArray(plain)
      ? namesIn((plain as readonly [Plain])[0])
      : Object.entries(plain as PlainFields).flatMap(([name, inner]) => [name, ...namesIn(inner)])

/** Lists columns that may be null and may hold personal data: their names are not declared as plain. */
const doubtful = (stream: Stream, table: PgTable): ReadonlyArray<string> => {
  const plain = new Set([...namesIn(stream.personal.plain), stream.idColumn, ...bookkeeping])
  return getTableConfig(table)
    .columns.filter(column => !column.notNull && column.generated === undefined && !plain.has(column.name))
    .map(column => column.name)
}

const emptied = (columns: ReadonlyArray<string>) => columns.map(column => `"${column}" = NULL`)

/** Parses stored JSON; a text that does not parse is a text. */
export const readable = (raw: string): Json => {
  try {
    return parseJson(raw)
  } catch {
    return raw
  }
}

/**
 * Redacts the raw text of stored records, and empties every column that may be personal, of children too. It may empty
 * columns that are not personal: the next read of the record writes it again.
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
