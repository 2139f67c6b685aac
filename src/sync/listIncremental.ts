import { Effect, Stream as S } from "effect"
import { addCounts, NO_COUNTS } from "../core/counts.ts"
import { NO_FIELDS, type PassFields } from "../core/documentedFields.ts"
import type { Open } from "../core/lookup.ts"
import { recordIdOf } from "../core/recordId.ts"
import type { Guarded, ListStream } from "../core/stream.ts"
import { figuresOf } from "../observe/progress.ts"
import { withTab } from "../paycombat/client/budget.ts"
import { askById, CONTROLS } from "../paycombat/lists/byId.ts"
import type { Contract } from "../paycombat/lists/contract.ts"
import { failIfPageZeroExists } from "../paycombat/lists/gapChecks.ts"
import { watchOrder } from "../paycombat/lists/order.ts"
import { pages } from "../paycombat/lists/pager.ts"
import { idOf } from "../paycombat/lists/readPage.ts"
import { openRejects } from "../warehouse/ledger/openRejects.ts"
import { bookMode } from "../warehouse/ledger/runs.ts"
import { newsAmong, openRecords, storedAmong } from "../warehouse/ledger/stored.ts"
import { asListed, fieldsBeyondStored } from "../warehouse/load/byIdVersions.ts"
import { loadBatch } from "../warehouse/load/loader.ts"
import { settleItems } from "../warehouse/load/settleItems.ts"
import { type ById, completeRecords, type ReadPageRecords } from "./completeRecords.ts"
import type { ListResult, StreamContext, StreamFailure } from "./context.ts"
import { areOurs, ofMerchants } from "./listMerchants.ts"
import type { Plan } from "./listPlan.ts"
import { bookFieldsRead, refuseOpen, refuseRejected } from "./rejectBound.ts"

/** An incremental run over a list, which reads news and open records. It proves no removal and closes no reject. */

/** Pages in a row without a new or changed record, after which the rest of a newest-first list counts as known. */
const OVERLAP_PAGES = 2
/** Records asked about by id in one run at most, and their share of the requests that a full pass takes. */
const ASK_MAX = 1_000
const ASK_SHARE_MAX = 0.5

type Incremental = Plan & { readonly mode: "incremental" }

const idsOf = (
  { source }: ListStream,
  { records }: Pick<ReadPageRecords, "records">,
): ReadonlyArray<string> => records.flatMap(({ record }) => recordIdOf(source, record) ?? [])

/** Reads the new records, and answers the ids of the last page. Undefined if the list does not hold what was proven of it. */
const readNews = (
  context: StreamContext,
  stream: Guarded<ListStream>,
  contract: Contract,
  plan: Incremental,
  byId: ById,
  fields: { current: PassFields },
) =>
  Effect.gen(function* () {
    const { sql, client, lease, usage, tell } = context
    const { source } = stream
    const watch = watchOrder(source)
    let [pagesLoaded, counts] = [0, NO_COUNTS]
    let quietPages = 0
    let isRefuted = false
    let ids: ReadonlyArray<string> = []
    /** The ids of the first page, if the list is not read to its end. It is then checked to be the first page. */
    let first: { readonly ids: ReadonlyArray<string>; readonly pageSize: number } | undefined

    const load = (extract: ReadPageRecords): Effect.Effect<boolean, StreamFailure> =>
      Effect.gen(function* () {
        const { page, records } = extract
        if (page.isLast) first = undefined
        else if (page.number === 1)
          first = { ids: page.records.map(record => idOf(source, record)), pageSize: page.pageSize }
        const progress = { passId: null, position: null, pages: 1, ...usage, fields }
        const batch = yield* loadBatch(sql, lease, stream, records, progress, context.beside)
        pagesLoaded += 1
        counts = addCounts(counts, batch)
        yield* tell({ ...figuresOf(counts), pages: pagesLoaded, total: undefined })
        const onPage = idsOf(stream, extract)
        if (onPage.length > 0) ids = onPage
        watch.see(page)
        isRefuted = watch.isRefuted(plan.order)
        const { known, news } = yield* newsAmong(sql, lease, stream, {
          ids: onPage,
          readAt: page.readAt,
          unfinished: plan.unfinished,
        })
        quietPages = known > 0 && news === 0 ? quietPages + 1 : 0
        return isRefuted || quietPages === OVERLAP_PAGES
      })
    yield* withTab(tab =>
      pages(client, contract, source, undefined, tab).pipe(
        S.mapEffect(completeRecords(context, stream, byId)),
        ofMerchants(context, stream),
        S.mapEffect(extract => Effect.tap(load(extract), extract.page.share?.release ?? Effect.void)),
        S.takeUntil(isEnough => isEnough),
        S.runDrain,
      ),
    )
    if (first !== undefined && !isRefuted) {
      yield* failIfPageZeroExists(client, contract, source, first.ids, first.pageSize)
    }
    return isRefuted ? undefined : ids
  })

