import { randomUUID } from "node:crypto"
import { Effect, Stream as S, Schedule, Sink } from "effect"
import { pathVariable } from "../config/config.ts"
import { addCounts, NO_COUNTS } from "../core/counts.ts"
import { NO_FIELDS } from "../core/documentedFields.ts"
import { EndpointError, WarehouseError } from "../core/errors.ts"
import type { Guarded, ListStream } from "../core/stream.ts"
import { figuresOf } from "../observe/progress.ts"
import { PAGE_UNITS, withTab } from "../paycombat/client/budget.ts"
import type { Contract } from "../paycombat/lists/contract.ts"
import { type Movement, watchMovement } from "../paycombat/lists/movement.ts"
import { type Watch, watchOrder } from "../paycombat/lists/order.ts"
import { decodePosition, type Position } from "../paycombat/lists/page.ts"
import { pages } from "../paycombat/lists/pager.ts"
import {
  abandonPass,
  closePass,
  openPass,
  type Pass,
  seenRecords,
  unaccounted,
} from "../warehouse/ledger/passes.ts"
import { hasRows } from "../warehouse/ledger/stored.ts"
import { prepareBatch, writeBatch } from "../warehouse/load/loader.ts"
import type { PreparedBatch } from "../warehouse/load/prepare.ts"
import { settleItems } from "../warehouse/load/settleItems.ts"
import { type ById, completeRecords, type ReadPageRecords } from "./completeRecords.ts"
import type { ListResult, StreamContext, StreamFailure } from "./context.ts"
import { ofMerchants } from "./listMerchants.ts"
import { missingRecords } from "./listMissing.ts"
import { learn } from "./listPlan.ts"
import { joinNotes } from "./outcome.ts"
import { bookFieldsRead, refuseOpen, refuseRejected } from "./rejectBound.ts"
import { holdsAll, proofOf, UNPROVEN, unconfirmedNote } from "./removalProof.ts"

/** A full pass over a list: read pages → load batches → prove removals → close the pass. */

/** Longest time that pages wait to be loaded: a crash loses no more. */
const BATCH_AGE = "2 seconds"
/** Pages read ahead while a batch is being loaded. */
const PAGES_AHEAD = 2
/** Bounds of a batch: records, bytes of its pages, and their share of the process' memory. */
const BATCH_RECORDS = 2_000
const BATCH_BYTES = 4 * 2 ** 20
const BATCH_UNITS = PAGE_UNITS / 2

/** Gathers pages up to the first bound. A page that is beyond a bound alone is a batch of its own. */
const batchOf = Sink.foldWeighted<ReadonlyArray<ReadPageRecords>, ReadPageRecords>({
  initial: [],
  maxCost: 1,
  cost: (_, { page, records }) =>
    Math.max(
      records.length / BATCH_RECORDS,
      page.bytes / BATCH_BYTES,
      (page.share?.units ?? 0) / BATCH_UNITS,
    ),
  body: (extracts, extract) => [...extracts, extract],
})

/** Makes one pass over the whole list. Goes on with a pass that was broken off. */
export const runFull = (
  context: StreamContext,
  stream: Guarded<ListStream>,
  contract: Contract,
  { byId, canResume }: { readonly byId: ById; readonly canResume: boolean },
): Effect.Effect<ListResult, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, lease } = context
    const pass = yield* openPass(sql, lease, { newPassId: randomUUID(), canResume, decodePosition })
    const watch = watchOrder(stream.source)
    const movement = watchMovement(stream.source)
    const loaded = yield* loadPages(context, stream, contract, { pass, byId, watch, movement })
    const isRead = pass.position === null && !pass.isRead
    const isEmpty = isRead && loaded.extracted === 0
    const emptyNote = isEmpty ? yield* believeEmpty(context, stream, contract) : null
    yield* bookFieldsRead(context, stream, loaded.fields, true)
    // The checkpoint says that all pages were read. The next run would go on from it, and judge the same records again.
    yield* Effect.zipRight(
      refuseUnaccounted(context, stream, pass.passId),
      refuseRejected(context, stream),
    ).pipe(Effect.tapError(() => Effect.ignore(abandonPass(sql, lease))))
    const reading = { pass, byId, watch, movement }
    return yield* closeRead(context, stream, contract, { ...reading, loaded, isRead, isEmpty, emptyNote })
  })

