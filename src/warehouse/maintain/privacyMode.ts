import { Effect, Either } from "effect"
import type postgres from "postgres"
import type { LeaseError, WarehouseError } from "../../core/errors.ts"
import { contentHash, type Json, parseJson, stringifyJson } from "../../core/json.ts"
import { keyFingerprint, type Privacy } from "../../core/privacy.ts"
import { type Guarded, isList, type Stream } from "../../core/stream.ts"
import type { StreamProgress } from "../../observe/progress.ts"
import { outsideTransaction } from "../../postgres/pool.ts"
import { shapeOf, type Transaction } from "../../postgres/shape.ts"
import { query, read } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease } from "../ledger/lease.ts"
import { abandonPass } from "../ledger/runs.ts"
import { decode } from "../load/prepare.ts"
import { blank } from "./emptyPersonalColumns.ts"
import { rewriteRecords } from "./rewrite.ts"

/**
 * How personal data is stored, per account and stream: `sync.privacy`. Where the settings say otherwise, what is
 * stored is rewritten before anything is read: who asked for `hash` or `drop` must find nothing in clear, also of
 * records that are no longer listed.
 */

/** Rejects that are rewritten together. */
const REJECTS_BATCH = 200

interface State {
  readonly mode: Privacy["mode"]
  readonly fingerprint: string | null
  readonly isApplied: boolean
}

/** What is to be done so that all that is stored is as the settings say. */
export interface Settled {
  /** What is stored cannot be made from what was stored: only reading all of it again can. */
  readonly mustReadAll: boolean
  readonly note: string | null
}

const KEPT: State = { mode: "keep", fingerprint: null, isApplied: true }

const SETTLED: Settled = { mustReadAll: false, note: null }

const tablesOf = (stream: Stream): ReadonlyArray<string> =>
  [stream.table, ...stream.children.map(({ table }) => table)].map(table => shapeOf(table).table)

/** The mode in which all that is stored is, or was to be brought: what nobody booked is from before there were modes. */
const stateOf = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
): Effect.Effect<{ readonly booked: State | undefined; readonly isEmpty: boolean }, WarehouseError> =>
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
 * Closes the rejects without an id: read again in the new mode they are other rejects, and would count twice until passes
 * proved the former ones to be gone.
 */
const closeNameless = (tx: Transaction, lease: Lease) => tx`
  UPDATE sync.rejects SET unlisted_at = clock_timestamp()
  WHERE account = ${lease.account} AND stream = ${lease.stream} AND record_id IS NULL AND unlisted_at IS NULL
    AND kind IN ('record', 'merchant')`

const readable = (raw: string): Json => {
  try {
    return parseJson(raw)
  } catch {
    return raw
  }
}

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

/** Redacts a batch of rejects, with their reasons; answers the last one's id. */
const rewriteRejectsAfter = async (tx: Transaction, lease: Lease, stream: Guarded, after: string) => {
  const stored = await tx<Array<StoredReject>>`
    SELECT reject_id::text AS "rejectId", kind, record_id AS "recordId", field, reason, raw, content_hash AS "contentHash",
      read_at AS "readAt"
    FROM sync.rejects
    WHERE account = ${lease.account} AND stream = ${lease.stream} AND reject_id > ${after}::text::bigint
      AND kind IN ('record', 'merchant')
    ORDER BY reject_id LIMIT ${REJECTS_BATCH}`
  for (const { rejectId, kind, recordId, raw, contentHash: stale, readAt, ...told } of stored) {
    const record = stream.redact(readable(raw))
    const hash = contentHash(record, stream.version)
    const text = stringifyJson(record)
    // The hash alone does not tell: it is another's where a replay was made in the new mode before this.
    if (hash === stale && text === raw) continue
    const decoded = decode(stream, { record, readAt, id: recordId, hash })
    const refused = {
      field: null,
      reason: "record: was refused before personal data was taken out of it; replay it",
    }
    // Another merchant's record is a reject whether it decodes or not; that reason quotes no value.
    const { field, reason } = kind === "merchant" ? told : Either.isLeft(decoded) ? decoded.left : refused
    const { count } = await tx`
      UPDATE sync.rejects AS r
      SET raw = ${text}, content_hash = ${hash}, field = ${field}, reason = ${reason}
      WHERE reject_id = ${rejectId}::text::bigint AND NOT EXISTS (
        SELECT FROM sync.rejects AS o
        WHERE o.account = r.account AND o.stream = r.stream AND o.content_hash = ${hash}
          AND o.kind IN ('record', 'merchant')
          AND o.reject_id <> r.reject_id)`
    // Two that only differed in what is gone are one.
    if (count === 0) await tx`DELETE FROM sync.rejects WHERE reject_id = ${rejectId}::text::bigint`
  }
  return stored.at(-1)?.rejectId ?? null
}

