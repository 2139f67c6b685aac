import { randomUUID } from "node:crypto"
import { Effect, Stream as S, Schedule } from "effect"
import { pathVariable } from "../config/config.ts"
import { NO_FIELDS } from "../core/documentedFields.ts"
import { EndpointError, WarehouseError } from "../core/errors.ts"
import type { Guarded, ListStream } from "../core/stream.ts"
import { withTab } from "../paycombat/client/budget.ts"
import type { Contract } from "../paycombat/lists/contract.ts"
import { discover } from "../paycombat/lists/discovery.ts"
import { watchMovement } from "../paycombat/lists/movement.ts"
import { watchOrder } from "../paycombat/lists/order.ts"
import type { Position } from "../paycombat/lists/page.ts"
import { pages } from "../paycombat/lists/pager.ts"
import { storeContract, storedContract } from "../warehouse/ledger/contracts.ts"
import { bookMode } from "../warehouse/ledger/passes.ts"
import { abandonPass, closePass, hasRows, openPass } from "../warehouse/ledger/runs.ts"
import { seenSoFar, unaccounted } from "../warehouse/ledger/seen.ts"
import { prepareBatch, writeBatch } from "../warehouse/load/loader.ts"
import type { Prepared } from "../warehouse/load/prepare.ts"
import { type ById, wholeRecords } from "./completeRecords.ts"
import type { StreamContext, StreamFailure, StreamResult } from "./context.ts"
import { batchOf } from "./listBatch.ts"
import { runIncremental } from "./listIncremental.ts"
import { ofMerchants } from "./listMerchants.ts"
import { missingRecords } from "./listMissing.ts"
import { learn, planOf } from "./listPlan.ts"
import { noteOf } from "./outcome.ts"
import { bookFieldsRead, refuseOpen, refuseRejected } from "./rejectBound.ts"
import { proofOf, unconfirmedNote } from "./removalProof.ts"

/** A run over a list: discover → plan → pages → load, batch by batch → close the pass. */

/** Longest time that pages wait to be loaded: what a crash may cost. */
const BATCH_AGE = "2 seconds"
/** Pages read ahead while a batch is being loaded. */
const PAGES_AHEAD = 2

/** Whether a pass that was made with one contract can go on with the other: its pages are the same pages. */
const readsAlike = (a: Contract | undefined, b: Contract): boolean =>
  a?.path === b.path && a.pageParam === b.pageParam && a.sizeParam === b.sizeParam && a.at === b.at

/** An empty list is only believed where nothing speaks against it. */
const believeEmpty = (context: StreamContext, stream: Guarded<ListStream>, contract: Contract) =>
  Effect.gen(function* () {
    const variable = pathVariable(stream.name)
    const fail = (message: string) =>
      Effect.fail(new EndpointError({ reason: "contract", path: contract.path, message }))
    if (yield* hasRows(context.sql, context.account.name, stream)) {
      return yield* fail(
        `${contract.path} lists nothing, but the warehouse holds ${stream.name}: nothing was booked as removed.` +
          ` Check that the token is still this merchant's, and ${variable}.`,
      )
    }
    if (context.account.paths[stream.name] === undefined) {
      return yield* fail(
        `${contract.path} answered with an empty list, but nobody documented that path: it proves nothing.` +
          ` If there really are no ${stream.name}, set ${variable}=${contract.path}.`,
      )
    }
    return `${contract.path} (as configured) lists nothing.`
  })

const UNPROVEN =
  "No parameter was seen to set the size of a page: what lies between its pages cannot be told, and nothing is" +
  " booked as removed. If the API has such a parameter, put its names in PAYCOMBAT_PAGING."

/**
 * Whether a pass that came to its end was shown the whole list. Pages that were proven to adjoin leave nothing
 * out, whatever the API states; of others the stated total decides, and fails the stream where it says more. A total
 * below what was read proves nothing: it counts something else, such as the records of a page.
 */
const holdsAll = (contract: Contract, { name }: ListStream, listed: number, stated: number | undefined) => {
  if (contract.pagingProven) return Effect.succeed(true)
  if (stated === undefined || stated <= listed)
    return Effect.succeed(stated === listed || listed <= contract.pageSize)
  return Effect.fail(
    new EndpointError({
      reason: "contract",
      path: contract.path,
      message:
        `GET ${contract.path}: states ${stated} ${name}, but its pages hold ${listed}, and no parameter was seen to set` +
        " their size: what lies between them was not read. Put the names of the API's paging parameters in PAYCOMBAT_PAGING.",
    }),
  )
}

