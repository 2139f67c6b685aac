import { Array as Arr, Effect, Either } from "effect"
import type postgres from "postgres"
import { addCounts, type Counts, countStale, NO_COUNTS } from "../../core/counts.ts"
import type { DecodedRecord } from "../../core/decodedRecord.ts"
import { parseJson } from "../../core/json.ts"
import type { Guarded, Stream } from "../../core/stream.ts"
import { arrayLiteral, arraysOf, unnestOf } from "../../postgres/bulk.ts"
import type { SqlEffect, Transaction } from "../../postgres/shape.ts"
import { query } from "../../postgres/statements.ts"
import { inLeaseTx, type Lease, type LeaseEffect } from "../ledger/lease.ts"
import { clearRejects, type Reject } from "../ledger/rejects.ts"
import { bookCounts } from "../ledger/runs.ts"
import { decode, foreignReject, type HashedRecord } from "../load/decode.ts"
import { merchantOf, merchantsAmong } from "../load/merchant.ts"
import { hashRecord } from "../load/prepare.ts"
import { insertTombstones, withoutErased } from "../load/tombstones.ts"
import { writeAll } from "../load/versions.ts"
import { IN_SCOPE, type RejectKind, type RejectScope, scopeParameters } from "../read/rejectList.ts"
import { rewriteSome } from "./rewrite.ts"

/** Decodes rejects again with the present code, which may read what an earlier version of it could not. */

/** Rejects of one batch, and bytes of their raw text. A larger reject is a batch of its own. */
const BATCH_RECORDS = 500
const BATCH_BYTES = 8_000_000

/** Selects the rejects to replay. */
export interface ReplayScope extends RejectScope {
  /** Numbers of rejects, which are replayed even if they are closed; empty for all of the scope. */
  readonly ids: ReadonlyArray<number>
}

const CHOSEN = `(CASE WHEN $4::bigint[] = '{}' THEN ${IN_SCOPE}
  ELSE reject_id = ANY ($4::bigint[]) AND (account = ANY ($1::text[]) OR $1::text[] = '{}') AND stream = ANY ($2::text[]) END)`

const parametersOf = (scope: ReplayScope) => [...scopeParameters(scope), arrayLiteral(scope.ids.map(String))]

interface RejectCount {
  readonly account: string
  readonly stream: string
  readonly count: number
}

/** Counts the rejects to replay, by account and stream. */
export const countChosen = (sql: postgres.Sql, scope: ReplayScope): SqlEffect<ReadonlyArray<RejectCount>> =>
  query(() =>
    sql.unsafe<Array<RejectCount>>(
      `SELECT account, stream, count(*)::float8 AS count FROM sync.rejects WHERE ${CHOSEN}
       GROUP BY account, stream ORDER BY account, stream`,
      parametersOf(scope),
    ),
  )

interface Kept {
  readonly rejectId: string
  readonly kind: RejectKind
  readonly recordId: string | null
  readonly raw: string
  readonly readAt: string
  /** Run that read the record. */
  readonly runId: string
}

const keptAfter = (tx: Transaction, lease: Lease, scope: ReplayScope, after: string) =>
  tx.unsafe<Array<Kept>>(
    `WITH following AS (
       SELECT reject_id, octet_length(raw)::bigint AS bytes FROM sync.rejects
       WHERE ${CHOSEN} AND account = $5 AND stream = $6 AND reject_id > $7::bigint ORDER BY reject_id LIMIT ${BATCH_RECORDS}
     ), batch AS (
       SELECT reject_id, sum(bytes) OVER (ORDER BY reject_id ROWS UNBOUNDED PRECEDING) - bytes AS before FROM following
     )
     SELECT r.reject_id::text AS "rejectId", r.kind, r.record_id AS "recordId", r.raw, r.read_at AS "readAt",
       r.run_id AS "runId"
     FROM sync.rejects AS r
     WHERE r.reject_id IN (SELECT reject_id FROM batch WHERE before < ${BATCH_BYTES}) ORDER BY r.reject_id`,
    [...parametersOf(scope), lease.account, lease.stream, after],
  )

/** A rejected record, parsed again. */
interface Parsed extends HashedRecord, Pick<Kept, "rejectId" | "kind" | "runId"> {}

