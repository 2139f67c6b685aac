import { Effect } from "effect"
import type { ListSource } from "../../core/stream.ts"
import type { Client } from "../client/client.ts"
import type { Contract, TimeField, TimeFilter } from "./contract.ts"
import { NEWEST, type Timed, timedOf, type Watch } from "./order.ts"
import { readPage } from "./readPage.ts"

const START = "start_time"
const END = "end_time"
/** Added to the present as an end later than any record. Clocks differ by less. */
const DAY_MILLIS = 86_400_000
const FORMS = [false, true].flatMap(hasEnd =>
  (["seconds", "milliseconds"] as const).map(unit => ({ unit, hasEnd })),
)

/**
 * The contract of the same list, restricted to records that are not older than a time. It has shown no record yet, and
 * may be empty. The length of the whole list does not apply to it.
 */
export const filteredContract = (
  contract: Contract,
  { unit, hasEnd }: Omit<TimeFilter, "by">,
  fromMillis: number,
  nowMillis: number,
): Contract => {
  const inUnit = (millis: number) => Math.floor(millis / (unit === "seconds" ? 1_000 : 1))
  const end = hasEnd ? `&${END}=${inUnit(nowMillis + DAY_MILLIS)}` : ""
  const mark = contract.path.includes("?") ? "&" : "?"
  const { learned: _, ...list } = contract
  return { ...list, verified: false, path: `${contract.path}${mark}${START}=${inUnit(fromMillis)}${end}` }
}

/** The second at which a few of the newest records begin: at most half a page, and not all of them. */
const cutFor = (latest: ReadonlyArray<Timed>, by: TimeField, pageSize: number): number | undefined => {
  const oldest = latest[Math.min(latest.length - 2, Math.floor(pageSize / 2) - 1)]?.[by]
  return oldest === undefined || oldest === null ? undefined : Math.floor(oldest / 1_000) * 1_000
}

/**
 * Tests the filters on the newest records of a pass over the whole list, with one request each. Undefined if none is
 * proven. The field of a filter shows only in records whose two times are on different sides of the cut. Without such a
 * record it is assumed to be the creation, which promises less.
 */
export const findTimeFilter = (
  client: Client,
  source: ListSource,
  contract: Contract,
  watch: Watch,
  nowMillis: number,
): Effect.Effect<TimeFilter | undefined> =>
  Effect.gen(function* () {
    for (const by of ["updated", "created"] as const) {
      const cut = cutFor(watch.latest(by), by, contract.pageSize)
      if (cut === undefined) continue
      for (const form of FORMS) {
        const page = yield* readPage(
          client,
          source,
          filteredContract(contract, form, cut, nowMillis),
          1,
          contract.pageSize,
        ).pipe(Effect.orElseSucceed(() => undefined))
        if (page === undefined) continue
        const read = page.records.flatMap(record => timedOf(source, record) ?? [])
        const isBy = (time: TimeField) =>
          !watch.isLacking(time) &&
          read.length < contract.pageSize &&
          read.every(record => (record[time] ?? cut) >= cut) &&
          areAllIn(
            watch.latest(time).filter(record => record[time]! >= cut),
            read,
          )
        if (isBy("created")) return { ...form, by: "created" }
        if (isBy("updated")) return { ...form, by: "updated" }
      }
    }
    return undefined
  })

/** Fewer records than are kept: then no other is as new. */
const areAllIn = (expected: ReadonlyArray<Timed>, read: ReadonlyArray<Timed>): boolean => {
  const ids = new Set(read.map(({ id }) => id))
  return expected.length > 0 && expected.length < NEWEST && expected.every(({ id }) => ids.has(id))
}