const REFUTED =
  "Read whole: what was proven of the list, its order or its filter by time, does not hold any more."

/** Has the next run prove anew how the list is read. */
const doubt = ({ sql, account, held }: StreamContext, { name }: ListStream) =>
  Effect.gen(function* () {
    const stored = (yield* storedContract(sql, account.name, name)) as Contract | undefined
    if (stored !== undefined) yield* storeContract(sql, held, { ...stored, pagingProven: false } as Contract)
  })

/** Fails where records that the pass was shown are nowhere: a trigger or a rule of this database took them away. */
const refuseUnaccounted = ({ sql, held }: StreamContext, stream: Guarded<ListStream>, passId: string) =>
  Effect.gen(function* () {
    const lost = yield* unaccounted(sql, held, stream, passId)
    if (lost > 0)
      return yield* new WarehouseError({
        message:
          `${lost} ${stream.name} were read, and are neither rows nor rejects: something in this database keeps them out.` +
          ` See which triggers and rules warehouse.${stream.name} has, and remove them.`,
      })
  })

/** One pass over the whole list, going on where one that was broken off had come to. */
const runFull = (
  context: StreamContext,
  stream: Guarded<ListStream>,
  contract: Contract,
  { byId, canResume }: { byId: ById; canResume: boolean },
): Effect.Effect<StreamResult, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, client, held, usage, tell } = context
    const pass = yield* openPass(sql, held, {
      newPassId: randomUUID(),
      canResume,
    })
    const from = (pass.position ?? undefined) as Position | undefined
    if (from !== undefined)
      yield* Effect.logInfo(`going on at page ${from.page} of a pass that was broken off`)

    const watch = watchOrder(stream.source)
    const fields = { current: pass.fields ?? NO_FIELDS }
    const movement = watchMovement(stream.source)
    const shown = { held: 0, nameless: 0 }
    let stated = pass.stated ?? undefined
    const done = { pages: 0, extracted: 0, inserted: 0, updated: 0, rejected: 0 }
    /** Prepared, and perhaps not yet written: what is prepared meanwhile must know of it. */
    const inFlight = new Set<Prepared>()
    yield* withTab(tab =>
      (pass.isRead ? S.empty : pages(client, contract, stream.source, from, tab)).pipe(
        S.tap(page =>
          Effect.sync(() => {
            watch.see(page)
            movement.see(page)
          }),
        ),
        S.mapEffect(wholeRecords(context, stream, byId)),
        ofMerchants(context, stream, from !== undefined),
        S.buffer({ capacity: PAGES_AHEAD }),
        S.aggregateWithin(batchOf, Schedule.spaced(BATCH_AGE)),
        S.filter(extracts => extracts.length > 0),
        S.mapEffect(extracts =>
          Effect.map(
            prepareBatch(
              sql,
              held,
              stream,
              extracts.flatMap(({ records }) => records),
              inFlight,
              context.beside,
            ),
            prepared => {
              inFlight.add(prepared)
              const shares = extracts.flatMap(({ page }) => page.share ?? [])
              return { prepared, shares, pages: extracts.length, last: extracts.at(-1)!.page }
            },
          ),
        ),
        // One batch is prepared here while Postgres writes the one before it.
        S.buffer({ capacity: 1 }),
        S.runForEach(({ prepared, shares, pages, last }) =>
          Effect.gen(function* () {
            stated = last.total ?? stated
            shown.nameless += prepared.records.filter(({ id }) => id === null).length
            const unkeyed = pass.unkeyed + shown.nameless + byId.disowned.size
            const position = { passId: pass.passId, position: last.next, stated, unkeyed }
            const progress = { ...position, pages, ...usage, fields }
            const counts = yield* writeBatch(sql, held, stream, prepared, progress)
            inFlight.delete(prepared)
            yield* Effect.forEach(shares, ({ release }) => release, { discard: true })
            shown.held += prepared.records.length + prepared.erased.length
            done.pages += pages
            done.extracted += counts.extracted
            done.inserted += counts.inserted
            done.updated += counts.updated
            done.rejected += counts.rejected
            yield* tell({ ...done, total: stated })
          }),
        ),
      ),
    )
    const isEmpty = from === undefined && !pass.isRead && done.extracted === 0
    const emptyNote = isEmpty ? yield* believeEmpty(context, stream, contract) : null
    yield* bookFieldsRead(context, stream, fields.current, true)
    // Its checkpoint says that all was read: the next run would go on from it, and judge the same records again.
    yield* Effect.zipRight(
      refuseUnaccounted(context, stream, pass.passId),
      refuseRejected(context, stream),
    ).pipe(Effect.tapError(() => Effect.ignore(abandonPass(sql, held))))
    const seen = yield* seenSoFar(sql, held)
    const withheld = byId.disowned.size
    const listed = seen + pass.unkeyed + shown.nameless + withheld
    const isWhole = yield* holdsAll(contract, stream, listed, stated)
    const provesRemoval = contract.verified && !isEmpty && isWhole
    const { passId } = pass
    const isRead = from === undefined && !pass.isRead
    const isReordered = contract.learned?.order !== undefined && watch.isRefuted(contract.learned.order)
    const moved =
      (isReordered ? "The list is not in the order that it was in before." : undefined) ??
      movement.why({ held: isRead ? shown.held + withheld : null, distinct: listed, stated }) ??
      null
    const missing = provesRemoval ? yield* missingRecords(context, stream, passId, byId) : undefined
    const proof =
      missing === undefined
        ? { movement: moved }
        : yield* proofOf(context, stream, contract, { passId, movement, moved, isResumed: !isRead, missing })
    const { removed, unconfirmed, openRejects, note } = yield* closePass(sql, held, stream, {
      passId,
      provesRemoval,
      stated,
      listed,
      ...missing,
      ...proof,
    })
    yield* refuseOpen(context, stream)
    const { learned: _, ...unlearned } = contract
    const learned = provesRemoval
      ? yield* learn(context, stream, contract, { watch, byId, isWhole: isRead })
      : undefined
    const next: Contract = {
      ...unlearned,
      ...(byId.endpoint === undefined ? {} : { byId: byId.endpoint }),
      ...(learned === undefined ? {} : { learned }),
    }
    if (JSON.stringify(next) !== JSON.stringify(contract)) yield* storeContract(sql, held, next)
    const totalNote =
      stated !== undefined && stated > listed
        ? `The API states ${stated} ${stream.name}, its pages hold ${listed}: a total that counts others, or a list that cannot be read whole.`
        : null
    return {
      rejected: openRejects,
      removed,
      leftOver: 0,
      // One reason why nothing was booked as removed is enough: the first is the one to do something about.
      note: noteOf(
        emptyNote ?? (isWhole ? note : UNPROVEN),
        missing?.note,
        provesRemoval && note === null
          ? unconfirmedNote(stream, unconfirmed, proof.movement, missing?.isCounting === false)
          : null,
        totalNote,
      ),
    }
  })

