import { Effect } from "effect"
import type { Open } from "../core/lookup.ts"
import type { ListSource, ListStream } from "../core/stream.ts"
import { limitInWords } from "../core/verdict.ts"
import { askById, CONTROLS } from "../paycombat/lists/byId.ts"
import type { Contract, ListProof, TimeField } from "../paycombat/lists/contract.ts"
import type { Watch } from "../paycombat/lists/order.ts"
import { earlierPasses } from "../warehouse/ledger/earlierRuns.ts"
import type { ById } from "./completeRecords.ts"
import type { StreamContext, StreamFailure } from "./context.ts"
import { isOpenBeyond } from "./rejectBound.ts"

/**
 * Decides how a run reads a list: whole, or only its news. Reading the news needs a proof from a full pass: the list is
 * ordered by time. The next full pass repairs everything that the proof does not cover.
 */

/** Fewest pages of a list of which an order is proven, and reading its news saves requests. */
const SHORT_PAGES = 3
/** Age in seconds of the latest full pass at which the next is due, if no schedule says otherwise. */
export const FULL_PASS_MAX_AGE_SECONDS = 86_400

export type Plan =
  | { readonly mode: "full"; readonly why: string | null }
  | {
      readonly mode: "incremental"
      readonly learned: ListProof
      readonly order: TimeField
      /** Records to ask about by id, since the list does not show that they changed. */
      readonly asks: Open | null
      readonly unfinished: ReadonlyArray<string>
    }

const whole = (why: string | null): Plan => ({ mode: "full", why })

/** True if such a time shows every new or changed record, or at least every one that is not `open`. */
const suffices = ({ times }: ListSource, by: TimeField): boolean =>
  times !== undefined && (by === "updated" || (by === "created" && times.open !== null))

/** Decides how to read the list. Gives the reason if a list that was read whole before is read whole again. */
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
    const order = learned?.order
    if (learned === undefined || order === undefined)
      return whole("Read whole: no order of the list is proven.")
    if (!suffices(source, order))
      return whole("Read whole: the list tells what is new in it, not what has changed.")
    if (isFullDue)
      return whole(`Read whole: the latest full pass is older than ${limitInWords(maxAgeSeconds)}.`)
    // Only a full pass closes rejects, and stores the records that they kept out.
    if (yield* isOpenBeyond(context, stream))
      return whole("Read whole: more rejects are open than PAYCOMBAT_REJECTS_MAX allows.")
    return {
      mode: "incremental",
      learned,
      order,
      asks: order === "created" ? source.times.open : null,
      unfinished,
    }
  })

/**
 * Learns from a full pass how the next runs may read the list. A run that went on with an earlier pass can refute a
 * proof, and proves nothing new. Sends a few requests, whose failures fail nothing.
 */
export const learn = (
  { client }: StreamContext,
  { source }: ListStream,
  contract: Contract,
  { watch, byId, isWhole, pagesBefore }: { watch: Watch; byId: ById; isWhole: boolean; pagesBefore: number },
): Effect.Effect<ListProof | undefined> =>
  Effect.gen(function* () {
    const before = contract.learned
    if (source.times === undefined) return undefined
    if (!isWhole) {
      if (before?.order === undefined || !watch.isRefuted(before.order)) return before
      const { order: _, ...rest } = before
      return rest
    }
    const pages = watch.pages()
    const order = watch.order()
    const isAsking =
      source.times.open !== null && order === "created" && byId.endpoint === undefined && pages >= SHORT_PAGES
    if (isAsking) {
      const controls = watch.latest("created").slice(0, CONTROLS)
      const { endpoint } = yield* askById(client, source, {
        ids: [],
        controls: controls.map(({ id }) => id),
        earlierEndpoint: undefined,
      })
      byId.endpoint = endpoint
    }
    return {
      pages: Math.max(pages, pagesBefore),
      ...(order === undefined ? {} : { order }),
      ...(before?.askedTo === undefined ? {} : { askedTo: before.askedTo }),
    }
  })
