import { Effect, Stream as S } from "effect"
import { suffixed } from "../config/variable.ts"
import { EndpointError, type WarehouseError } from "../core/errors.ts"
import type { ListStream } from "../core/stream.ts"
import { PAGE_UNITS } from "../paycombat/client/budget.ts"
import { knownMerchants, merchantOf, storedMerchants } from "../warehouse/load/merchant.ts"
import type { SourceRecord } from "../warehouse/load/prepare.ts"
import type { ReadPageRecords } from "./completeRecords.ts"
import type { StreamContext, StreamFailure } from "./context.ts"

/**
 * Checks that the records of a list belong to the account's merchants. A swapped token would soon have all stored
 * records booked as removed, so a list that holds only other merchants' records fails the stream. A single record of
 * another merchant becomes a reject.
 *
 * An account's merchants are those of `PAYCOMBAT_MERCHANTS`, and those whose records a complete pass has stored. In a
 * first pass without that setting, the list may name one merchant only, which is then the account's. With the setting,
 * a list may name another kind of id than the setting has (an organization, if merchants are configured). It may then
 * name one only.
 */

/**
 * Records, bytes and units of memory that wait for the first record of the account's own merchant. Beyond them the list
 * counts as another's. Waiting pages give up their share of the process' memory: the pages they wait for need one.
 */
const WAITING_RECORDS_MAX = 1_000
const WAITING_BYTES_MAX = 4 * 2 ** 20
const WAITING_UNITS_MAX = PAGE_UNITS / 4
const NAMED_MAX = 5

const named = (merchants: Iterable<string>): string => {
  const all = [...merchants]
  // As JSON: an id may hold control characters of a terminal.
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

/** The merchants of a list, and its pages that wait for a record of the account's own. */
interface State {
  readonly context: StreamContext
  readonly stream: ListStream
  readonly configured: ReadonlySet<string>
  /** True if an earlier pass stored records of the account's merchants. */
  readonly isEstablished: boolean
  readonly own: Set<string>
  readonly others: Set<string>
  isDecided: boolean
  /** The one merchant that was taken for the account's although another is configured. */
  assumed: string | undefined
  waiting: ReadonlyArray<ReadPageRecords>
}

const initialState = (context: StreamContext, stream: ListStream, isResumed: boolean) =>
  Effect.gen(function* () {
    const { sql, account, lease } = context
    const configured = new Set(account.merchants)
    const { hasFull, one } = yield* knownMerchants(sql, lease, stream)
    const state: State = {
      context,
      stream,
      configured,
      isEstablished: one !== null && (hasFull || (isResumed && configured.size > 0)),
      own: new Set([...configured, ...(one === null || configured.size > 0 ? [] : [one])]),
      others: new Set(),
      isDecided: isResumed,
      assumed: undefined,
      waiting: [],
    }
    return state
  })

const sortMerchants = (state: State, merchants: Iterable<string>): Effect.Effect<void, StreamFailure> =>
  Effect.gen(function* () {
    const { context, stream, configured, isEstablished, own, others } = state
    const { sql, account } = context
    const unknown = [...merchants].filter(merchant => !own.has(merchant) && !others.has(merchant))
    if (unknown.length === 0) return
    const stored = yield* storedMerchants(sql, account.name, stream, unknown)
    for (const merchant of unknown) {
      const isFirst = !isEstablished && configured.size === 0 && own.size === 0
      const isOwn = isFirst || (stored.has(merchant) && (isEstablished || configured.size === 0))
      ;(isOwn ? own : others).add(merchant)
    }
    if (!isEstablished && configured.size === 0 && others.size > 0)
      return yield* severalAtFirst(context, stream, new Set([...own, ...others]))
  })

/** Decides about a list that begins without the account's merchants: another's, or another kind of id. */
const decide = (state: State): Effect.Effect<void, StreamFailure> =>
  Effect.gen(function* () {
    const { context, stream, isEstablished, own, others } = state
    if (isEstablished) return yield* onlyOthers(context, stream, others)
    if (others.size > 1) return yield* severalAtFirst(context, stream, others)
    const [assumed] = others
    state.assumed = assumed
    own.add(assumed!)
    others.clear()
    state.isDecided = true
  })

const takeWaiting = (state: State): ReadonlyArray<ReadPageRecords> => {
  const { stream, own, waiting } = state
  state.waiting = []
  return waiting.map(({ page, records }) => ({
    page,
    records: records.map(record => {
      const merchant = merchantOf(stream, record.record)
      return merchant === null || own.has(merchant) ? record : { ...record, isForeign: true }
    }),
  }))
}

const isFull = (waiting: ReadonlyArray<ReadPageRecords>): boolean => {
  const sum = (sizeOf: (extract: ReadPageRecords) => number) =>
    waiting.reduce((total, extract) => total + sizeOf(extract), 0)
  return (
    sum(({ records }) => records.length) >= WAITING_RECORDS_MAX ||
    sum(({ page }) => page.bytes) >= WAITING_BYTES_MAX ||
    sum(({ page }) => page.share?.units ?? 0) >= WAITING_UNITS_MAX
  )
}

const takePage =
  (state: State) =>
  (extract: ReadPageRecords): Effect.Effect<ReadonlyArray<ReadPageRecords>, StreamFailure> =>
    Effect.gen(function* () {
      const { context, stream, configured, own, others, assumed } = state
      const merchants = new Set(extract.records.flatMap(({ record }) => merchantOf(stream, record) ?? []))
      yield* sortMerchants(state, merchants)
      state.isDecided ||= [...merchants].some(merchant => own.has(merchant))
      const unassumed = [...others, ...[...merchants].filter(merchant => configured.has(merchant))]
      if (assumed !== undefined && unassumed.length > 0)
        return yield* severalAtFirst(context, stream, new Set([assumed, ...unassumed]))
      state.waiting = [...state.waiting, extract]
      if (state.isDecided || (merchants.size === 0 && state.waiting.length === 1)) return takeWaiting(state)
      if (isFull(state.waiting)) {
        yield* decide(state)
        return takeWaiting(state)
      }
      if (extract.page.share !== undefined) yield* extract.page.share.release
      return []
    })

const takeRest = (state: State): Effect.Effect<ReadonlyArray<ReadPageRecords>, StreamFailure> =>
  Effect.suspend(() =>
    state.waiting.length === 0 ? Effect.succeed([]) : Effect.map(decide(state), () => takeWaiting(state)),
  )

/**
 * Marks the records of other merchants, so that each becomes a reject of the kind `merchant`. Fails with `contract` if
 * the list holds only other merchants' records, or several merchants' in a first pass without `PAYCOMBAT_MERCHANTS`.
 * `isResumed`: an earlier run has read the beginning of the pass.
 */
export const ofMerchants =
  (context: StreamContext, stream: ListStream, isResumed = false) =>
  (extracts: S.Stream<ReadPageRecords, StreamFailure>): S.Stream<ReadPageRecords, StreamFailure> =>
    stream.source.merchantField === null
      ? extracts
      : S.unwrap(
          Effect.map(initialState(context, stream, isResumed), state =>
            extracts.pipe(
              S.mapConcatEffect(takePage(state)),
              S.concat(S.fromIterableEffect(takeRest(state))),
            ),
          ),
        )

/** True if all of these records, which were read by id after the list, belong to the account's merchants. */
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
        .flatMap(({ record }) => merchantOf(stream, record) ?? [])
        .filter(merchant => !configured.has(merchant)),
    )
    const stored = yield* storedMerchants(sql, account.name, stream, unknown)
    return [...unknown].every(merchant => stored.has(merchant))
  })