/** Parses kept texts. A text that was cut stays a reject as it is. */
const parse = (kept: ReadonlyArray<Kept>) =>
  kept.flatMap(({ rejectId, kind, raw, readAt, runId }) => {
    try {
      return [{ rejectId, kind, runId, record: parseJson(raw), readAt: new Date(readAt).toISOString() }]
    } catch {
      return []
    }
  })

/** Books reason, hash and redacted text of rejects that still cannot become a row. */
const keepReasons = async (
  tx: Transaction,
  rejects: ReadonlyArray<Reject & { readonly rejectId: string }>,
): Promise<void> => {
  const columns = ["reject_id", "kind", "field", "reason", "raw", "content_hash"]
  const owners = new Map<string, string>()
  for (const { hash, rejectId } of rejects) if (!owners.has(hash)) owners.set(hash, rejectId)
  const rows = rejects.map(({ rejectId, kind = "record", field, reason, raw, hash }) => ({
    reject_id: rejectId,
    kind,
    field,
    reason,
    raw,
    // One record may have been rejected under two versions of its stream: only one of the two can have the new hash.
    content_hash: owners.get(hash) === rejectId ? hash : null,
  }))
  await tx.unsafe(
    `UPDATE sync.rejects AS r SET kind = s.kind, field = s.field, reason = s.reason, raw = s.raw,
       content_hash = CASE WHEN s.content_hash IS NULL OR EXISTS (
         SELECT FROM sync.rejects AS o
         WHERE o.account = r.account AND o.stream = r.stream AND o.content_hash = s.content_hash AND o.kind IN ('record', 'merchant')
       ) THEN r.content_hash ELSE s.content_hash END
     FROM ${unnestOf(columns, 1)}
     WHERE r.reject_id = s.reject_id::bigint
       AND (r.kind, r.field, r.reason, r.raw, r.content_hash) IS DISTINCT FROM (s.kind, s.field, s.reason, s.raw, s.content_hash)`,
    arraysOf(columns, rows),
  )
}

/** Returns the configured merchants of an account. */
export type MerchantsOf = (account: string) => ReadonlyArray<string>

/** Selects the records that are still another merchant's: neither configured nor stored. */
const stillForeign = async (
  tx: Transaction,
  lease: Lease,
  stream: Stream,
  records: ReadonlyArray<Parsed>,
  merchantsOf: MerchantsOf,
): Promise<ReadonlySet<Parsed>> => {
  const foreign = records.filter(({ kind }) => kind === "merchant")
  const named = foreign.flatMap(({ record }) => merchantOf(stream, record) ?? [])
  const stored = await merchantsAmong(tx, lease.account, stream, named)
  const own = new Set([...merchantsOf(lease.account), ...stored])
  return new Set(foreign.filter(({ record }) => !own.has(merchantOf(stream, record) ?? "")))
}

interface ReadBy {
  readonly runId: string
  readonly version: DecodedRecord
}

/**
 * Writes versions as those of the run that read them, because the records around them in the list were read by that run.
 * Goes in the order of reading: of two versions of one record the earlier must be written first.
 */
const writeByRun = async (tx: Transaction, lease: Lease, stream: Stream, read: ReadonlyArray<ReadBy>) => {
  let counts = NO_COUNTS
  const rejects: Array<Reject> = []
  const sorted = read.toSorted((one, other) => (one.version.readAt < other.version.readAt ? -1 : 1))
  while (sorted.length > 0) {
    const { runId } = sorted[0]!
    const end = sorted.findIndex(one => one.runId !== runId)
    const versions = sorted.splice(0, end === -1 ? sorted.length : end).map(({ version }) => version)
    const written = await writeAll(tx, { ...lease, runId }, stream, versions, { isListed: false })
    counts = addCounts(counts, written.counts)
    rejects.push(...written.rejects)
  }
  return { counts, rejects }
}