/**
 * Reads a list: whole, or as far as it is new where that is proven to be enough. What is found not to hold
 * meanwhile is made up for by reading the whole list.
 */
export const runListStream = (
  context: StreamContext,
  stream: Guarded<ListStream>,
): Effect.Effect<StreamResult, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, client, account, held, settings } = context
    const known = (yield* storedContract(sql, account.name, stream.name)) as Contract | undefined
    const found = yield* discover(client, stream.source, {
      pathVariable: pathVariable(stream.name),
      configuredPath: account.paths[stream.name],
      configuredPaging: account.paging,
      known,
    })
    const byId: ById = { endpoint: known?.byId, disowned: new Set() }
    const contract: Contract = { ...found, ...(byId.endpoint === undefined ? {} : { byId: byId.endpoint }) }
    yield* storeContract(sql, held, contract)
    if (!readsAlike(known, contract)) {
      const { path, pageParam, sizeParam, at } = contract
      yield* Effect.logInfo(`found at ${path}, paging by ${pageParam},${sizeParam}, records in ${at}`)
    }
    const plan = yield* planOf(context, stream, contract)
    const canResume = !settings.full && readsAlike(known, contract)
    if (plan.mode === "full") {
      const result = yield* runFull(context, stream, contract, { byId, canResume })
      return { ...result, note: noteOf(result.note, plan.why) }
    }
    const result = yield* runIncremental(context, stream, contract, plan, byId)
    if (result !== undefined) return result
    yield* bookMode(sql, held, "full")
    const { learned: _, ...relearning } = contract
    const full = yield* runFull(context, stream, relearning, { byId, canResume })
    return { ...full, note: noteOf(full.note, REFUTED) }
  }).pipe(
    // What was read on a wrong contract must not be gone on with, nor the contract be believed again.
    Effect.tapErrorTag("EndpointError", error =>
      error.reason === "contract"
        ? Effect.ignore(Effect.zipRight(abandonPass(context.sql, context.held), doubt(context, stream)))
        : Effect.void,
    ),
  )
