import { describe, expect, it } from "@effect/vitest"
import { Effect, Either, Stream } from "effect"
import * as fc from "fast-check"
import type { ListSource } from "../../src/core/stream.ts"
import type { Contract } from "../../src/paycombat/lists/contract.ts"
import { watchMovement } from "../../src/paycombat/lists/movement.ts"
import { pages } from "../../src/paycombat/lists/pager.ts"
import { readAgain } from "../../src/sync/removalProof.ts"
import { against, settle } from "../paycombat/played.ts"
import { fuzz, fuzzMillis } from "../support/fuzz.ts"

/**
 * Tiny lists that change between any two requests of a pass and of its second reading, in every way and at every moment.
 * A pass that takes such a list for one that stood still must have been shown each record that was listed all the time.
 */

const ORDERS = ["updated-last", "updated-first", "created-last", "created-first", "by-id"] as const
type Order = (typeof ORDERS)[number]

interface World {
  readonly order: Order
  readonly records: number
  readonly pageSize: number
  readonly hasTotal: boolean
  readonly afterEnd: "empty" | "404"
}

/** Before one of the requests: a record at a place of the list changes or is deleted, or another is inserted. */
interface Change {
  readonly before: number
  readonly what: "touch" | "delete" | "insert"
  readonly place: number
}

const PATH = "/list"
const source: ListSource = {
  kind: "list",
  paths: [PATH],
  idField: "id",
  merchantField: null,
  recognizes: () => true,
  detail: null,
  times: { created: "created_at", updated: "updated_at", open: null },
}

interface Item {
  readonly id: string
  readonly created: number
  readonly updated: number
}

/** Long ago: no time of a record tells that it changed while the list was read. */
const timeOf = (n: number) => new Date(Date.UTC(2020, 0, 1, 0, 0, n)).toISOString()

const sorted = (order: Order, items: ReadonlyArray<Item>): ReadonlyArray<Item> => {
  const by = { updated: (item: Item) => item.updated, created: (item: Item) => item.created }
  const keyOf = order.startsWith("updated") ? by.updated : by.created
  const direction = order.endsWith("first") ? -1 : 1
  return [...items].sort((one, other) =>
    order === "by-id" ? (one.id < other.id ? -1 : 1) : direction * (keyOf(one) - keyOf(other)),
  )
}

/** A list that is served while these changes are made to it, and what became of its records. */
const served = ({ order, records, pageSize, hasTotal, afterEnd }: World, changes: ReadonlyArray<Change>) => {
  let now = records
  let items: ReadonlyArray<Item> = Array.from({ length: records }, (_, n) => ({
    // By id, inserted records come between those that were there.
    id: `r${2 * n + 1}`,
    created: n,
    updated: n,
  }))
  const lasting = new Set(items.map(({ id }) => id))
  const make = ({ what, place }: Change) => {
    now++
    const list = sorted(order, items)
    const target = list[place % Math.max(1, list.length)]
    if (what === "insert" || target === undefined) {
      items = [...items, { id: `r${2 * (place % (records + 1))}.${now}`, created: now, updated: now }]
      return
    }
    items = items.filter(({ id }) => id !== target.id)
    if (what === "touch") items = [...items, { ...target, updated: now }]
    else lasting.delete(target.id)
  }
  const answer = (n: number, url: URL): Response => {
    for (const change of changes) if (change.before === n) make(change)
    const list = sorted(order, items)
    const page = Math.max(1, Number(url.searchParams.get("page")))
    const size = Number(url.searchParams.get("limit"))
    const on = list.slice((page - 1) * size, page * size)
    if (on.length === 0 && page > 1 && afterEnd === "404") return Response.json({}, { status: 404 })
    return Response.json({
      status: true,
      data: on.map(({ id, created, updated }) => ({
        id,
        created_at: timeOf(created),
        updated_at: timeOf(updated),
      })),
      ...(hasTotal ? { total: list.length } : {}),
    })
  }
  const contract: Contract = {
    path: PATH,
    pageParam: "page",
    sizeParam: "limit",
    firstPage: 1,
    at: "data",
    pageSize,
    maxPageSize: null,
    hasTotal,
    pagingProven: true,
    verified: true,
  }
  return { answer, contract, lasting }
}

interface Outcome {
  /** Requests of the pass and its second reading. */
  readonly requests: number
  /** The sign that the list moved, or that the pass was interrupted; null if the pass counts as proof. */
  readonly movement: string | null
  /** Records that were listed all the time, and that the pass was not shown. */
  readonly overlooked: ReadonlyArray<string>
}