interface Reading {
  readonly pass: Pass<Position>
  readonly byId: ById
  readonly watch: Watch
  readonly movement: Movement
}

interface Loaded {
  readonly extracted: number
  /** Records on the pages, and those of them without an id. */
  readonly shown: number
  readonly withoutId: number
  readonly stated: number | undefined
  readonly fields: typeof NO_FIELDS
}

const loadPages = (
  context: StreamContext,
  stream: Guarded<ListStream>,
  contract: Contract,
  { pass, byId, watch, movement }: Reading,
): Effect.Effect<Loaded, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, client, lease, usage, tell } = context
    const from = pass.position ?? undefined
    if (from !== undefined)
      yield* Effect.logInfo(`going on at page ${from.page} of a pass that was broken off`)
    const fields = { current: pass.fields ?? NO_FIELDS }
    let stated = pass.stated ?? undefined
    let [shown, withoutId] = [0, 0]
    let [pagesLoaded, counts] = [0, NO_COUNTS]
    /** Batches that may not be written yet. A batch that is prepared meanwhile must know them. */
    const inFlight = new Set<PreparedBatch>()

    const prepare = (extracts: ReadonlyArray<ReadPageRecords>) => {
      const records = extracts.flatMap(one => one.records)
      return Effect.map(prepareBatch(sql, lease, stream, records, inFlight, context.beside), prepared => {
        inFlight.add(prepared)
        const shares = extracts.flatMap(({ page }) => page.share ?? [])
        return { prepared, shares, pages: extracts.length, last: extracts.at(-1)!.page }
      })
    }
    const write = ({
      prepared,
      shares,
      pages: count,
      last,
    }: Effect.Effect.Success<ReturnType<typeof prepare>>) =>
      Effect.gen(function* () {
        stated = last.total ?? stated
        withoutId += prepared.records.filter(({ id }) => id === null).length
        const unkeyed = pass.unkeyed + withoutId
        const position = { passId: pass.passId, position: last.next, stated, unkeyed }
        const progress = { ...position, pages: count, ...usage, fields }
        const batch = yield* writeBatch(sql, lease, stream, prepared, progress)
        inFlight.delete(prepared)
        yield* Effect.forEach(shares, ({ release }) => release, { discard: true })
        shown += prepared.records.length + prepared.erased.length
        pagesLoaded += count
        counts = addCounts(counts, batch)
        yield* tell({ ...figuresOf(counts), pages: pagesLoaded, total: stated })
      })

    yield* withTab(tab =>
      (pass.isRead ? S.empty : pages(client, contract, stream.source, from, tab)).pipe(
        S.tap(page =>
          Effect.sync(() => {
            watch.see(page)
            movement.see(page)
          }),
        ),
        S.mapEffect(completeRecords(context, stream, byId)),
        ofMerchants(context, stream, from !== undefined),
        S.buffer({ capacity: PAGES_AHEAD }),
        S.aggregateWithin(batchOf, Schedule.spaced(BATCH_AGE)),
        S.filter(extracts => extracts.length > 0),
        S.mapEffect(prepare),
        // One batch is prepared while Postgres writes the one before it.
        S.buffer({ capacity: 1 }),
        S.runForEach(write),
      ),
    )
    return { extracted: counts.extracted, shown, withoutId, stated, fields: fields.current }
  })

