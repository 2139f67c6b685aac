import { randomUUID } from "node:crypto"
import { Chunk, Effect, Stream as S } from "effect"
import { pathVariable } from "./Config.ts"
import { EndpointError } from "./Errors.ts"
import { isJsonObject, type Json, type JsonObject } from "./Json.ts"
import type { StreamContext, StreamFailure, StreamResult } from "./Pipeline.ts"
import { type Contract, discover, discoverDetail, readDetail } from "./paycombat/discovery.ts"
import { type Page, type Position, pages } from "./paycombat/paging.ts"
import type { ListStream } from "./Stream.ts"
import { storeContract, storedContract } from "./warehouse/Contracts.ts"
import { abandonPass, closePass, hasRows, openPass } from "./warehouse/Ledger.ts"
import { prepareBatch, writeBatch } from "./warehouse/Loader.ts"
import { merchantHeld } from "./warehouse/merchant.ts"
import type { Extracted } from "./warehouse/prepare.ts"
import { isStorable } from "./warehouse/unstorable.ts"

/** One pass over a list: discover → pages → load, batch by batch → close the pass. */

/** Records that are loaded together; small pages are gathered up to it. */
const BATCH_RECORDS = 5_000
/** Longest time that pages wait to be loaded: what a crash may cost. */
const BATCH_AGE = "2 seconds"
/** Pages read ahead while a batch is being loaded. */
const PAGES_AHEAD = 4
/** List items whose by-id endpoint is looked for before it counts as not there: one of them may be gone by then. */
const DETAIL_PROBES = 3

interface Extract {
  readonly page: Page
  readonly records: ReadonlyArray<Extracted>
}

/**
 * A page's records, those that lack parts replaced by what their by-id endpoint says. Where that has
 * no such record the item stays as it is: it becomes a reject that names the missing part, and costs nobody else.
 */
const wholeRecords = (context: StreamContext, stream: ListStream) => {
  const { detail, idField } = stream.source
  let candidate: number | undefined
  const lacksParts = (record: Json): record is JsonObject =>
    detail !== null && isJsonObject(record) && typeof record[idField] === "string" && detail.isNeeded(record)
  const read = (record: JsonObject, readAt: Date): Effect.Effect<Extracted, StreamFailure> =>
    readDetail(context.client, stream.source, candidate!, String(record[idField])).pipe(
      Effect.map(whole => ({ record: { ...record, ...whole.record }, readAt: whole.readAt })),
      Effect.catchIf(isAboutRecord, () => Effect.succeed({ record, readAt })),
    )
  const findCandidate = ([first, ...others]: ReadonlyArray<JsonObject>): Effect.Effect<
    number,
    StreamFailure
  > =>
    discoverDetail(context.client, stream.source, String(first![idField])).pipe(
      Effect.map(found => found.candidate),
      Effect.catchIf(
        error => isAboutRecord(error) && others.length > 0,
        () => findCandidate(others),
      ),
    )
  return (page: Page): Effect.Effect<Extract, StreamFailure> =>
    Effect.gen(function* () {
      const lacking = page.records.filter(lacksParts)
      if (lacking.length > 0) candidate ??= yield* findCandidate(lacking.slice(0, DETAIL_PROBES))
      const records = yield* Effect.forEach(
        page.records,
        (record): Effect.Effect<Extracted, StreamFailure> =>
          lacksParts(record) ? read(record, page.readAt) : Effect.succeed({ record, readAt: page.readAt }),
        { concurrency: context.account.concurrency },
      )
      return { page, records }
    })
}

/** A definite answer about the one record that was asked for; anything else is about the endpoint. */
const isAboutRecord = (error: StreamFailure): boolean =>
  error._tag === "EndpointError" &&
  error.status !== 403 &&
  (error.reason === "refused" || error.reason === "failed" || error.reason === "contract")

/**
 * Lets a page through whose records are all of the merchant that the warehouse holds for this account. With a
 * swapped token all that is stored would soon be booked as removed.
 */