/** Replays rejects that are no row: makes rows of those that decode now, and books the present reason of the others. */
const replayRecords = async (
  tx: Transaction,
  lease: Lease,
  stream: Guarded,
  kept: ReadonlyArray<Kept>,
  merchantsOf: MerchantsOf,
): Promise<Counts> => {
  const parsed = parse(kept)
  const shielded = await withoutErased(tx, lease.account, stream, parsed)
  const records = shielded.kept.map((one): Parsed => ({ ...one, ...hashRecord(stream, one.record) }))
  const foreign = await stillForeign(tx, lease, stream, records, merchantsOf)
  const [failed, decoded] = Arr.separate(
    records.map(record =>
      foreign.has(record)
        ? Either.left(foreignReject(stream, record))
        : Either.map(decode(stream, record), (version): ReadBy => ({ runId: record.runId, version })),
    ),
  )
  const written = await writeByRun(tx, lease, stream, decoded)
  const byHash = new Map([...failed, ...written.rejects].map(reject => [reject.hash, reject]))
  const rejects = records.flatMap(({ rejectId, hash }) => {
    const reject = byHash.get(hash)
    return reject === undefined ? [] : [{ ...reject, rejectId }]
  })
  await keepReasons(tx, rejects)
  const fine = records.filter(({ hash }) => !byHash.has(hash))
  const isKept = new Set(records.map(({ rejectId }) => rejectId))
  const erased = parsed.filter(({ rejectId }) => !isKept.has(rejectId))
  const answered = [...fine, ...erased].map(({ rejectId }) => rejectId)
  await tx`DELETE FROM sync.rejects WHERE reject_id = ANY (${arrayLiteral(answered)}::bigint[])`
  const rows = fine.flatMap(({ id, readAt }) => (id === null ? [] : [{ id, readAt }]))
  await clearRejects(tx, lease, rows, new Set(byHash.keys()))
  await insertTombstones(tx, lease.account, shielded.tombstones)
  const rejected = kept.length - answered.length
  return countStale(addCounts(written.counts, { extracted: kept.length, rejected, erased: erased.length }))
}

/** Replays rejects of parts: rewrites the rows of their records. A part that can be read now is no reject any more. */
const replayParts = async (
  tx: Transaction,
  lease: Lease,
  stream: Guarded,
  kept: ReadonlyArray<Kept>,
): Promise<Counts> => {
  if (kept.length === 0) return NO_COUNTS
  const ids = [...new Set(kept.flatMap(({ recordId }) => recordId ?? []))]
  const { counts } = await rewriteSome(tx, lease, stream, ids, stream.redact)
  const [unread] = await tx<[Pick<Counts, "fieldRejected" | "itemRejected">]>`
    SELECT (count(*) FILTER (WHERE kind = 'field'))::int AS "fieldRejected",
      (count(*) FILTER (WHERE kind = 'item'))::int AS "itemRejected"
    FROM sync.rejects WHERE reject_id = ANY (${arrayLiteral(kept.map(({ rejectId }) => rejectId))}::bigint[])`
  const unchanged = ids.length - counts.updated - counts.rejected
  return { ...counts, extracted: ids.length, unchanged, ...unread }
}

/**
 * Decodes an account's rejects of a stream again, and makes rows of those that decode now. Each keeps the time of its
 * reading: if a later version of the record is stored, that version stays, and the reject is deleted. A record that still
 * cannot become a row stays a reject, with the present reason. Uses one transaction per batch, under the lease; may be
 * interrupted and repeated.
 *
 * Returns how many rejects were replayed and how many of them remain.
 */
export const replayRejects = (
  sql: postgres.Sql,
  lease: Lease,
  stream: Guarded,
  scope: ReplayScope,
  merchantsOf: MerchantsOf,
  tell: (soFar: Counts) => Effect.Effect<void>,
): LeaseEffect<Counts> =>
  Effect.gen(function* () {
    let soFar = NO_COUNTS
    let after = "0"
    while (true) {
      const batch = yield* inLeaseTx(sql, lease, async tx => {
        const kept = await keptAfter(tx, lease, scope, after)
        if (kept.length === 0) return null
        const [records, parts] = Arr.partition(kept, ({ kind }) => kind === "field" || kind === "item")
        const counts = addCounts(
          await replayParts(tx, lease, stream, parts),
          await replayRecords(tx, lease, stream, records, merchantsOf),
        )
        await bookCounts(tx, lease, counts, { pages: 1 })
        return { counts, last: kept.at(-1)!.rejectId }
      })
      if (batch === null) return soFar
      after = batch.last
      soFar = addCounts(soFar, batch.counts)
      yield* tell(soFar)
    }
  })
