import { Effect, Stream } from "effect"
import type { AccountError, EndpointError } from "../../core/errors.ts"
import { isAddressable } from "../../core/id.ts"
import type { Json, JsonObject } from "../../core/json.ts"
import { recordIdOf } from "../../core/recordId.ts"
import type { ListSource } from "../../core/stream.ts"
import type { Client } from "../../paycombat/client/client.ts"
import { discoverDetail, readDetail } from "../../paycombat/lists/byId.ts"
import type { Contract, TimeField } from "../../paycombat/lists/contract.ts"
import { type DiscoveryOptions, discover } from "../../paycombat/lists/discovery.ts"
import { timedOf, type Watch, watchOrder } from "../../paycombat/lists/order.ts"
import type { Page } from "../../paycombat/lists/page.ts"
import { pages } from "../../paycombat/lists/pager.ts"

/** Examines a list: how it is read, and a sample of its records. Stores nothing, and proves nothing for later runs. */

/** Pages read from the start of a list: as many as a time order needs to show, and two more. */
export const SAMPLE_PAGES = 5
/** Most records of such a page, whatever the page size of a run is. */
const SAMPLE_PAGE_SIZE = 100
/** Records read by id if the list shows only a part of each. */
const DETAILS = 5
/** Records by which a by-id endpoint is looked for. One of them may be deleted by now. */
const DETAIL_TRIES = 2

export type SeenOrder = "newest first" | "oldest first" | "neither" | "too few records to tell"

export interface Probe {
  readonly contract: Contract
  /** Complete records of the sample: as the by-id endpoint answers them, if the list leaves parts out. */
  readonly records: ReadonlyArray<Json>
  readonly pages: number
  readonly isWhole: boolean
  readonly total: number | undefined
  /** The order of the sample, and the time that it follows; undefined if no time of a record is declared. */
  readonly order: { readonly seen: SeenOrder; readonly by: TimeField | undefined } | undefined
  readonly byId:
    | {
        readonly endpoint: string | null
        /** The error of the by-id endpoint; null if it answered. */
        readonly why: string | null
        /** True if the list leaves out a part of each record that the by-id answer has. */
        readonly isNeeded: boolean
        /** Fields that only the by-id answer has, and that only the list item has. */
        readonly onlyById: ReadonlyArray<string>
        readonly onlyInList: ReadonlyArray<string>
      }
    | undefined
}

type Failing<A> = Effect.Effect<A, AccountError | EndpointError>

/** Finds out how a list is read, and reads up to `SAMPLE_PAGES` pages. Fails if discovery or a page does. */
export const probeList = (client: Client, source: ListSource, options: DiscoveryOptions): Failing<Probe> =>
  Effect.gen(function* () {
    const contract = yield* discover(client, source, options)
    const sampled: Contract = {
      ...contract,
      pageSize: Math.min(contract.pageSize, SAMPLE_PAGE_SIZE),
      maxPageSize: Math.min(contract.maxPageSize ?? Number.POSITIVE_INFINITY, SAMPLE_PAGE_SIZE),
    }
    const watch = watchOrder(source)
    const read: ReadonlyArray<Page> = yield* pages(client, sampled, source).pipe(
      Stream.take(SAMPLE_PAGES),
      Stream.tap(page => Effect.sync(() => watch.see(page))),
      Stream.runCollect,
      Effect.map(found => [...found]),
    )
    const records = distinct(source, read)
    const detail = yield* detailOf(client, source, records)
    return {
      contract,
      records: detail?.whole ?? records,
      pages: read.filter(page => page.records.length > 0).length,
      isWhole: read.at(-1)?.isLast === true,
      total: read.findLast(page => page.total !== undefined)?.total,
      order: source.times === undefined ? undefined : orderOf(source, records, watch),
      byId: detail?.byId,
    }
  })

/** Removes repetitions. Pages overlap if records are inserted meanwhile, and their ends are read twice. */
const distinct = (source: ListSource, read: ReadonlyArray<Page>): ReadonlyArray<Json> => {
  const known = new Set<string>()
  return read
    .flatMap(({ records }) => records)
    .filter(record => {
      const id = recordIdOf(source, record)
      if (id === null) return true
      const isNew = !known.has(id)
      known.add(id)
      return isNew
    })
}

const isMonotonic = (times: ReadonlyArray<number>, sign: 1 | -1): boolean =>
  times.every((time, i) => i === 0 || sign * (time - times[i - 1]!) >= 0) &&
  new Set(times).size > Math.max(1, times.length / 4)

/** The order in the sample: proven as by a run, or else one that holds in the whole sample. */
const orderOf = (source: ListSource, records: ReadonlyArray<Json>, watch: Watch): Probe["order"] => {
  const proven = watch.order()
  if (proven !== undefined) return { seen: "newest first", by: proven }
  const timed = records.flatMap(record => timedOf(source, record) ?? [])
  for (const by of ["created", "updated"] as const) {
    const times = timed.flatMap(record => record[by] ?? [])
    if (times.length < 3) continue
    if (isMonotonic(times, -1)) return { seen: "newest first", by }
    if (isMonotonic(times, 1)) return { seen: "oldest first", by }
  }
  return { seen: timed.length < 3 ? "too few records to tell" : "neither", by: undefined }
}

const idsOf = (source: ListSource, records: ReadonlyArray<Json>): ReadonlyArray<string> =>
  records.flatMap(record => recordIdOf(source, record) ?? []).filter(isAddressable)

const fieldsOnlyIn = (some: JsonObject, other: JsonObject) =>
  Object.keys(some).filter(field => !Object.hasOwn(other, field))

/** Looks for the by-id endpoint, and reads some records through it if list items need it. */
const detailOf = (client: Client, source: ListSource, records: ReadonlyArray<Json>) =>
  Effect.gen(function* () {
    const ids = idsOf(source, records)
    if (source.detail === null || ids.length === 0) return undefined
    const { isNeeded } = source.detail
    const listed = (id: string) => records.find(record => recordIdOf(source, record) === id) as JsonObject
    const needs = ids.some(id => isNeeded(listed(id)))
    let why: string | null = null
    for (const id of ids.slice(0, DETAIL_TRIES)) {
      const found = yield* Effect.either(discoverDetail(client, source, id))
      if (found._tag === "Left") {
        why = found.left.message
        continue
      }
      const { endpoint, record } = found.right
      const others = needs ? ids.filter(other => other !== id).slice(0, DETAILS - 1) : []
      const more = yield* Effect.forEach(others, other =>
        Effect.option(readDetail(client, source, endpoint, other)),
      )
      return {
        whole: needs
          ? [record, ...more.flatMap(detail => (detail._tag === "Some" ? [detail.value.record] : []))]
          : undefined,
        byId: {
          endpoint,
          why: null,
          isNeeded: needs,
          onlyById: fieldsOnlyIn(record, listed(id)),
          onlyInList: fieldsOnlyIn(listed(id), record),
        },
      }
    }
    return {
      whole: undefined,
      byId: { endpoint: null, why, isNeeded: needs, onlyById: [], onlyInList: [] },
    }
  })
