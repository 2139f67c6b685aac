import { Effect, Either } from "effect"
import type postgres from "postgres"
import { contentHash, stringifyJson } from "../../core/json.ts"
import { keyFingerprint, type Privacy } from "../../core/privacy.ts"
import { type Guarded, isList, type Stream } from "../../core/stream.ts"
import type { StreamProgress } from "../../observe/progress.ts"
import { outsideTransaction } from "../../postgres/pool.ts"
import { type SqlEffect, shapeOf, type Transaction } from "../../postgres/shape.ts"
import { query, read } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease, type LeaseEffect } from "../ledger/lease.ts"
import { abandonPass } from "../ledger/passes.ts"
import { decode } from "../load/decode.ts"
import { blank, readable } from "./emptyPersonalColumns.ts"
import { rewriteRecords } from "./rewrite.ts"

/**
 * Privacy modes: how personal data is stored, per account and stream (`sync.privacy`). If the settings name another mode,
 * the stored records are rewritten before anything is read. After that nothing is in clear in the modes `hash` and `drop`,
 * not even in records that are no longer listed.
 */

/** Rejects that are rewritten together. */
const REJECTS_BATCH = 200

interface State {
  readonly mode: Privacy["mode"]
  readonly fingerprint: string | null
  readonly isApplied: boolean
}

/** Result of bringing stored records into the mode of the settings. */
export interface Settled {
  /** Stored records cannot be brought into the mode without reading all of them again. */
  readonly mustReadAll: boolean
  readonly note: string | null
}

const KEPT: State = { mode: "keep", fingerprint: null, isApplied: true }

const SETTLED: Settled = { mustReadAll: false, note: null }

const tablesOf = (stream: Stream): ReadonlyArray<string> =>
  [stream.table, ...stream.children.map(({ table }) => table)].map(table => shapeOf(table).table)

/** Reads the booked mode of stored records, applied or not. Without one they are from before there were modes. */
const stateOf = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
): SqlEffect<{ readonly booked: State | undefined; readonly isEmpty: boolean }> =>
  read(async () => {
    const [booked] = await sql<Array<State>>`
      SELECT mode, key_fingerprint AS fingerprint, is_applied AS "isApplied" FROM sync.privacy
      WHERE account = ${lease.account} AND stream = ${lease.stream}`
    const [stored] = await sql.unsafe(
      `SELECT 1 WHERE EXISTS (SELECT FROM ${shapeOf(stream.table).table} WHERE account = $1)
         OR EXISTS (SELECT FROM sync.rejects WHERE account = $1 AND stream = $2)`,
      [lease.account, lease.stream],
    )
    return { booked, isEmpty: stored === undefined }
  })

const book = (tx: Transaction, lease: Lease, { mode, fingerprint, isApplied }: State) => tx`
  INSERT INTO sync.privacy AS p (account, stream, mode, key_fingerprint, is_applied, changed_at)
  VALUES (${lease.account}, ${lease.stream}, ${mode}, ${fingerprint}, ${isApplied}, clock_timestamp())
  ON CONFLICT (account, stream) DO UPDATE
  SET mode = excluded.mode, key_fingerprint = excluded.key_fingerprint, is_applied = excluded.is_applied,
    changed_at = excluded.changed_at`

const isSame = (a: State, b: State): boolean => a.mode === b.mode && a.fingerprint === b.fingerprint

const bookApplied = (tx: Transaction, lease: Lease) => tx`
  UPDATE sync.privacy SET is_applied = true, changed_at = clock_timestamp()
  WHERE account = ${lease.account} AND stream = ${lease.stream} AND NOT is_applied`

/**
 * Closes the rejects without an id. Read again in the new mode they are other rejects, so they would count twice until
 * passes prove the former ones to be gone.
 */
