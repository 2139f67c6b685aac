import { Clock, Effect } from "effect"
import type { Open } from "../core/lookup.ts"
import type { ListSource, ListStream } from "../core/stream.ts"
import { limitInWords } from "../core/verdict.ts"
import { askById } from "../paycombat/lists/byId.ts"
import type { Contract, ListProof, TimeField, TimeFilter } from "../paycombat/lists/contract.ts"
import type { Watch } from "../paycombat/lists/order.ts"
import { findTimeFilter } from "../paycombat/lists/timeFilter.ts"
import { earlierPasses } from "../warehouse/ledger/passes.ts"
import type { ById } from "./completeRecords.ts"
import type { StreamContext, StreamFailure } from "./context.ts"
import { isOpenBeyond } from "./rejectBound.ts"

/**
 * How a list is read this time: whole, or only as far as it is new. The latter needs proof, from a pass over the
 * whole list, that what is new can be told from the list's order or asked for by time; and what the proof does not
 * cover is healed by the next pass over the whole list.
 */

/** Pages of a list from which on a time filter is looked for: it takes a few requests. */
const FILTER_WORTH_PAGES = 10
/** Pages of a list too short for anything to be saved, or proven. */
const SHORT_PAGES = 3
/** Records by which a by-id endpoint proves itself. */
const CONTROLS = 3
/** Age in seconds of the latest full pass from which on the next is due, where no schedule says so. */
const FULL_PASS_MAX_AGE_SECONDS = 86_400

export type Plan =
  | { readonly mode: "full"; readonly why: string | null }
  | {
      readonly mode: "incremental"
      readonly learned: ListProof
      readonly by:
        | { readonly order: TimeField; readonly filter?: never }
        | { readonly order?: never; readonly filter: TimeFilter; readonly newest: number }
      /** Which records are to be asked about again, since the list does not tell that they changed. */
      readonly asks: Open | null
      readonly unfinished: ReadonlyArray<string>
    }

const whole = (why: string | null): Plan => ({ mode: "full", why })

/** True if all that is new or changed shows at such a time, or at least all that is not `open`. */
const suffices = ({ times }: ListSource, by: TimeField | undefined): boolean =>
  times !== undefined && (by === "updated" || (by === "created" && times.open !== null))

/** Decides on how the list is read, and says why where it is read whole although it was before. */
export const planOf = (
  context: StreamContext,
  stream: ListStream,
  contract: Contract,
): Effect.Effect<Plan, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, lease, settings, mustReadAll } = context
    const { source } = stream
    const { learned, verified } = contract
    if (settings.full || settings.confirmsRemovals) return whole(null)
    if (mustReadAll) return whole("Read whole: what is stored is not yet in the mode of PAYCOMBAT_PII.")
    const maxAgeSeconds = settings.fullPassMaxAgeSeconds ?? FULL_PASS_MAX_AGE_SECONDS
    const { hasFull, isOpen, isFullDue, unfinished } = yield* earlierPasses(sql, lease, maxAgeSeconds)
    if (!hasFull) return whole(null)
    if (isOpen) return whole("Read whole: the latest pass was broken off.")
    if (!verified) return whole("Read whole: the list showed no record that would verify it.")
    if (source.times === undefined) return whole("Read whole: what changes in this list shows in no time.")
    if (learned !== undefined && learned.pages < SHORT_PAGES)
      return whole(`Read whole: the list has fewer than ${SHORT_PAGES} pages.`)
    const { order, filter, newest } = learned ?? {}
    const isByOrder = suffices(source, order)
    const isByFilter = suffices(source, filter?.by) && newest !== undefined
    if (!isByOrder && !isByFilter)
      return whole(
        order === undefined && filter === undefined
          ? "Read whole: neither an order of the list nor a filter by time is proven."
          : "Read whole: the list tells what is new in it, not what has changed.",
      )
    if (isFullDue)
      return whole(`Read whole: the latest full pass is older than ${limitInWords(maxAgeSeconds)}.`)
    // Only a pass over the whole list closes rejects and stores what they kept out.
    if (yield* isOpenBeyond(context, stream))
      return whole("Read whole: more rejects are open than PAYCOMBAT_REJECTS_MAX allows.")
    const by = isByOrder ? order : filter!.by
    return {
      mode: "incremental",
      learned: learned!,
      by: isByOrder ? { order: order! } : { filter: filter!, newest: newest! },
      asks: by === "created" ? source.times.open : null,
      unfinished,
    }
  })

/**
 * What a complete pass over the whole list showed, for the next runs. One that went on with an earlier pass saw
 * only a part: it may refute what is known, and proves nothing new. Asks a few requests; their failures prove
 * nothing, and fail nothing.
 */
export const learn = (
  { client }: StreamContext,
  { source }: ListStream,
  contract: Contract,
  { watch, byId, isWhole, pagesBefore }: { watch: Watch; byId: ById; isWhole: boolean; pagesBefore: number },
): Effect.Effect<ListProof | undefined> =>
  Effect.gen(function* () {
    const known = contract.learned
    if (source.times === undefined) return undefined
    if (!isWhole) {
      if (known?.order === undefined || !watch.isRefuted(known.order)) return known
      const { order: _, ...rest } = known
      return rest
    }
    const pages = watch.pages()
    const order = watch.order()
    const now = yield* Clock.currentTimeMillis
    const isFilterWanted = !suffices(source, order) && pages >= FILTER_WORTH_PAGES
    const filter = isFilterWanted ? yield* findTimeFilter(client, source, contract, watch, now) : undefined
    const newest = filter === undefined ? undefined : watch.newest(filter.by)
    const isAsking =
      source.times.open !== null &&
      [order, filter?.by].includes("created") &&
      byId.endpoint === undefined &&
      pages >= SHORT_PAGES
    if (isAsking) {
      const controls = watch.latest("created").slice(0, CONTROLS)
      const found = yield* askById(client, source, {
        ids: [],
        controls: controls.map(({ id }) => id),
        known: undefined,
      })
      byId.endpoint = found.endpoint
    }
    return {
      pages: Math.max(pages, pagesBefore),
      ...(order === undefined ? {} : { order }),
      ...(filter === undefined ? {} : { filter }),
      ...(newest === undefined ? {} : { newest }),
      ...(known?.askedTo === undefined ? {} : { askedTo: known.askedTo }),
    }
  })
