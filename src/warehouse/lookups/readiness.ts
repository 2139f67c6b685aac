import { Effect } from "effect"
import type postgres from "postgres"
import type { LeaseError, WarehouseError } from "../../core/errors.ts"
import type { LookupStream, Row } from "../../core/stream.ts"
import { arraysOf, lookUpByKey, refuseAltered, refuseLost, unnestOf } from "../../postgres/bulk.ts"
import { reading } from "../../postgres/connect.ts"
import { mayAlter } from "../../postgres/interference.ts"
import { type Shape, shapeOf, type Transaction } from "../../postgres/shape.ts"
import { fenced, type Held } from "../ledger/lease.ts"
import { BAD_VALUE } from "../load/versions.ts"

/**
 * The look-up side of the loader: which customers are to be asked whether a wallet may be issued to them, in
 * which order, and what becomes of the answers.
 */

/** One answer, or the reason why there is none. */
export interface Answer {
  readonly id: string
  readonly checkedAt: string
  readonly row: Row | null
  readonly raw: string | null
  readonly error: string | null
  /** There was no answer at all; a refusal is one. */
  readonly isUnanswered?: boolean
}

/** Whom a run asks, and how many it does not get to. */
export interface Queue {
  /** Look-ups that were queued: all that are due, or as many as the run may make. */
  readonly queued: number
  /** Customers who are to be asked, queued or not. */
  readonly due: number
  /** Of these, the ones who never were. */
  readonly neverAsked: number
}

/** Whom it waits longest for comes first: never asked, by when they were first seen; then the oldest answer. */
const DUE_ORDER = "checked_at NULLS FIRST, first_seen_at, customer_id"

/**
 * Queues the customers to be asked, at most `callsMax` (infinite for all), and counts all that are due, as of one
 * moment. Never asked first, then the oldest answer. A ready answer is asked again when it is older than
 * `recheckSeconds`, or than `newerThan`; one that is not ready, whose latest check failed, or whose customer was
 * written since, on every run. Reads each customer once, whatever the limit; writes only what is queued.
 */
export const queueDue = (
  sql: postgres.Sql,
  held: Held,
  stream: LookupStream,
  {
    recheckSeconds,
    newerThan = null,
    callsMax,
  }: { readonly recheckSeconds: number; readonly newerThan?: string | null; readonly callsMax: number },
): Effect.Effect<Queue, LeaseError | WarehouseError> =>
  fenced(sql, held, async tx => {
    await tx`
      DELETE FROM sync.due_keys WHERE account = ${held.account} AND stream = ${held.stream}`
    // Counted and sorted from one reading: two would be of two moments where somebody else writes in between. The
    // limit stands below the numbering, so that Postgres keeps the first few and does not sort them all.
    const [queue] = await tx.unsafe<[Queue]>(
      `WITH due AS MATERIALIZED (
         SELECT c.customer_id, c.first_seen_at, r.checked_at
         FROM warehouse.customers AS c
         LEFT JOIN ${shapeOf(stream.table).table} AS r ON r.account = c.account AND r.customer_id = c.customer_id
         WHERE c.account = $2 AND c.removed_at IS NULL AND (
           r.checked_at IS NULL OR r.is_wallet_ready IS NOT TRUE OR r.check_error IS NOT NULL
           OR c.read_at > r.checked_at
           OR r.checked_at < greatest(statement_timestamp() - make_interval(secs => $4), $6::timestamptz))
       ), queued AS (
         INSERT INTO sync.due_keys (run_id, account, stream, position, record_id)
         SELECT $1::uuid, $2, $3, row_number() OVER (ORDER BY ${DUE_ORDER}), customer_id
         FROM (SELECT * FROM due ORDER BY ${DUE_ORDER} LIMIT $5::bigint) AS first
         RETURNING 1
       )
       SELECT (SELECT count(*)::float8 FROM queued) AS queued, count(*)::float8 AS due,
         (count(*) FILTER (WHERE checked_at IS NULL))::float8 AS "neverAsked"
       FROM due`,
      [
        held.runId,
        held.account,
        held.stream,
        recheckSeconds,
        Number.isFinite(callsMax) ? callsMax : null,
        newerThan,
      ],
    )
    return queue
  })

/** Forgets what is left of the queue: the next run works out its own. */
export const clearQueue = (sql: postgres.Sql, held: Held): Effect.Effect<void, LeaseError | WarehouseError> =>
  fenced(sql, held, async tx => {
    await tx`DELETE FROM sync.due_keys WHERE account = ${held.account} AND stream = ${held.stream}`
  })

