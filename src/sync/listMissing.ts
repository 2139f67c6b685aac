import { Effect } from "effect"
import { recordIdOf } from "../core/recordId.ts"
import type { Guarded, ListStream } from "../core/stream.ts"
import { askById, type Detail } from "../paycombat/lists/byId.ts"
import { storedFields, unlisted } from "../warehouse/ledger/missing.ts"
import { loadBatch, prepareBatch } from "../warehouse/load/loader.ts"
import type { SourceRecord } from "../warehouse/load/prepare.ts"
import type { ById } from "./completeRecords.ts"
import type { StreamContext, StreamFailure } from "./context.ts"
import { areOurs } from "./listMerchants.ts"

/** Asks by id, at the end of a complete pass, about the records that it did not show. */

/** Look-ups of one run at most. Records that are about to be booked as removed come first. */
const CHECKS_MAX = 200
/** Further look-ups, about rejects that the pass did not show. */
const REJECT_CHECKS_MAX = 50
/** Listed records by which the endpoint proves itself. One of them may be gone by now. */
const CONTROLS = 3
/**
 * Records that may be booked as removed after one pass: no more than this number, or no more than this share of the
 * list.
 */
const GONE_AT_ONCE_MAX = 20
const GONE_SHARE_MAX = 0.1
/** Fewest hidden records that a note mentions: a few may just have moved while the list was read. */
const HIDDEN_MANY = 5

export interface Missing {
  /** Records that are proven to be gone. */
  readonly gone: ReadonlyArray<string>
  /** Records that are proven to exist: they are not missing. */
  readonly there: ReadonlyArray<string>
  /**
   * True if the pass counts towards the removal of unlisted records. False if there is, or may be, a by-id endpoint.
   */
  readonly isCounting: boolean
  /** Records that a by-id endpoint was asked about. */
  readonly asked: ReadonlyArray<string>
  readonly note: string | null
}

/**
 * Fields that appear only in by-id answers. They are dropped before loading; otherwise list and by-id versions would
 * overwrite each other on alternate runs. Undefined if the answers differ from the list in more than that, or if this
 * is not known: a by-id answer is then no version of the record.
 */
export const fieldsBeyondList = (
  { sql, lease }: Pick<StreamContext, "sql" | "lease">,
  stream: Guarded<ListStream>,
  control: Detail,
): Effect.Effect<ReadonlySet<string> | undefined, StreamFailure> =>
  Effect.gen(function* () {
    const id = recordIdOf(stream.source, control.record)!
    const listed = new Set(yield* storedFields(sql, lease.account, stream, id))
    const beyond = new Set(Object.keys(control.record).filter(field => !listed.has(field)))
    const { unchanged } = yield* prepareBatch(sql, lease, stream, [asListed(control, beyond)])
    return unchanged === 1 ? beyond : undefined
  })

/** Returns a by-id answer as the list would show it. */
export const asListed = ({ record, readAt }: Detail, beyond: ReadonlySet<string>): SourceRecord => ({
  record: Object.fromEntries(Object.entries(record).filter(([field]) => !beyond.has(field))),
  readAt,
})

/**
 * Asks by id about stored records that the pass did not show. 404 proves that a record is gone. A record in the answer
 * proves that it exists although the list hides it, and is loaded. A failure proves nothing, and fails nothing.
 */
export const missingRecords = (
  context: StreamContext,
  stream: Guarded<ListStream>,
  passId: string,
  byId: ById,
): Effect.Effect<Missing, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, client, lease, usage } = context
    const unasked: Missing = { gone: [], there: [], isCounting: true, asked: [], note: null }
    if (stream.source.detail === null) return unasked
    const { ids, before, rejected, listed, seen } = yield* unlisted(sql, lease, stream, {
      passId,
      limit: CHECKS_MAX,
      rejectLimit: REJECT_CHECKS_MAX,
      controls: CONTROLS,
    })
    if (ids.length + rejected.length === 0) return unasked
    const { endpoint, control, gone, there, asked, isAbsent } = yield* askById(client, stream.source, {
      ids: [...ids, ...rejected],
      controls: listed,
      known: byId.endpoint,
    })
    if (endpoint === undefined || control === undefined) return { ...unasked, isCounting: isAbsent }
    byId.endpoint = endpoint

    const beyond = there.length === 0 ? undefined : yield* fieldsBeyondList(context, stream, control)
    if (beyond !== undefined) {
      const records = there.map(detail => asListed(detail, beyond))
      const progress = { passId, position: null, pages: 0, ...usage }
      if (yield* areOurs(context, stream, records))
        yield* loadBatch(sql, lease, stream, records, progress, context.beside)
    }
    const isReject = new Set(rejected)
    const fresh = gone.filter(id => !before.has(id) && !isReject.has(id))
    const isMass = fresh.length > GONE_AT_ONCE_MAX && fresh.length > GONE_SHARE_MAX * seen
    return {
      gone: isMass ? gone.filter(id => before.has(id)) : gone,
      there: there.map(({ record }) => recordIdOf(stream.source, record)!),
      isCounting: false,
      asked,
      note: isMass
        ? `${fresh.length} ${stream.name} are gone all at once: booked as removed when the next complete pass does not list them either, and they are still gone.`
        : there.length >= HIDDEN_MANY
          ? `${there.length} ${stream.name} exist (asked by id), but the list does not show them.`
          : null,
    }
  })
