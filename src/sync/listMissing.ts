import { Effect } from "effect"
import { recordIdOf } from "../core/recordId.ts"
import type { Guarded, ListStream } from "../core/stream.ts"
import { askById, CONTROLS } from "../paycombat/lists/byId.ts"
import type { Seen } from "../warehouse/ledger/passes.ts"
import { unseenRecords } from "../warehouse/ledger/removal.ts"
import { asListed, fieldsBeyondStored } from "../warehouse/load/byIdVersions.ts"
import { loadBatch } from "../warehouse/load/loader.ts"
import type { ById } from "./completeRecords.ts"
import type { StreamContext, StreamFailure } from "./context.ts"
import { areOurs } from "./listMerchants.ts"

/** Asks by id, at the end of a complete pass, about the records that it did not show. */

/** Look-ups of one run at most. Records that are about to be booked as removed come first. */
const CHECKS_MAX = 200
/** Further look-ups, about rejects that the pass did not show. */
const REJECT_CHECKS_MAX = 50
/** Most records that may be booked as removed after one pass: this number, or this share of the list. */
const GONE_AT_ONCE_MAX = 20
const GONE_SHARE_MAX = 0.1
/** Fewest hidden records that a note mentions: a few may just have moved while the list was read. */
const HIDDEN_MANY = 5

export interface Missing {
  /** Unseen records whose by-id endpoint answers 404. */
  readonly confirmedGone: ReadonlyArray<string>
  /** Unseen records that their by-id endpoint shows. */
  readonly confirmedPresent: ReadonlyArray<string>
  /** True if the pass counts towards removals. False if there is, or may be, a by-id endpoint. */
  readonly isCounting: boolean
  /** Records that a by-id endpoint was asked about. */
  readonly asked: ReadonlyArray<string>
  readonly note: string | null
}

/**
 * Asks by id about stored records that the pass did not show. 404 proves that a record is gone. A record in the answer
 * proves that it exists although the list hides it, and is loaded. A failure proves nothing, and fails nothing.
 */
export const missingRecords = (
  context: StreamContext,
  stream: Guarded<ListStream>,
  { passId, seen }: { readonly passId: string; readonly seen: Seen },
  byId: ById,
): Effect.Effect<Missing, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, client, lease, usage } = context
    const unasked: Missing = {
      confirmedGone: [],
      confirmedPresent: [],
      isCounting: true,
      asked: [],
      note: null,
    }
    if (stream.source.detail === null || !seen.isWhole) return unasked
    const { ids, before, rejected, listed } = yield* unseenRecords(sql, lease, stream, passId, {
      records: CHECKS_MAX,
      rejects: REJECT_CHECKS_MAX,
      listed: CONTROLS,
    })
    if (ids.length + rejected.length === 0) return unasked
    const { endpoint, control, gone, there, asked, isAbsent } = yield* askById(client, stream.source, {
      ids: [...ids, ...rejected],
      controls: listed,
      earlierEndpoint: byId.endpoint,
    })
    if (endpoint === undefined || control === undefined) return { ...unasked, isCounting: isAbsent }
    byId.endpoint = endpoint

    const beyond =
      there.length === 0 ? undefined : yield* fieldsBeyondStored(sql, lease.account, stream, control.record)
    if (beyond !== undefined) {
      const records = there.map(detail => asListed(detail, beyond))
      const progress = { passId, position: null, pages: 0, ...usage }
      if (yield* areOurs(context, stream, records))
        yield* loadBatch(sql, lease, stream, records, progress, context.beside)
    }
    const isReject = new Set(rejected)
    const fresh = gone.filter(id => !before.has(id) && !isReject.has(id))
    const isMass = fresh.length > GONE_AT_ONCE_MAX && fresh.length > GONE_SHARE_MAX * seen.count
    return {
      confirmedGone: isMass ? gone.filter(id => before.has(id)) : gone,
      confirmedPresent: there.map(({ record }) => recordIdOf(stream.source, record)!),
      isCounting: false,
      asked,
      note: isMass
        ? `${fresh.length} ${stream.name} are gone all at once: booked as removed when the next complete pass does not list them either, and they are still gone.`
        : there.length >= HIDDEN_MANY
          ? `${there.length} ${stream.name} exist (asked by id), but the list does not show them.`
          : null,
    }
  })