const ofOneMerchant = (context: StreamContext, stream: ListStream) => {
  const { sql, account } = context
  const { merchantField, paths } = stream.source
  const trusted = new Set<string>()
  const check = (merchant: string): Effect.Effect<void, StreamFailure> =>
    Effect.gen(function* () {
      const held = yield* merchantHeld(sql, account.name, stream.table, merchantField!, merchant)
      if (held === "same" || (held === "unknown" && trusted.size === 0)) {
        trusted.add(merchant)
        return
      }
      return yield* new EndpointError({
        reason: "contract",
        path: paths[0]!,
        message:
          `The list of ${stream.name} holds records of another ${merchantField} than the account ${account.name} has` +
          " in the warehouse: none of them was stored. Check the token; another merchant needs an account of its own.",
      })
    })
  return ({ records }: Extract): Effect.Effect<void, StreamFailure> => {
    const merchants = records.flatMap(({ record }) => {
      const merchant = merchantField !== null && isJsonObject(record) ? record[merchantField] : undefined
      return typeof merchant === "string" && !trusted.has(merchant) && isStorable(merchant) ? [merchant] : []
    })
    return Effect.forEach(new Set(merchants), check, { discard: true })
  }
}

/** Whether a pass that was made with one contract can go on with the other: its pages are the same pages. */
const readsAlike = (a: Contract | undefined, b: Contract): boolean =>
  a?.path === b.path && a.pageParam === b.pageParam && a.sizeParam === b.sizeParam && a.at === b.at

/** An empty list is only believed where nothing speaks against it. */
const believeEmpty = (context: StreamContext, stream: ListStream, contract: Contract) =>
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

/** Runs one full pass over a list, going on where a pass that was broken off had come to. */
export const runListStream = (
  context: StreamContext,
  stream: ListStream,
): Effect.Effect<StreamResult, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, client, account, held, usage, tell } = context
    const known = (yield* storedContract(sql, account.name, stream.name)) as Contract | undefined
    const contract = yield* discover(client, stream.source, {
      pathVariable: pathVariable(stream.name),
      configuredPath: account.paths[stream.name],
      configuredPaging: account.paging,
      known,
    })
    yield* storeContract(sql, held, contract)
    if (!readsAlike(known, contract)) {
      const { path, pageParam, sizeParam, at } = contract
      yield* Effect.logInfo(`found at ${path}, paging by ${pageParam},${sizeParam}, records in ${at}`)
    }
    const pass = yield* openPass(sql, held, {
      newPassId: randomUUID(),
      canResume: !context.settings.full && readsAlike(known, contract),
    })
    const from = (pass.position ?? undefined) as Position | undefined
    if (from !== undefined)
      yield* Effect.logInfo(`going on at page ${from.page} of a pass that was broken off`)

    let stated: number | undefined
    const done = { pages: 0, extracted: 0, inserted: 0, updated: 0, rejected: 0 }
    const toRead = pass.isRead ? S.empty : pages(client, contract, stream.source, from)
    yield* toRead.pipe(
      S.mapEffect(wholeRecords(context, stream)),
      S.tap(ofOneMerchant(context, stream)),
      S.buffer({ capacity: PAGES_AHEAD }),
      S.groupedWithin(Math.ceil(BATCH_RECORDS / Math.max(1, contract.pageSize)), BATCH_AGE),
      S.map(Chunk.toReadonlyArray),
      S.mapEffect(extracts =>
        Effect.map(
          prepareBatch(
            sql,
            held,
            stream,
            extracts.flatMap(({ records }) => records),
          ),
          prepared => ({ prepared, pages: extracts.length, last: extracts.at(-1)!.page }),
        ),
      ),
      // One batch is prepared here while Postgres writes the one before it.
      S.buffer({ capacity: 1 }),
      S.runForEach(({ prepared, pages, last }) =>
        Effect.gen(function* () {
          const progress = { passId: pass.passId, position: last.next, pages, ...usage }
          const counts = yield* writeBatch(sql, held, stream, prepared, progress)
          done.pages += pages
          done.extracted += counts.extracted
          done.inserted += counts.inserted
          done.updated += counts.updated
          done.rejected += counts.rejected
          stated = last.total
          yield* tell({ ...done, total: stated })
        }),
      ),
    )
    const isEmpty = from === undefined && !pass.isRead && done.extracted === 0
    const emptyNote = isEmpty ? yield* believeEmpty(context, stream, contract) : null
    const { removed, openRejects, seen, note } = yield* closePass(sql, held, stream, {
      passId: pass.passId,
      provesRemoval: contract.verified && !isEmpty,
    })
    const totalNote =
      stated !== undefined && stated > seen
        ? `The API states ${stated} ${stream.name}, its pages hold ${seen}: a total that counts others, or a list that cannot be read whole.`
        : null
    return { rejected: openRejects, removed, leftOver: 0, note: emptyNote ?? note ?? totalNote }
  }).pipe(
    // What was read on a wrong contract must not be gone on with.
    Effect.tapErrorTag("EndpointError", error =>
      error.reason === "contract" ? Effect.ignore(abandonPass(context.sql, context.held)) : Effect.void,
    ),
  )