/** The next ids of the queue after a position. */
export const dueAfter = (
  sql: postgres.Sql,
  held: Held,
  position: number,
  limit: number,
): Effect.Effect<ReadonlyArray<string>, WarehouseError> =>
  reading(async () => {
    const rows = await sql<Array<{ id: string }>>`
      SELECT record_id AS id FROM sync.due_keys
      WHERE run_id = ${held.runId} AND account = ${held.account} AND stream = ${held.stream}
        AND position > ${position} ORDER BY position LIMIT ${limit}`
    return rows.map(({ id }) => id)
  })

/** What became of answers: each is one of the first four; `failed` ones are among these. */
export interface Saved {
  readonly inserted: number
  readonly updated: number
  readonly unchanged: number
  readonly unanswered: number
  readonly failed: number
}

type Usage = { readonly requests: number; readonly retries: number }

export const UNSTORABLE = "The answer holds a text or a number that Postgres cannot store."

/**
 * Books answers: the latest per customer, and a new period of history where the state (ready, missing fields)
 * is another than before. A failed check is no state: it leaves the last one, and says so in `check_error`.
 * Where Postgres refuses a value, halves the answers until the one at fault is alone, which becomes a failed check.
 */
export const saveAnswers = (
  sql: postgres.Sql,
  held: Held,
  stream: LookupStream,
  answers: ReadonlyArray<Answer>,
  usage: Usage,
): Effect.Effect<Saved, LeaseError | WarehouseError> =>
  saveTogether(sql, held, stream, answers, usage).pipe(
    Effect.catchIf(
      error => error._tag === "WarehouseError" && BAD_VALUE.test(error.code ?? ""),
      (error): Effect.Effect<Saved, LeaseError | WarehouseError> => {
        const [only] = answers
        if (answers.length === 1 && only !== undefined) {
          if (only.raw === null) return Effect.fail(error)
          const failed = { ...only, row: null, raw: null, error: UNSTORABLE }
          return saveAnswers(sql, held, stream, [failed], usage)
        }
        const middle = answers.length >> 1
        const halves = [answers.slice(0, middle), answers.slice(middle)]
        return Effect.map(
          Effect.forEach(halves, half => saveAnswers(sql, held, stream, half, usage)),
          ([left, right]) => ({
            inserted: left!.inserted + right!.inserted,
            updated: left!.updated + right!.updated,
            unchanged: left!.unchanged + right!.unchanged,
            unanswered: left!.unanswered + right!.unanswered,
            failed: left!.failed + right!.failed,
          }),
        )
      },
    ),
  )

/** The table of unbroken times in one state, as far as answers go into it. */
const HISTORY: Shape = {
  name: "wallet_readiness_history",
  table: '"warehouse"."wallet_readiness_history"',
  key: ["account", "customer_id", "valid_from"],
  types: new Map([
    ["account", "text"],
    ["customer_id", "text"],
    ["valid_from", "timestamp with time zone"],
    ["is_wallet_ready", "boolean"],
    ["missing_fields", "text[]"],
  ]),
}

/** Records the states that answers tell of, each from when it began. Throws `NotStored` where one is not kept. */
const recordStates = async (
  tx: Transaction,
  held: Held,
  columns: ReadonlyArray<string>,
  states: ReadonlyArray<Row>,
): Promise<void> => {
  await tx.unsafe(
    `WITH other AS (
       SELECT s.customer_id, s.is_wallet_ready::boolean AS is_wallet_ready, s.missing_fields::text[] AS missing_fields,
         s.checked_at::timestamptz AS valid_from, h.valid_from AS ended
       FROM ${unnestOf(columns, 2)}
       LEFT JOIN warehouse.wallet_readiness_history AS h
         ON h.account = $1 AND h.customer_id = s.customer_id AND h.valid_to IS NULL
       WHERE h.customer_id IS NULL
         OR (h.valid_from < s.checked_at::timestamptz
           AND (h.is_wallet_ready, h.missing_fields) IS DISTINCT FROM (s.is_wallet_ready::boolean, s.missing_fields::text[]))
     ), closed AS (
       UPDATE warehouse.wallet_readiness_history AS h SET valid_to = o.valid_from FROM other AS o
       WHERE h.account = $1 AND h.customer_id = o.customer_id AND h.valid_from = o.ended
     )
     INSERT INTO warehouse.wallet_readiness_history (account, customer_id, valid_from, is_wallet_ready, missing_fields)
     SELECT $1, customer_id, valid_from, is_wallet_ready, missing_fields FROM other
     ON CONFLICT DO NOTHING`,
    [held.account, ...arraysOf(columns, states)],
  )
  if (!(await mayAlter(tx, HISTORY))) return
  await tx`SET CONSTRAINTS ALL IMMEDIATE`
  const [left] = await tx.unsafe<Array<{ count: number }>>(
    `SELECT count(*)::int FROM ${unnestOf(columns, 2)}
     CROSS JOIN LATERAL (
       SELECT count(*) AS open, bool_and(h.valid_from > s.checked_at::timestamptz
         OR (h.is_wallet_ready, h.missing_fields) IS NOT DISTINCT FROM (s.is_wallet_ready::boolean, s.missing_fields::text[])) AS is_recorded
       FROM warehouse.wallet_readiness_history AS h
       WHERE h.account = $1 AND h.customer_id = s.customer_id AND h.valid_to IS NULL
     ) AS h
     WHERE h.open <> 1 OR NOT h.is_recorded`,
    [held.account, ...arraysOf(columns, states)],
  )
  refuseLost(HISTORY.table, left!.count, states.length)
}

