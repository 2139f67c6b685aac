import { Effect } from "effect"
import type postgres from "postgres"
import { addCounts, type Counts, NO_COUNTS } from "../../core/counts.ts"
import type { ColumnValue, LookupStream, Row } from "../../core/stream.ts"
import { countRows } from "../../observe/metrics.ts"
import {
  arraysOf,
  lookUpByKey,
  prefixed,
  quoted,
  refuseAltered,
  typedRows,
  unnestOf,
} from "../../postgres/bulk.ts"
import { mayAlter } from "../../postgres/interference.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import { bookLost, type Lost } from "../ledger/fields.ts"
import { inLeaseTx, type Lease, type LeaseEffect } from "../ledger/lease.ts"
import { bookCounts, type Usage } from "../ledger/runs.ts"
import { bisect } from "../load/bisect.ts"
import { writeHistories } from "../load/histories.ts"
import { EVIDENCE_COLUMN, stateBookkeeping } from "../schema/columns.ts"
import { type Answer, UNSTORABLE } from "./lookup.ts"

/** Stores answers that are states of the asked keys. */

/** Lists the columns of the state itself: neither the key nor bookkeeping. */
const stateColumnsOf = (stream: LookupStream): ReadonlyArray<string> =>
  [...shapeOf(stream.table).types.keys()].filter(
    column => column !== stream.idColumn && !stateBookkeeping.has(column),
  )

/** Lists the columns in which another value is another state: those of the history, or all if there is none. */
const comparedColumnsOf = (stream: LookupStream): ReadonlyArray<string> =>
  stream.histories.find(({ kind }) => kind !== "first_seen")?.valueColumns ?? stateColumnsOf(stream)

/** Value of a column before the first answer: an empty list, or null. */
const emptyOf = (type: string | undefined): ColumnValue => (type?.endsWith("[]") ? [] : null)

/**
 * Books answers: the latest per key, and in the histories each state that differs from the one before. A failed look-up is
 * no state: it leaves the last one, and `check_error` says why it failed. An answer with a value that Postgres refuses
 * becomes a failed look-up.
 */
export const saveStates = (
  sql: postgres.Sql,
  lease: Lease,
  stream: LookupStream,
  answers: ReadonlyArray<Answer>,
  { lost, ...usage }: Usage & { readonly lost?: Lost },
): LeaseEffect<Counts> =>
  inLeaseTx(sql, lease, async tx => {
    // Before the answers replace the ones that carried these fields.
    if (lost !== undefined) await bookLost(tx, lease, lost)
    await lookUpByKey(tx)
    const write = (savepoint: Transaction, some: ReadonlyArray<Answer>) =>
      writeStates(savepoint, lease, stream, some)
    const written = await bisect(tx, answers, write, (answer, error) => {
      if (answer.raw === null) throw error
      return write(tx, [{ ...answer, row: null, raw: null, error: UNSTORABLE }])
    })
    const counts = written.reduce(addCounts, NO_COUNTS)
    await bookCounts(tx, lease, counts, usage)
    return counts
  }).pipe(
    Effect.tap(counts => countRows(lease, counts)),
    Effect.uninterruptible,
  )

/** The latest answer of the stored row `t`: its time, and its run. */
const ANSWERED_AT = "CASE WHEN t.check_error IS NULL THEN t.checked_at ELSE t.answered_at END"
const ANSWERED_BY = "CASE WHEN t.check_error IS NULL THEN t.run_id ELSE t.answered_run_id END"

/**
 * Books in the histories the last answer of each state that one of these answers ends. Until then the state's own row has it,
 * so that an answer that confirms a state writes one row.
 */
const confirmEnding = async (
  tx: Transaction,
  lease: Lease,
  stream: LookupStream,
  answers: ReadonlyArray<Answer>,
): Promise<void> => {
  const shape = shapeOf(stream.table)
  const key = stream.idColumn
  for (const { table, endColumn, valueColumns } of stream.histories) {
    const history = shapeOf(table)
    if (!history.types.has(EVIDENCE_COLUMN)) continue
    const columns = [key, ...valueColumns, "checked_at"]
    const rows = answers.flatMap(({ key: asked, checkedAt, row }) =>
      row === null ? [] : [{ ...row, [key]: asked, checked_at: checkedAt }],
    )
    if (rows.length === 0) continue
    await tx.unsafe(
      `UPDATE ${history.table} AS h SET last_confirmed_at = ${ANSWERED_AT}, last_run_id = ${ANSWERED_BY}
       FROM ${typedRows(shape, columns, 2)}
       JOIN ${shape.table} AS t ON t.account = $1 AND t."${key}" = n."${key}" AND t.checked_at <= n.checked_at
       WHERE h.account = $1 AND h."${key}" = n."${key}" AND h."${endColumn}" IS NULL AND t.raw IS NOT NULL
         AND (${prefixed("h", valueColumns)}) IS DISTINCT FROM (${prefixed("n", valueColumns)})`,
      [lease.account, ...arraysOf(columns, rows)],
    )
  }
}

