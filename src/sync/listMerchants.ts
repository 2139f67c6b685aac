import { Effect, Stream as S } from "effect"
import { suffixed } from "../config/config.ts"
import { EndpointError, type WarehouseError } from "../core/errors.ts"
import { isJsonObject } from "../core/json.ts"
import { idText } from "../core/recordId.ts"
import type { ListStream } from "../core/stream.ts"
import { PAGE_UNITS } from "../paycombat/client/budget.ts"
import { isStorable } from "../postgres/unstorable.ts"
import { knownMerchants, merchantsHeld } from "../warehouse/load/merchant.ts"
import type { SourceRecord } from "../warehouse/load/prepare.ts"
import type { ReadPageRecords } from "./completeRecords.ts"
import type { StreamContext, StreamFailure } from "./context.ts"

/**
 * Whose records a list shows. With a swapped token all that is stored would soon be booked as removed, so a list of
 * other merchants only fails the stream; a single record of another merchant costs itself.
 *
 * An account's merchants are those of `PAYCOMBAT_MERCHANTS`, and those whose records a complete pass has stored. In a
 * first pass without that setting they are the only one that the list names. With the setting a list may still name a
 * kind of id that is not in it (an organization where merchants are configured): then, too, the only one.
 */

/**
 * Records, bytes, and units of memory that wait for the first record of the account's own merchant before the list counts
 * as another's. Pages that wait have no share of the process' memory, because they wait for pages that need one.
 */
const WAITING_RECORDS_MAX = 1_000
const WAITING_BYTES_MAX = 4 * 2 ** 20
const WAITING_UNITS_MAX = PAGE_UNITS / 4
/** Merchants that a message names. */
const NAMED_MAX = 5

const merchantOf = ({ source }: ListStream, { record }: Pick<SourceRecord, "record">): string | null => {
  const merchant =
    source.merchantField !== null && isJsonObject(record) ? idText(record[source.merchantField]) : null
  return merchant !== null && isStorable(merchant) ? merchant : null
}

const named = (merchants: Iterable<string>): string => {
  const all = [...merchants]
  // As JSON: an id may hold what a terminal obeys.
  const quoted = all.slice(0, NAMED_MAX).map(id => (/^[\w.-]+$/.test(id) ? id : JSON.stringify(id)))
  return `${quoted.join(", ")}${all.length > NAMED_MAX ? `, and ${all.length - NAMED_MAX} more` : ""}`
}

const variableOf = ({ account }: StreamContext) => suffixed("PAYCOMBAT_MERCHANTS", account.name)

const failure = ({ source }: ListStream, message: string) =>
  new EndpointError({ reason: "contract", path: source.paths[0]!, message })

const severalAtFirst = (context: StreamContext, stream: ListStream, merchants: ReadonlySet<string>) =>
  failure(
    stream,
    `The list of ${stream.name} holds records of one ${stream.source.merchantField} and of another` +
      ` ${stream.source.merchantField} in its first pass: ${named(merchants)}. Check the token; if all of them are the` +
      ` account's, name them in ${variableOf(context)}, separated by commas; else name the account's own.`,
  )

const onlyOthers = (context: StreamContext, stream: ListStream, merchants: ReadonlySet<string>) =>
  failure(
    stream,
    `The list of ${stream.name} holds records of another ${stream.source.merchantField} than the account` +
      ` ${context.account.name} has in the warehouse (${named(merchants)}): none of them was stored. Check the token;` +
      ` another merchant needs an account of its own, or its id in ${variableOf(context)}.`,
  )