const closeWithoutId = (tx: Transaction, lease: Lease) => tx`
  UPDATE sync.rejects SET unlisted_at = clock_timestamp()
  WHERE account = ${lease.account} AND stream = ${lease.stream} AND record_id IS NULL AND unlisted_at IS NULL
    AND kind IN ('record', 'merchant')`

interface StoredReject {
  readonly rejectId: string
  readonly kind: "record" | "merchant"
  readonly recordId: string | null
  readonly field: string | null
  readonly reason: string
  readonly raw: string
  readonly contentHash: string
  readonly readAt: string
}

/** Redacts a batch of rejects and their reasons. Returns the id of the last one; null after the last batch. */
const rewriteRejectsAfter = async (tx: Transaction, lease: Lease, stream: Guarded, after: string) => {
  const stored = await tx<Array<StoredReject>>`
    SELECT reject_id::text AS "rejectId", kind, record_id AS "recordId", field, reason, raw, content_hash AS "contentHash",
      read_at AS "readAt"
    FROM sync.rejects
    WHERE account = ${lease.account} AND stream = ${lease.stream} AND reject_id > ${after}::text::bigint
      AND kind IN ('record', 'merchant')
    ORDER BY reject_id LIMIT ${REJECTS_BATCH}`
  for (const { rejectId, kind, recordId, raw, contentHash: stale, readAt, ...merchantReject } of stored) {
    const record = stream.redact(readable(raw))
    const hash = contentHash(record, stream.version)
    const text = stringifyJson(record)
    // The hash alone is not enough: a replay in the new mode may have set it before.
    if (hash === stale && text === raw) continue
    const decoded = decode(stream, { record, readAt, id: recordId, hash })
    const refused = {
      field: null,
      reason: "record: was refused before personal data was taken out of it; replay it",
    }
    // Another merchant's record is a reject even if it decodes. Its reason quotes no value.
    const { field, reason } =
      kind === "merchant" ? merchantReject : Either.isLeft(decoded) ? decoded.left : refused
    const { count } = await tx`
      UPDATE sync.rejects AS r
      SET raw = ${text}, content_hash = ${hash}, field = ${field}, reason = ${reason}
      WHERE reject_id = ${rejectId}::text::bigint AND NOT EXISTS (
        SELECT FROM sync.rejects AS o
        WHERE o.account = r.account AND o.stream = r.stream AND o.content_hash = ${hash}
          AND o.kind IN ('record', 'merchant')
          AND o.reject_id <> r.reject_id)`
    // Redaction made two rejects identical: one is kept.
    if (count === 0) await tx`DELETE FROM sync.rejects WHERE reject_id = ${rejectId}::text::bigint`
  }
  return stored.at(-1)?.rejectId ?? null
}

const rewriteRejects = (sql: postgres.Sql, lease: Lease, stream: Guarded): LeaseEffect<void> =>
  Effect.iterate("0" as string | null, {
    while: after => after !== null,
    body: after => inLeaseTx(sql, lease, tx => rewriteRejectsAfter(tx, lease, stream, after!)),
  })

/**
 * Frees the space of rewritten rows, so that new rows overwrite them, and removes their values from the planner's
 * statistics. Best effort: the login may lack the right, or an old snapshot may still need the rows.
 */
export const vacuum = (sql: postgres.Sql, tables: Iterable<string>): Effect.Effect<void> =>
  Effect.forEach(
    new Set(tables),
    table => Effect.ignore(query(() => outsideTransaction(sql, `VACUUM (ANALYZE) ${table}`))),
    {
      discard: true,
    },
  )

/**
 * Brings the stored records of a stream into the mode of the settings, before anything is read. May be interrupted and
 * repeated: `sync.privacy` shows that it is not done yet.
 *
 * keep → hash, and every mode → drop, need only stored records. hash → keep, and a new key, do not: then no more is in
 * clear than before, and all listed records have to be read again. `tell` receives the progress of the rewriting, and zeros
 * at its end, because the run counts what it reads from zero.
 */
