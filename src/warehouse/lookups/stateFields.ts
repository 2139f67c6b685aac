import type postgres from "postgres"
import { fieldPaths, NO_FIELDS, type PassFields, type Tally, tallyOf } from "../../core/documentedFields.ts"
import { type Json, parseJson } from "../../core/json.ts"
import { isOpen } from "../../core/openRecord.ts"
import type { LookupStream } from "../../core/stream.ts"
import type { SqlEffect } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import { type Lost, lostFields } from "../ledger/fields.ts"
import type { Answer } from "./lookup.ts"

/** Documented fields in the answers of look-ups that become states. */

/** Fields of some answers, and fields that only the stored answers about the same keys carry. */
export interface StateFields {
  readonly fields: PassFields
  readonly lost: Lost
}

/**
 * Counts the fields of answers. An empty list counts as a value, because its field was not renamed. Only answers that may
 * still change count as lacking a field: a settled one, such as that about a ready customer, may lack fields of an open one.
 */
const tallyOfStates = (stream: LookupStream, all: Iterable<Json>, open: Iterable<Json>): Tally => {
  const paths = fieldPaths(stream.record)
  const lacking = tallyOf(paths, [...open])
  return Object.fromEntries(
    Object.entries(tallyOf(paths, [...all])).map(([name, { carried, empty }]) => [
      name,
      { carried: carried + empty, empty: 0, lacked: lacking[name]?.lacked ?? 0 },
    ]),
  )
}

/** Compares answers with the stored ones, before they are saved. */
export const stateFields = (
  sql: postgres.Sql,
  account: string,
  stream: LookupStream,
  answers: ReadonlyArray<Answer>,
): SqlEffect<StateFields> =>
  read(async () => {
    const rule = stream.source.recheck.open
    const all: Array<Json> = []
    const open = new Map<string, Json>()
    for (const { key, row, raw } of answers) {
      if (row === null || raw === null) continue
      const sent = parseJson(raw)
      all.push(sent)
      if (rule === undefined || isOpen(rule, row)) open.set(key, sent)
    }
    const tally = tallyOfStates(stream, all, open.values())
    // All answers are new, so one that carries a field shows that the API sends it again.
    const decoded = Object.fromEntries(Object.entries(tally).map(([name, { carried }]) => [name, carried]))
    return {
      fields: { ...NO_FIELDS, tally, known: open.size, decoded },
      lost: await lostFields(sql, account, stream, open),
    }
  })