/** What is known while a list is read. */
const makeGuard = (context: StreamContext, stream: ListStream, isResumed: boolean) =>
  Effect.gen(function* () {
    const { sql, account, lease } = context
    const field = stream.source.merchantField!
    const configured = new Set(account.merchants)
    const { hasFull, one } = yield* knownMerchants(sql, lease, stream.table, field)
    const isEstablished = one !== null && (hasFull || (isResumed && configured.size > 0))
    const own = new Set<string>([...configured, ...(one === null || configured.size > 0 ? [] : [one])])
    const others = new Set<string>()
    let isDecided = isResumed
    /** The one merchant that was taken for the account's although another is configured. */
    let assumed: string | undefined
    let waiting: Array<ReadPageRecords> = []
    let waitingRecords = 0
    let waitingBytes = 0
    let waitingUnits = 0

    /** Finds out about merchants that were not seen before. */
    const meet = (merchants: Iterable<string>): Effect.Effect<void, StreamFailure> =>
      Effect.gen(function* () {
        const unknown = [...merchants].filter(merchant => !own.has(merchant) && !others.has(merchant))
        if (unknown.length === 0) return
        const stored = yield* merchantsHeld(sql, account.name, stream.table, field, unknown)
        for (const merchant of unknown) {
          const isFirst = !isEstablished && configured.size === 0 && own.size === 0
          const isOwn = isFirst || (stored.has(merchant) && (isEstablished || configured.size === 0))
          ;(isOwn ? own : others).add(merchant)
        }
        if (!isEstablished && configured.size === 0 && others.size > 0)
          return yield* severalAtFirst(context, stream, new Set([...own, ...others]))
      })

    /** Nothing of the account's own came first: the list is another's, or names another kind of id. */
    const decide = Effect.gen(function* () {
      if (isEstablished) return yield* onlyOthers(context, stream, others)
      if (others.size > 1) return yield* severalAtFirst(context, stream, others)
      ;[assumed] = others
      own.add(assumed!)
      others.clear()
      isDecided = true
    })

    const marked = ({ page, records }: ReadPageRecords): ReadPageRecords => ({
      page,
      records: records.map(extracted => {
        const merchant = merchantOf(stream, extracted)
        return merchant === null || own.has(merchant) ? extracted : { ...extracted, isForeign: true }
      }),
    })

    const release = (): ReadonlyArray<ReadPageRecords> => {
      const released = waiting.map(marked)
      waiting = []
      return released
    }

    /** Takes a page, and answers those that can be loaded now, in their order. */
    const see = (extract: ReadPageRecords): Effect.Effect<ReadonlyArray<ReadPageRecords>, StreamFailure> =>
      Effect.gen(function* () {
        const merchants = new Set(extract.records.flatMap(record => merchantOf(stream, record) ?? []))
        yield* meet(merchants)
        isDecided ||= [...merchants].some(merchant => own.has(merchant))
        const beside = [...others, ...[...merchants].filter(merchant => configured.has(merchant))]
        if (assumed !== undefined && beside.length > 0)
          return yield* severalAtFirst(context, stream, new Set([assumed, ...beside]))
        waiting.push(extract)
        if (isDecided || (merchants.size === 0 && waiting.length === 1)) return release()
        waitingRecords += extract.records.length
        waitingBytes += extract.page.bytes
        waitingUnits += extract.page.share?.units ?? 0
        const isFull =
          waitingRecords >= WAITING_RECORDS_MAX ||
          waitingBytes >= WAITING_BYTES_MAX ||
          waitingUnits >= WAITING_UNITS_MAX
        if (isFull) {
          yield* decide
          return release()
        }
        if (extract.page.share !== undefined) yield* extract.page.share.release
        return []
      })

    const end = Effect.suspend(() =>
      waiting.length === 0 ? Effect.succeed([]) : Effect.map(decide, release),
    )
    return { see, end }
  })

/**
 * Marks the records of other merchants, so that each becomes a reject of the kind `merchant`. Fails with `contract`
 * where the list holds other merchants' records only, or several merchants' in a first pass without
 * `PAYCOMBAT_MERCHANTS`. `isResumed`: an earlier run has read the beginning of the pass.
 */
export const ofMerchants =
  (context: StreamContext, stream: ListStream, isResumed = false) =>
  (extracts: S.Stream<ReadPageRecords, StreamFailure>): S.Stream<ReadPageRecords, StreamFailure> =>
    stream.source.merchantField === null
      ? extracts
      : S.unwrap(
          Effect.map(makeGuard(context, stream, isResumed), ({ see, end }) =>
            extracts.pipe(S.mapConcatEffect(see), S.concat(S.fromIterableEffect(end))),
          ),
        )

/** True if records that were read by id, after the list, are all of the account's merchants. */
export const areOurs = (
  { sql, account }: Pick<StreamContext, "sql" | "account">,
  stream: ListStream,
  records: ReadonlyArray<SourceRecord>,
): Effect.Effect<boolean, WarehouseError> =>
  Effect.gen(function* () {
    const { merchantField } = stream.source
    if (merchantField === null) return true
    const configured = new Set(account.merchants)
    const unknown = new Set(
      records
        .flatMap(record => merchantOf(stream, record) ?? [])
        .filter(merchant => !configured.has(merchant)),
    )
    const stored = yield* merchantsHeld(sql, account.name, stream.table, merchantField, [...unknown])
    return [...unknown].every(merchant => stored.has(merchant))
  })