const writeStates = async (
  tx: Transaction,
  lease: Lease,
  stream: LookupStream,
  answers: ReadonlyArray<Answer>,
): Promise<Counts> => {
  const shape = shapeOf(stream.table)
  const key = stream.idColumn
  const state = stateColumnsOf(stream)
  const compared = comparedColumnsOf(stream)
  const columns = [key, ...state, "checked_at", "check_error", "raw"]
  const rows = answers.map(
    ({ key: asked, checkedAt, row, raw, error }): Row => ({
      ...Object.fromEntries(
        state.map(column => [
          column,
          row === null ? emptyOf(shape.types.get(column)) : (row[column] ?? null),
        ]),
      ),
      [key]: asked,
      checked_at: checkedAt,
      check_error: error,
      raw,
    }),
  )
  const typed = columns.map(column => `s."${column}"::${shape.types.get(column)}`).join(", ")
  await confirmEnding(tx, lease, stream, answers)
  const isAnswered = "excluded.raw IS NOT NULL"
  const isOther = `${isAnswered} AND (t.raw IS NULL OR (${prefixed("t", compared)}) IS DISTINCT FROM (${prefixed("excluded", compared)}))`
  const written = await tx.unsafe<Array<{ key: string; inserted: boolean; changed: boolean }>>(
    `INSERT INTO ${shape.table} AS t (account, run_id, ${quoted(columns)}, changed_at)
       SELECT $1, $2::uuid, ${typed}, CASE WHEN s.raw IS NOT NULL THEN s.checked_at::timestamptz END
       FROM ${unnestOf(columns, 3)}
       ON CONFLICT (account, "${key}") DO UPDATE
       SET checked_at = excluded.checked_at, check_error = excluded.check_error, run_id = excluded.run_id,
         ${state.map(column => `"${column}" = CASE WHEN ${isAnswered} THEN excluded."${column}" ELSE t."${column}" END`).join(", ")},
         raw = coalesce(excluded.raw, t.raw),
         answered_at = CASE WHEN excluded.raw IS NULL THEN ${ANSWERED_AT} END,
         answered_run_id = CASE WHEN excluded.raw IS NULL THEN ${ANSWERED_BY} END,
         changed_at = CASE WHEN ${isOther} THEN excluded.checked_at ELSE t.changed_at END
       WHERE t.checked_at <= excluded.checked_at
       RETURNING "${key}" AS key, (xmax = 0) AS inserted, changed_at = checked_at AS changed`,
    [lease.account, lease.runId, ...arraysOf(columns, rows)],
  )
  if (written.length < answers.length || (await mayAlter(tx, shape)))
    await refuseAltered(tx, shape, {
      rows: rows.map(row => ({ ...row, account: lease.account })),
      guard: "t.checked_at < excluded.checked_at",
      taken: written.map(row => ({ account: lease.account, [key]: row.key })),
      isOther: `(t.checked_at, t.check_error) IS DISTINCT FROM (excluded.checked_at, excluded.check_error) OR (${isOther})`,
    })
  const states = answers.flatMap(({ key: id, checkedAt, row, raw }) =>
    row === null || raw === null
      ? []
      : [{ id, hash: "", readAt: checkedAt, raw, normalized: { row, sourceUpdatedAt: null } }],
  )
  await writeHistories(tx, lease, stream, states, states)
  const withoutAnswer = new Set(answers.flatMap(answer => (answer.isUnanswered ? [answer.key] : [])))
  const answered = written.filter(row => !withoutAnswer.has(row.key))
  const inserted = answered.filter(row => row.inserted).length
  const updated = answered.filter(row => !row.inserted && row.changed).length
  const unanswered = withoutAnswer.size
  return {
    ...NO_COUNTS,
    extracted: answers.length,
    inserted,
    updated,
    unchanged: answers.length - inserted - updated - unanswered,
    unanswered,
  }
}
