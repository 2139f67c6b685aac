import { Effect } from "effect"
import type postgres from "postgres"
import type { LeaseError, WarehouseError } from "../../core/errors.ts"
import type { ColumnValue, LookupStream, Row } from "../../core/stream.ts"
import { arraysOf, lookUpByKey, quoted, refuseAltered, unnestOf } from "../../postgres/bulk.ts"
import { mayAlter } from "../../postgres/interference.ts"
import { shapeOf } from "../../postgres/shape.ts"
import { inLeaseTx, type Lease } from "../ledger/lease.ts"
import { writeHistories } from "../load/dependents.ts"
import { BAD_VALUE } from "../load/versions.ts"
import { stateBookkeeping } from "../schema/columns.ts"
import { type Answer, UNSTORABLE, type Usage } from "./answer.ts"

/** Stores answers that are states of what was asked about. */

/** Columns of the state itself: neither the key nor bookkeeping. */
const stateColumnsOf = (stream: LookupStream): ReadonlyArray<string> =>
  [...shapeOf(stream.table).types.keys()].filter(
    column => column !== stream.idColumn && !stateBookkeeping.has(column),
  )

/** Columns in which another value is another state: those of the history of its periods, all where there is none. */
const comparedColumnsOf = (stream: LookupStream): ReadonlyArray<string> =>
  stream.histories.find(({ kind }) => kind !== "first_seen")?.valueColumns ?? stateColumnsOf(stream)

/** Stands in a column while nothing was answered yet: a list of nothing, or null. */
const emptyOf = (type: string | undefined): ColumnValue => (type?.endsWith("[]") ? [] : null)

/** What became of answers: each is one of these. */
export interface Saved {
  readonly inserted: number
  readonly updated: number
  readonly unchanged: number
  readonly unanswered: number
}

/**
 * Books answers: the latest per key, and in the histories a state that is another than before. A failed look-up is no state:
 * it leaves the last one, and says so in `check_error`. Where Postgres refuses a value, halves the answers until the one at
 * fault is alone, which becomes a failed look-up.
 */
export const saveStates = (
  sql: postgres.Sql,
  lease: Lease,
  stream: LookupStream,
  answers: ReadonlyArray<Answer>,
  usage: Usage,
): Effect.Effect<Saved, LeaseError | WarehouseError> =>
  saveTogether(sql, lease, stream, answers, usage).pipe(
    Effect.catchIf(
      error => error._tag === "WarehouseError" && BAD_VALUE.test(error.code ?? ""),
      (error): Effect.Effect<Saved, LeaseError | WarehouseError> => {
        const [only] = answers
        if (answers.length === 1 && only !== undefined) {
          if (only.raw === null) return Effect.fail(error)
          const failed = { ...only, row: null, raw: null, error: UNSTORABLE }
          return saveStates(sql, lease, stream, [failed], usage)
        }
        const middle = answers.length >> 1
        const halves = [answers.slice(0, middle), answers.slice(middle)]
        return Effect.map(
          Effect.forEach(halves, half => saveStates(sql, lease, stream, half, usage)),
          ([left, right]) => ({
            inserted: left!.inserted + right!.inserted,
            updated: left!.updated + right!.updated,
            unchanged: left!.unchanged + right!.unchanged,
            unanswered: left!.unanswered + right!.unanswered,
          }),
        )
      },
    ),
  )

const prefixed = (alias: string, columns: ReadonlyArray<string>): string =>
  columns.map(column => `${alias}."${column}"`).join(", ")

const saveTogether = (
  sql: postgres.Sql,
  lease: Lease,
  stream: LookupStream,
  answers: ReadonlyArray<Answer>,
  usage: Usage,
): Effect.Effect<Saved, LeaseError | WarehouseError> =>
  inLeaseTx(sql, lease, async tx => {
    const shape = shapeOf(stream.table)
    const key = stream.idColumn
    const state = stateColumnsOf(stream)
    const compared = comparedColumnsOf(stream)
    await lookUpByKey(tx)
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
    const isAnswered = "excluded.raw IS NOT NULL"
    const isOther = `${isAnswered} AND (t.raw IS NULL OR (${prefixed("t", compared)}) IS DISTINCT FROM (${prefixed("excluded", compared)}))`
    const taken = await tx.unsafe<Array<{ key: string; inserted: boolean; changed: boolean }>>(
      `INSERT INTO ${shape.table} AS t (account, run_id, ${quoted(columns)}, changed_at)
       SELECT $1, $2::uuid, ${typed}, CASE WHEN s.raw IS NOT NULL THEN s.checked_at::timestamptz END
       FROM ${unnestOf(columns, 3)}
       ON CONFLICT (account, "${key}") DO UPDATE
       SET checked_at = excluded.checked_at, check_error = excluded.check_error, run_id = excluded.run_id,
         ${state.map(column => `"${column}" = CASE WHEN ${isAnswered} THEN excluded."${column}" ELSE t."${column}" END`).join(", ")},
         raw = coalesce(excluded.raw, t.raw),
         changed_at = CASE WHEN ${isOther} THEN excluded.checked_at ELSE t.changed_at END
       WHERE t.checked_at <= excluded.checked_at
       RETURNING "${key}" AS key, (xmax = 0) AS inserted, changed_at = checked_at AS changed`,
      [lease.account, lease.runId, ...arraysOf(columns, rows)],
    )
    if (taken.length < answers.length || (await mayAlter(tx, shape)))
      await refuseAltered(tx, shape, {
        rows: rows.map(row => ({ ...row, account: lease.account })),
        guard: "t.checked_at < excluded.checked_at",
        taken: taken.map(row => ({ account: lease.account, [key]: row.key })),
        isOther: `(t.checked_at, t.check_error) IS DISTINCT FROM (excluded.checked_at, excluded.check_error) OR (${isOther})`,
      })
    const states = answers.flatMap(({ key: id, checkedAt, row, raw }) =>
      row === null || raw === null
        ? []
        : [{ id, hash: "", readAt: checkedAt, raw, normalized: { row, sourceUpdatedAt: null } }],
    )
    await writeHistories(tx, lease, stream, states, states)
    const withoutAnswer = new Set(answers.flatMap(answer => (answer.isUnanswered ? [answer.key] : [])))
    const answered = taken.filter(row => !withoutAnswer.has(row.key))
    const inserted = answered.filter(row => row.inserted).length
    const updated = answered.filter(row => !row.inserted && row.changed).length
    const unanswered = withoutAnswer.size
    const counts = {
      inserted,
      updated,
      unchanged: answers.length - inserted - updated - unanswered,
      unanswered,
    }
    await tx`
      UPDATE sync.stream_runs
      SET extracted = extracted + ${answers.length}, inserted = inserted + ${counts.inserted},
        updated = updated + ${counts.updated}, unchanged = unchanged + ${counts.unchanged},
        unanswered = unanswered + ${counts.unanswered}, requests = ${usage.requests}, retries = ${usage.retries}
      WHERE run_id = ${lease.runId} AND account = ${lease.account} AND stream = ${lease.stream}`
    return counts
  })