/** One pass as a run makes it that would book a removal, over a list that changes. */
const passOver = (world: World, changes: ReadonlyArray<Change>): Effect.Effect<Outcome> =>
  Effect.gen(function* () {
    const { answer, contract, lasting } = served(world, changes)
    const bounds = { pageSize: world.pageSize, ratePerSecond: 1_000_000 }
    const { client, sent } = yield* against((n, { url }) => answer(n, url), bounds)
    const movement = watchMovement(source)
    const read = yield* Effect.either(
      Stream.runCollect(
        Stream.tap(pages(client, contract, source), page => Effect.sync(() => movement.see(page))),
      ),
    )
    if (Either.isLeft(read)) return { requests: sent.length, movement: read.left.message, overlooked: [] }
    const held = [...read.right].flatMap(page =>
      page.records.map(record => String((record as { id: string }).id)),
    )
    const distinct = new Set(held)
    const shown = { held: held.length, distinct: distinct.size, stated: [...read.right].at(-1)?.total }
    const moved = movement.why(shown) ?? (yield* readAgain(client, source, contract, movement))
    return {
      requests: sent.length,
      movement: moved,
      overlooked: [...lasting].filter(id => !distinct.has(id)),
    }
  }).pipe(Effect.orDie)

const expectNoneOverlooked = (
  world: World,
  changes: ReadonlyArray<Change>,
  { movement, overlooked }: Outcome,
) => {
  if (movement === null && overlooked.length > 0)
    expect.fail(`${overlooked} overlooked without a sign: ${JSON.stringify({ world, changes })}`)
}

/** Changes that make different lists: in some orders it makes no difference which record changes. */
const changesAt = ({ order, records }: World, before: number): ReadonlyArray<Change> =>
  (["touch", "delete", "insert"] as const).flatMap(what => {
    const isPlaced = what === "delete" || (what === "touch" ? order.startsWith("updated") : order === "by-id")
    return Array.from({ length: isPlaced ? records : 1 }, (_, place) => ({ before, what, place }))
  })

const isSoaking = process.env.SOAK === "1"

/** With SOAK: every two changes; else every one, and a part of the two. */
const SHARE_OF_PAIRS = isSoaking ? 1 : 1 / 2_000

/** In a list of three, the proof of the end reads every page again. */
const RECORDS = isSoaking ? 5 : 4

describe("a pass over a list that changes while it is read", () => {
  it.live.each(ORDERS)("proves nothing if it overlooked a record, after any change at any time: %s", order =>
    Effect.gen(function* () {
      const world: World = {
        order,
        records: RECORDS,
        pageSize: 1,
        hasTotal: false,
        afterEnd: "empty",
      }
      const still = yield* passOver(world, [])
      expect(still).toMatchObject({ movement: null, overlooked: [] })
      const single = Array.from({ length: still.requests }, (_, n) => changesAt(world, n + 1)).flat()
      const pairs = single.flatMap((first, n) => single.slice(n).map(second => [first, second]))
      const chosen = pairs.filter(
        (_, n) => Math.floor(n * SHARE_OF_PAIRS) !== Math.floor((n - 1) * SHARE_OF_PAIRS),
      )
      let overlooking = 0
      for (const changes of [...single.map(one => [one]), ...chosen]) {
        const outcome = yield* passOver(world, changes)
        expectNoneOverlooked(world, changes, outcome)
        // Nothing here waits: the runner gets its turn once for each list.
        yield* settle
        overlooking += outcome.overlooked.length
      }
      // There is something to be found: the pages alone do overlook records.
      expect(overlooking).toBeGreaterThan(0)
    }),
  )

  const RUNS = 100

  it.live(
    "proves nothing if it overlooked a record, with many changes, totals and other ends",
    () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(
            fc.record<World>({
              order: fc.constantFrom(...ORDERS),
              records: fc.integer({ min: 0, max: 9 }),
              pageSize: fc.integer({ min: 1, max: 4 }),
              hasTotal: fc.boolean(),
              afterEnd: fc.constantFrom("empty", "404"),
            }),
            fc.array(
              fc.record<Change>({
                before: fc.integer({ min: 1, max: 20 }),
                what: fc.constantFrom("touch", "touch", "delete", "insert"),
                place: fc.nat({ max: 9 }),
              }),
              { maxLength: 6 },
            ),
            (world, changes) =>
              Effect.runPromise(
                Effect.map(passOver(world, changes), outcome =>
                  expectNoneOverlooked(world, changes, outcome),
                ),
              ),
          ),
          fuzz(RUNS),
        ),
      ),
    fuzzMillis(RUNS),
  )
})