/** Closes a pass with the removals that it proves, and learns how the next run may read the list. */
const closeRead = (
  context: StreamContext,
  stream: Guarded<ListStream>,
  contract: Contract,
  reading: Reading & {
    readonly loaded: Loaded
    /** True if this run read all pages. */
    readonly isRead: boolean
    readonly isEmpty: boolean
    readonly emptyNote: string | null
  },
): Effect.Effect<ListResult, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, lease } = context
    const { pass, byId, watch, movement, loaded, isRead, isEmpty, emptyNote } = reading
    const { passId } = pass
    const { stated } = loaded
    const seen = yield* seenRecords(sql, lease, passId)
    const listed = seen.count + pass.unkeyed + loaded.withoutId
    const isWhole = yield* holdsAll(contract, stream, listed, stated)
    const provesRemoval = contract.verified && !isEmpty && isWhole
    const isReordered = contract.learned?.order !== undefined && watch.isRefuted(contract.learned.order)
    const moved =
      (isReordered ? "The list is not in the order that it was in before." : undefined) ??
      movement.why({ held: isRead ? loaded.shown : null, distinct: listed, stated }) ??
      null
    const missing = provesRemoval ? yield* missingRecords(context, stream, { passId, seen }, byId) : undefined
    const proof =
      missing === undefined
        ? { movement: moved }
        : yield* proofOf(context, stream, contract, { passId, movement, moved, isResumed: !isRead, missing })
    const { removed, unconfirmed, isHeldBack, openRejects, note } = yield* closePass(sql, lease, stream, {
      passId,
      provesRemoval,
      stated,
      listed,
      ...missing,
      ...proof,
    })
    yield* settleItems(sql, lease, stream, context.settings.confirmsRemovals ?? false)
    yield* refuseOpen(context, stream)
    const { learned: _, ...unlearned } = contract
    // The order of a shorter list is proven over its former length until the missing records are proven to be gone.
    const pagesBefore = unconfirmed > 0 ? (contract.learned?.pages ?? 0) : 0
    const learned = provesRemoval
      ? yield* learn(context, stream, contract, { watch, byId, isWhole: isRead, pagesBefore })
      : undefined
    const held = { ...proof, hasById: missing?.isCounting === false, isHeldBack }
    const totalNote =
      stated !== undefined && stated > listed
        ? `The API states ${stated} ${stream.name}, its pages hold ${listed}: a total that counts others, or a list that cannot be read whole.`
        : null
    return {
      contract: { ...unlearned, ...(learned === undefined ? {} : { learned }) },
      rejected: openRejects,
      removed,
      leftOver: 0,
      // The first reason why nothing was booked as removed is enough: it is the one to act on.
      note: joinNotes(
        emptyNote ?? (isWhole ? note : UNPROVEN),
        missing?.note,
        provesRemoval && note === null ? unconfirmedNote(stream, unconfirmed, held) : null,
        totalNote,
      ),
    }
  })

/**
 * Fails for an empty list, unless no row is stored and its path is configured or its stream is optional. Answers a note
 * about it.
 */
const believeEmpty = (context: StreamContext, stream: Guarded<ListStream>, contract: Contract) =>
  Effect.gen(function* () {
    const variable = pathVariable(stream.name)
    const fail = (message: string) =>
      Effect.fail(new EndpointError({ reason: "contract", path: contract.path, message }))
    if (yield* hasRows(context.sql, context.lease, stream)) {
      return yield* fail(
        `${contract.path} lists nothing, but the warehouse holds ${stream.name}: nothing was booked as removed.` +
          ` Check that the token is still this merchant's, and ${variable}.`,
      )
    }
    if (context.account.paths[stream.name] === undefined && !stream.isOptional) {
      return yield* fail(
        `${contract.path} answered with an empty list, but that path is not documented: it proves nothing.` +
          ` If there really are no ${stream.name}, set ${variable}=${contract.path}.`,
      )
    }
    const isConfigured = context.account.paths[stream.name] !== undefined
    return isConfigured
      ? `${contract.path} (as configured) lists nothing.`
      : `${contract.path} lists nothing, and that path is not documented: if there are ${stream.name}, set ${variable} to another path.`
  })

/** Fails if records of the pass are neither rows nor rejects: a trigger or a rule of this database took them away. */
const refuseUnaccounted = ({ sql, lease }: StreamContext, stream: Guarded<ListStream>, passId: string) =>
  Effect.gen(function* () {
    const lost = yield* unaccounted(sql, lease, stream, passId)
    if (lost > 0)
      return yield* new WarehouseError({
        message:
          `${lost} ${stream.name} were read, and are neither rows nor rejects: something in this database keeps them out.` +
          ` See which triggers and rules warehouse.${stream.name} has, and remove them.`,
      })
  })