const saveTogether = (
  sql: postgres.Sql,
  held: Held,
  stream: LookupStream,
  answers: ReadonlyArray<Answer>,
  usage: Usage,
): Effect.Effect<Saved, LeaseError | WarehouseError> =>
  fenced(sql, held, async tx => {
    const { table } = shapeOf(stream.table)
    await lookUpByKey(tx)
    const columns = ["customer_id", "is_wallet_ready", "missing_fields", "checked_at", "check_error", "raw"]
    const rows = answers.map(({ id, checkedAt, row, raw, error }) => ({
      customer_id: id,
      is_wallet_ready: row?.is_wallet_ready ?? null,
      missing_fields: row?.missing_fields ?? [],
      checked_at: checkedAt,
      check_error: error,
      raw,
    }))
    const isState = "excluded.is_wallet_ready IS NOT NULL"
    const isOther = `${isState} AND (t.is_wallet_ready, t.missing_fields) IS DISTINCT FROM (excluded.is_wallet_ready, excluded.missing_fields)`
    const taken = await tx.unsafe<Array<{ id: string; inserted: boolean; changed: boolean }>>(
      `INSERT INTO ${table} AS t
         (account, run_id, customer_id, is_wallet_ready, missing_fields, checked_at, check_error, raw, changed_at)
       SELECT $1, $2::uuid, s.customer_id, s.is_wallet_ready::boolean, s.missing_fields::text[],
         s.checked_at::timestamptz, s.check_error, s.raw::jsonb,
         CASE WHEN s.is_wallet_ready IS NOT NULL THEN s.checked_at::timestamptz END
       FROM ${unnestOf(columns, 3)}
       ON CONFLICT (account, customer_id) DO UPDATE
       SET checked_at = excluded.checked_at, check_error = excluded.check_error, run_id = excluded.run_id,
         is_wallet_ready = coalesce(excluded.is_wallet_ready, t.is_wallet_ready),
         missing_fields = CASE WHEN ${isState} THEN excluded.missing_fields ELSE t.missing_fields END,
         raw = coalesce(excluded.raw, t.raw),
         changed_at = CASE WHEN ${isOther} THEN excluded.checked_at ELSE t.changed_at END
       WHERE t.checked_at <= excluded.checked_at
       RETURNING customer_id AS id, (xmax = 0) AS inserted, changed_at = checked_at AS changed`,
      [held.account, held.runId, ...arraysOf(columns, rows)],
    )
    if (taken.length < answers.length || (await mayAlter(tx, shapeOf(stream.table))))
      await refuseAltered(tx, shapeOf(stream.table), {
        rows: rows.map(row => ({ ...row, account: held.account })),
        guard: "t.checked_at < excluded.checked_at",
        taken: taken.map(({ id }) => ({ account: held.account, customer_id: id })),
        isOther: `(t.checked_at, t.check_error) IS DISTINCT FROM (excluded.checked_at, excluded.check_error) OR (${isOther})`,
      })
    await recordStates(
      tx,
      held,
      columns,
      rows.filter(row => row.is_wallet_ready !== null),
    )
    const withoutAnswer = new Set(answers.flatMap(({ id, isUnanswered }) => (isUnanswered ? [id] : [])))
    const answered = taken.filter(row => !withoutAnswer.has(row.id))
    const inserted = answered.filter(row => row.inserted).length
    const updated = answered.filter(row => !row.inserted && row.changed).length
    const unanswered = withoutAnswer.size
    const counts = {
      inserted,
      updated,
      unchanged: answers.length - inserted - updated - unanswered,
      unanswered,
      failed: answers.filter(answer => answer.error !== null).length,
    }
    await tx`
      UPDATE sync.stream_runs
      SET extracted = extracted + ${answers.length}, inserted = inserted + ${counts.inserted},
        updated = updated + ${counts.updated}, unchanged = unchanged + ${counts.unchanged},
        unanswered = unanswered + ${counts.unanswered}, requests = ${usage.requests}, retries = ${usage.retries}
      WHERE run_id = ${held.runId} AND account = ${held.account} AND stream = ${held.stream}`
    return counts
  })