interface Asked {
  readonly leftOver: number
  readonly note: string | null
  /** Id after which the next run goes on asking. */
  readonly askedTo: string
}

const askAgain = (
  context: StreamContext,
  stream: Guarded<ListStream>,
  open: Open,
  request: {
    readonly after: string
    readonly limit: number
    readonly controls: ReadonlyArray<string>
    readonly byId: ById
  },
): Effect.Effect<Asked, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, client, lease, usage } = context
    const { after, limit, byId } = request
    const { total, ids } = yield* openRecords(sql, lease, stream, { open, after, limit })
    if (total === 0) return { leftOver: 0, note: null, askedTo: "" }
    // Do not report these as left over: later incremental runs will not retry them. Only the next full pass will.
    const later = (why: string): Asked => ({
      leftOver: 0,
      note: `${total} ${stream.name} may still change, and were not asked again: ${why}. The next full pass brings what changed.`,
      askedTo: after,
    })
    // The latest full pass found no endpoint: looking for one again would cost each run more than it saves.
    if (byId.endpoint === undefined) return later("no by-id endpoint is proven")
    const controls = yield* storedAmong(sql, lease, stream, request.controls, CONTROLS)
    const answers = yield* askById(client, stream.source, { ids, controls, earlierEndpoint: byId.endpoint })
    if (answers.endpoint === undefined || answers.control === undefined)
      return later("no by-id endpoint is proven")
    byId.endpoint = answers.endpoint
    const beyond = yield* fieldsBeyondStored(sql, lease.account, stream, answers.control.record)
    if (beyond === undefined) return later("by id they look different than in the list")
    const records = answers.there.map(detail => asListed(detail, beyond))
    if (!(yield* areOurs(context, stream, records))) return later("by id they are another merchant's")
    const progress = { passId: null, position: null, pages: 0, ...usage }
    yield* loadBatch(sql, lease, stream, records, progress, context.beside)
    const leftOver = total - ids.length
    // A 404 is an answer, too. Records without an answer are left over.
    const unanswered = ids.length - answers.there.length - answers.gone.length
    const ofAll = `of ${total} ${stream.name} that may still change`
    const notes = [
      ...(leftOver > 0 ? [`${leftOver} ${ofAll} are left over: they come first in the next run.`] : []),
      ...(unanswered > 0
        ? [`${unanswered} ${ofAll} got no answer by id: they are asked again in their turn.`]
        : []),
    ]
    return {
      leftOver: leftOver + unanswered,
      note: notes.join(" ") || null,
      askedTo: leftOver > 0 ? ids.at(-1)! : "",
    }
  })

const noneOpen: Asked = { leftOver: 0, note: null, askedTo: "" }

/** Reads the new records, and asks about the open ones. Undefined if the list refutes its proof. */
export const runIncremental = (
  context: StreamContext,
  stream: Guarded<ListStream>,
  contract: Contract,
  plan: Incremental,
  byId: ById,
): Effect.Effect<ListResult | undefined, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, lease } = context
    const { learned, asks } = plan
    yield* bookMode(sql, lease, "incremental")
    const fields = { current: NO_FIELDS }
    const controls = yield* readNews(context, stream, contract, plan, byId, fields)
    if (controls === undefined) return undefined
    const open =
      asks === null
        ? noneOpen
        : yield* askAgain(context, stream, asks, {
            after: learned.askedTo ?? "",
            limit: Math.min(ASK_MAX, Math.ceil(learned.pages * ASK_SHARE_MAX)),
            controls,
            byId,
          })
    yield* bookFieldsRead(context, stream, fields.current, false)
    yield* refuseRejected(context, stream)
    yield* settleItems(sql, lease, stream, false)
    yield* refuseOpen(context, stream)
    return {
      contract: { ...contract, learned: { ...learned, askedTo: open.askedTo } },
      rejected: yield* openRejects(sql, lease),
      removed: 0,
      leftOver: open.leftOver,
      note: open.note,
    }
  })