export const settlePrivacy = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Guarded,
  privacy: Privacy,
  tell: (soFar: Pick<StreamProgress, "extracted" | "updated" | "message">) => Effect.Effect<void>,
): LeaseEffect<Settled> =>
  Effect.gen(function* () {
    const wanted: State = { mode: privacy.mode, fingerprint: keyFingerprint(privacy), isApplied: true }
    const { booked, isEmpty } = yield* stateOf(sql, lease, stream)
    const before: State = isEmpty ? wanted : (booked ?? KEPT)
    if (before.isApplied && isSame(before, wanted)) {
      if (booked === undefined || !booked.isApplied || !isSame(booked, wanted))
        yield* inLeaseTx(sql, lease, async tx => void (await book(tx, lease, wanted)))
      return SETTLED
    }
    if (!isSame(before, wanted)) {
      // First of all: a resumed pass would take its earlier records for read in the new mode.
      yield* abandonPass(sql, lease)
      yield* inLeaseTx(sql, lease, async tx => void (await book(tx, lease, { ...wanted, isApplied: false })))
    }
    const isComputed = wanted.mode === "drop" || (before.mode === "keep" && before.isApplied)
    if (!isComputed) yield* inLeaseTx(sql, lease, async tx => void (await closeWithoutId(tx, lease)))
    if (wanted.mode === "keep") return { mustReadAll: true, note: null }
    yield* Effect.logInfo(`personal data: ${wanted.mode} what is stored in the mode ${before.mode}`)
    const { counts } = yield* rewriteRecords(sql, lease, stream, stream.redact, {
      book: (tx, { failures }) =>
        blank(
          tx,
          lease.account,
          stream,
          failures.map(({ id }) => id),
          stream.redact,
        ),
      tell: ({ counts: { extracted, updated } }) =>
        tell({ extracted, updated, message: "personal data: rewriting what is stored" }),
    })
    const failed = counts.rejected
    yield* rewriteRejects(sql, lease, stream)
    yield* vacuum(sql, [...tablesOf(stream), "sync.rejects"])
    yield* tell({ extracted: 0, updated: 0, message: null })
    const mustReadAll = !isComputed || failed > 0
    if (!mustReadAll) yield* inLeaseTx(sql, lease, async tx => void (await bookApplied(tx, lease)))
    const note =
      failed > 0
        ? `${failed} stored records can no longer be read as they are: their personal columns were emptied until they are read again.`
        : null
    return { mustReadAll, note }
  })

/** Reads when the current mode was requested; rows read after that are stored in it. Returns `infinity` if no mode is booked. */
export const modeChangedAt = (sql: postgres.Sql, lease: Lease): SqlEffect<string> =>
  read(async () => {
    const [state] = await sql<Array<{ changed_at: string }>>`
      SELECT changed_at FROM sync.privacy WHERE account = ${lease.account} AND stream = ${lease.stream}`
    return state?.changed_at ?? "infinity"
  })

/**
 * Books the mode as applied, after all listed records were read again. Returns a note with the number of records that could
 * not be read again, because they are no longer listed; null if there are none.
 */
export const confirmPrivacy = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  privacy: Privacy,
): LeaseEffect<string | null> =>
  inLeaseTx(sql, lease, async tx => {
    await bookApplied(tx, lease)
    if (!isList(stream)) return null
    const { table } = shapeOf(stream.table)
    const [{ count } = { count: 0 }] = await tx.unsafe<Array<{ count: number }>>(
      `SELECT count(*)::int FROM ${table} AS t WHERE t.account = $1 AND (t.removed_at IS NOT NULL OR EXISTS (
         SELECT FROM sync.missing_keys AS m WHERE m.account = $1 AND m.stream = $2 AND m.record_id = t."${stream.idColumn}"))`,
      [lease.account, lease.stream],
    )
    return count === 0
      ? null
      : `PAYCOMBAT_PII=${privacy.mode}: ${count} records that are no longer listed could not be read again and stay as they were stored.`
  })
