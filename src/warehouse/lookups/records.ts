import { Effect } from "effect"
import type postgres from "postgres"
import type { Counts } from "../../core/counts.ts"
import type { PassFields } from "../../core/documentedFields.ts"
import { recordIdOf } from "../../core/recordId.ts"
import type { Guarded, LookupStream } from "../../core/stream.ts"
import { arrayLiteral, arraysOf, unnestOf } from "../../postgres/bulk.ts"
import type { Transaction } from "../../postgres/shape.ts"
import type { Lease, LeaseEffect } from "../ledger/lease.ts"
import type { Usage } from "../ledger/runs.ts"
import { prepareBatch, writeBatch } from "../load/loader.ts"
import type { Beside } from "../load/prepare.ts"
import { type Answer, REJECTED } from "./lookup.ts"

/** Stores answers that are records: through the loader, and books the look-ups in the same commit. */

/** Books the look-ups of keys. `changed` are the keys with other records than before. */
const bookAsked = async (
  tx: Transaction,
  lease: Lease,
  answers: ReadonlyArray<Answer>,
  changed: ReadonlyArray<string>,
): Promise<void> => {
  const columns = ["record_id", "checked_at", "check_error"]
  const rows = answers.map(({ key, checkedAt, error }) => ({
    record_id: key,
    checked_at: checkedAt,
    check_error: error,
  }))
  await tx.unsafe(
    `INSERT INTO sync.lookup_keys AS t (account, stream, run_id, record_id, checked_at, changed_at, check_error)
     SELECT $1, $2, $3::uuid, s.record_id, s.checked_at::timestamptz, s.checked_at::timestamptz, s.check_error
     FROM ${unnestOf(columns, 5)}
     ON CONFLICT (account, stream, record_id) DO UPDATE
     SET checked_at = excluded.checked_at, check_error = excluded.check_error, run_id = excluded.run_id,
       changed_at = CASE
         WHEN t.record_id = ANY ($4::text[]) OR (t.check_error IS NULL) <> (excluded.check_error IS NULL)
         THEN excluded.checked_at ELSE t.changed_at END
     WHERE t.checked_at <= excluded.checked_at`,
    [lease.account, lease.stream, lease.runId, arrayLiteral(changed), ...arraysOf(columns, rows)],
  )
}

/**
 * Saves answers. Uninterruptible, so that a run that is interrupted saves the answers in hand. The documented fields that
 * were read are added to `fields`.
 */
export const saveRecords = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Guarded<LookupStream>,
  answers: ReadonlyArray<Answer>,
  progress: Usage & { readonly fields: { current: PassFields }; readonly beside: Beside },
): LeaseEffect<Counts> =>
  Effect.gen(function* () {
    const extracted = answers.flatMap(({ records = [], checkedAt }) =>
      records.map(record => ({ record, readAt: new Date(checkedAt) })),
    )
    const { beside, ...usage } = progress
    const prepared = yield* prepareBatch(sql, lease, stream, extracted, [], beside)
    const written = new Set(prepared.versions.map(({ id }) => id))
    const holds = ({ records = [] }: Answer, ids: ReadonlySet<string | null>) =>
      records.some(record => ids.has(recordIdOf(stream.source, record)))
    return yield* writeBatch(sql, lease, stream, prepared, {
      ...usage,
      passId: null,
      position: null,
      pages: 0,
      unanswered: answers.filter(({ isUnanswered }) => isUnanswered).length,
      alsoBook: async (tx, { rejects }) => {
        // Postgres may refuse a record that decodes.
        const rejected = new Set(rejects.flatMap(({ id }) => id ?? []))
        await bookAsked(
          tx,
          lease,
          answers.map(answer => (holds(answer, rejected) ? { ...answer, error: REJECTED } : answer)),
          answers.filter(answer => holds(answer, written)).map(({ key }) => key),
        )
      },
    })
  }).pipe(Effect.uninterruptible)