const rewriteRejects = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Guarded,
): Effect.Effect<void, LeaseError | WarehouseError> =>
  Effect.iterate("0" as string | null, {
    while: after => after !== null,
    body: after => inLeaseTx(sql, lease, tx => rewriteRejectsAfter(tx, lease, stream, after!)),
  })

/**
 * Gives the space of rows that were rewritten back, so that new rows are written over it, and takes their values
 * from the planner's statistics. Best effort: the login may not be allowed to, an old snapshot may still need them.
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
 * Brings what is stored of a stream into the mode of the settings, before anything is read. May be broken off and
 * done again: until it is done, `sync.privacy` says so.
 *
 * keep → hash, and anything → drop, can be made of what is stored. hash → keep and another key cannot: then
 * nothing more is in clear than was before, and all that is listed has to be read again. `tell` hears how far the
 * rewriting is; from what is read then on it counts anew.
 */
export const settlePrivacy = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Guarded,
  privacy: Privacy,
  tell: (soFar: Pick<StreamProgress, "extracted" | "updated" | "message">) => Effect.Effect<void>,
): Effect.Effect<Settled, LeaseError | WarehouseError> =>
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
      // First: a pass that went on from before would take what it had read for read in the new mode.
      yield* abandonPass(sql, lease)
      yield* inLeaseTx(sql, lease, async tx => void (await book(tx, lease, { ...wanted, isApplied: false })))
    }
    const isComputed = wanted.mode === "drop" || (before.mode === "keep" && before.isApplied)
    if (!isComputed) yield* inLeaseTx(sql, lease, async tx => void (await closeNameless(tx, lease)))
    if (wanted.mode === "keep") return { mustReadAll: true, note: null }
    yield* Effect.logInfo(`personal data: ${wanted.mode} what is stored in the mode ${before.mode}`)
    const { failed } = yield* rewriteRecords(sql, lease, stream, stream.redact, {
      book: (tx, { failures }) =>
        blank(
          tx,
          lease.account,
          stream,
          failures.map(({ id }) => id),
          stream.redact,
        ),
      tell: ({ walked, changed }) =>
        tell({ extracted: walked, updated: changed, message: "personal data: rewriting what is stored" }),
    })
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

/** Since when the mode has been asked for: what was read later is stored in it. Where nothing is known of it, nothing is. */
export const modeChangedAt = (sql: postgres.Sql, lease: Lease): Effect.Effect<string, WarehouseError> =>
  read(async () => {
    const [state] = await sql<Array<{ changed_at: string }>>`
      SELECT changed_at FROM sync.privacy WHERE account = ${lease.account} AND stream = ${lease.stream}`
    return state?.changed_at ?? "infinity"
  })

/**
 * Books the mode as applied after all that is listed was read again; says how many records could not be, because
 * they are no longer listed.
 */
export const confirmPrivacy = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Stream,
  privacy: Privacy,
): Effect.Effect<string | null, LeaseError | WarehouseError> =>
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
