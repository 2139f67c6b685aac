import { describe, expect, it } from "@effect/vitest"
import { Effect, Either, Stream } from "effect"
import type { ListSource } from "../../src/core/stream.ts"
import type { Contract } from "../../src/paycombat/lists/contract.ts"
import type { Position } from "../../src/paycombat/lists/page.ts"
import { pages } from "../../src/paycombat/lists/pager.ts"
import { against, settle } from "../paycombat/played.ts"

/**
 * Each way to say that a page holds nothing, at each place of a list, with each total: said of a page beyond the end it is
 * the end, said of any other page it is a fault.
 */

const PATH = "/list"
const source: ListSource = {
  kind: "list",
  paths: [PATH],
  idField: "id",
  merchantField: null,
  recognizes: () => true,
  detail: null,
}

type Body = Readonly<Record<string, unknown>>
const ok = (body: Body) => Response.json({ status: true, message: "OK", ...body })

/** `stated` is what the answer states of the list's length. */
const NOTHING: Readonly<Record<string, (stated: Body) => Response>> = {
  "an empty list": stated => ok({ data: [], ...stated }),
  null: stated => ok({ data: null, ...stated }),
  "an empty object": stated => ok({ data: {}, ...stated }),
  "no data": stated => ok(stated),
  "status: false": stated =>
    Response.json({ status: false, message: "No data found", data: null, ...stated }),
  "status: false and an empty list": stated => Response.json({ status: false, data: [], ...stated }),
  204: () => new Response(null, { status: 204 }),
  "no body": () => new Response("", { status: 200 }),
  404: () => Response.json({ status: false }, { status: 404 }),
  416: () => Response.json({}, { status: 416 }),
}

const SIZE = 2
const RECORDS = 9
const LAST_PAGE = 5

/** Facts that answers state beside their list, by its true length and by whether they hold a record. */
const TOTALS: Readonly<Record<string, (length: number, holdsAny: boolean, n: number) => Body>> = {
  none: () => ({}),
  right: total => ({ total }),
  "too high": total => ({ total: total + 7 }),
  "far too high": total => ({ meta: { total: total + 1e12 } }),
  "too low": total => ({ total: Math.max(1, total - 3) }),
  "0 where nothing is held": (total, holdsAny) => ({ total: holdsAny ? total : 0 }),
  "too high, 0 where nothing is held": (total, holdsAny) => ({ total: holdsAny ? total + 7 : 0 }),
  "0 in one answer": (total, _, n) => ({ total: n === 4 ? 0 : total }),
  "that of the page": (_, holdsAny) => ({ total: holdsAny ? SIZE : 0 }),
  "pages, right": total => ({ pagination: { total_pages: Math.ceil(total / SIZE) } }),
  "pages, too many": total => ({ pagination: { total_pages: Math.ceil(total / SIZE) + 4 } }),
}

interface World {
  readonly nothing: (stated: Body) => Response
  readonly total: (length: number, holdsAny: boolean, n: number) => Body
  readonly records?: number
  /** Places of records that are deleted, and leave their places empty. */
  readonly holes?: ReadonlyArray<number>
  /** Pages of `SIZE` that are answered as pages beyond the end are, and how often. */
  readonly faults?: { readonly pages: ReadonlyArray<number>; readonly times: number }
  /** Refuses pages beyond the end instead. */
  readonly refuses?: boolean
}

const contract: Contract = {
  path: PATH,
  pageParam: "page",
  sizeParam: "limit",
  firstPage: 1,
  at: "data",
  pageSize: SIZE,
  maxPageSize: null,
  hasTotal: false,
  pagingProven: true,
  verified: true,
}

const read = (
  { nothing, total, records = RECORDS, holes = [], faults, refuses = false }: World,
  { from, ...changes }: Partial<Contract> & { readonly from?: Position } = {},
) =>
  Effect.gen(function* () {
    const left = new Map(faults?.pages.map(page => [page, faults.times]))
    const length = records - holes.length
    const { client, sent } = yield* against(
      (n, { url }) => {
        const page = Number(url.searchParams.get("page"))
        const size = Number(url.searchParams.get("limit"))
        if (page < 1) return Response.json({}, { status: 400 })
        const places = Array.from({ length: size }, (_, i) => (page - 1) * size + i)
        const on = places.filter(place => place < records && !holes.includes(place))
        const isFault = size === SIZE && (left.get(page) ?? 0) > 0
        if (isFault) left.set(page, left.get(page)! - 1)
        if (isFault || places[0]! >= records)
          return refuses && !isFault ? Response.json({}, { status: 400 }) : nothing(total(length, false, n))
        const data = on.map(place => ({ id: `r${place}` }))
        return on.length === 0
          ? ok({ data, ...total(length, false, n) })
          : ok({ data, ...total(length, true, n) })
      },
      { pageSize: SIZE, ratePerSecond: 1_000_000 },
    )
    const got = yield* Effect.either(
      Stream.runCollect(pages(client, { ...contract, ...changes }, source, from)),
    )
    yield* settle
    const expected = Array.from({ length: records }, (_, n) => n).filter(place => !holes.includes(place))
    return Either.map(got, found => {
      const ids = new Set(
        [...found].flatMap(page => page.records.map(record => (record as { id: string }).id)),
      )
      return {
        requests: sent.length,
        stated: [...found].at(-1)!.total,
        missing: expected.filter(place => !ids.has(`r${place}`)),
      }
    })
  })

/** Each total with one spelling, and so each spelling; with SOAK, each with each. */
const each = function* () {
  const spellings = Object.entries(NOTHING)
  const totals = Object.entries(TOTALS)
  for (const [n, [spelling, nothing]] of spellings.entries()) {
    for (const [m, [name, total]] of totals.entries()) {
      const isChosen = m % spellings.length === n
      if (isChosen || process.env.SOAK !== undefined)
        yield [`${spelling}, total ${name}`, { nothing, total }] as const
    }
  }
}

const outcomes = (worlds: Iterable<readonly [string, World]>, changes: Parameters<typeof read>[1] = {}) =>
  Effect.forEach([...worlds], ([name, world]) =>
    Effect.map(read(world, changes), outcome => ({ name, outcome })),
  )

const expectWhole = (worlds: Iterable<readonly [string, World]>, changes: Parameters<typeof read>[1] = {}) =>
  Effect.map(outcomes(worlds, changes), all => {
    expect(all.length).toBeGreaterThan(0)
    for (const { name, outcome } of all)
      expect([name, Either.map(outcome, ({ missing }) => missing)]).toEqual([name, Either.right([])])
  })

const withEach = function* (changes: Partial<World>) {
  for (const [name, world] of each()) yield [name, { ...world, ...changes }] as const
}

const MIDDLE: Position = { page: 3, pageSize: SIZE, head: ["r0", "r1"] }

describe("the end of a list, in each spelling and with each total,", () => {
  for (const records of [1, 2, 3, 8, RECORDS])
    it.live(`is the end of ${records} records`, () => expectWhole(withEach({ records })))

  it.live("is the end of a pass that goes on with an earlier one", () =>
    Effect.gen(function* () {
      for (const [name, world] of each()) {
        const outcome = Either.getOrThrow(yield* read(world, { from: MIDDLE }))
        // The earlier run has read four records.
        expect([name, outcome.missing.filter(place => place >= 4)]).toEqual([name, []])
      }
    }),
  )

  it.live("states the length of the list as an answer with records stated it last", () =>
    Effect.gen(function* () {
      const expected = {
        right: RECORDS,
        "0 in one answer": RECORDS,
        "0 where nothing is held": RECORDS,
        "too high, 0 where nothing is held": RECORDS + 7,
      }
      for (const [name, stated] of Object.entries(expected)) {
        const world = { nothing: NOTHING["an empty list"]!, total: TOTALS[name]! }
        expect([name, Either.getOrThrow(yield* read(world)).stated]).toEqual([name, stated])
      }
    }),
  )

  it.live("is the end of a filtered list, which may be empty", () =>
    Effect.gen(function* () {
      for (const records of [0, 1, RECORDS])
        yield* expectWhole(
          [...withEach({ records })].filter(([name]) => records > 0 || !/^(404|416)/.test(name)),
          { verified: false },
        )
    }),
  )

  it.live("is proven by looks alone where the total is right, and the API refuses pages beyond it", () =>
    Effect.gen(function* () {
      const { right } = TOTALS
      for (const records of [1, 2, 8, RECORDS])
        yield* expectWhole([["refused", { nothing: NOTHING["404"]!, total: right!, records, refuses: true }]])
    }),
  )

  it.live("takes a few requests", () =>
    Effect.gen(function* () {
      for (const [name, world] of each()) {
        const { requests } = Either.getOrThrow(yield* read(world))
        expect([name, requests - LAST_PAGE]).toEqual([name, expect.any(Number)])
        expect(requests - LAST_PAGE).toBeLessThanOrEqual(14)
      }
    }),
  )
})

describe("the same said of a page that is none beyond the end", () => {
  const ONE_PAGE = [[1], [2], [3], [4], [LAST_PAGE]]

  for (const pages of ONE_PAGE)
    it.live(`loses nothing where it was said once or twice: page ${pages}`, () =>
      Effect.gen(function* () {
        for (const times of [1, 2]) {
          for (const [name, world] of withEach({ faults: { pages, times } })) {
            // The first page is asked for again when it has no body, after a pause.
            if (pages[0] === 1 && name.startsWith("no body")) continue
            const outcome = yield* read(world)
            if (Either.isRight(outcome)) expect([name, outcome.right.missing]).toEqual([name, []])
            else if (pages[0] !== 1) expect.fail(`${name}: ${outcome.left.message}`)
            else expect(outcome.left.message).toMatch(/page 1|without a body|404|416|HTTP says 200/)
          }
        }
      }),
    )

  for (const pages of [...ONE_PAGE, [2, 3], [3, 4], [4, 5], [2, 3, 4], [3, 4, 5], [2, 3, 4, 5]])
    it.live(`is no end where it is said again and again: pages ${pages}`, () =>
      Effect.gen(function* () {
        for (const [name, world] of withEach({ faults: { pages, times: Number.POSITIVE_INFINITY } })) {
          if (pages[0] === 1 && name.startsWith("no body")) continue
          const outcome = yield* read(world)
          expect([name, Either.isLeft(outcome)]).toEqual([name, true])
          // A later run finds them: what was read is kept, and nothing is taken for removed.
          if (pages[0] !== 1)
            expect([name, Either.flip(outcome)]).toMatchObject([name, { right: { reason: "unavailable" } }])
        }
      }),
    )

  it.live("is no end of a pass that goes on with an earlier one", () =>
    Effect.gen(function* () {
      for (const pages of [[3], [4], [LAST_PAGE], [3, 4, 5]]) {
        for (const [name, world] of withEach({ faults: { pages, times: Number.POSITIVE_INFINITY } })) {
          const outcome = yield* read(world, { from: MIDDLE })
          expect([name, pages, Either.isLeft(outcome)]).toEqual([name, pages, true])
        }
      }
    }),
  )

  it.live("is no empty list where this run has read records of it: all pages are away", () =>
    Effect.gen(function* () {
      for (const [name, world] of withEach({ records: 0 })) {
        if (name.startsWith("no body")) continue
        const outcome = yield* read(world)
        expect([name, Either.isLeft(outcome)]).toEqual([name, true])
      }
    }),
  )

  it.live("is no end of a filtered list", () =>
    Effect.gen(function* () {
      for (const pages of [[1], [2], [3, 4]]) {
        for (const [name, world] of withEach({ faults: { pages, times: Number.POSITIVE_INFINITY } })) {
          const outcome = yield* read(world, { verified: false })
          if (Either.isRight(outcome)) expect([name, pages, outcome.right.missing]).toEqual([name, pages, []])
        }
      }
    }),
  )
})

describe("pages whose records were all deleted", () => {
  const places = (...pages: ReadonlyArray<number>) =>
    pages.flatMap(page => [(page - 1) * SIZE, page * SIZE - 1])

  for (const pages of [[1], [2], [3], [4], [2, 3], [2, 4], [1, 2], [LAST_PAGE - 1]])
    it.live(`are not the end of the list: ${pages}`, () =>
      expectWhole(withEach({ holes: places(...pages) }), { verified: pages[0] !== 1 }),
    )

  it.live(
    "are not the end, however many, where the total or the latest pass says how far the list goes",
    () =>
      Effect.gen(function* () {
        const records = 30
        const holes = places(3, 4, 5, 6, 7, 8, 9, 10)
        const nothing = NOTHING["an empty list"]!
        const learned = { pages: 15 }
        yield* expectWhole([["learned", { nothing, total: TOTALS.none!, records, holes }]], { learned })
        const stated = () => ({ total: records })
        yield* expectWhole([["stated", { nothing, total: stated, records, holes }]])
      }),
  )

  it.live("are read again at the end of the pass, and by the run that goes on with it", () =>
    Effect.gen(function* () {
      for (const name of ["an empty list", "null", "an empty object"]) {
        const nothing = NOTHING[name]!
        // The size that proves the place of one record is not in the fault: page 3 is empty for everybody for a while.
        let asked = 0
        const { client } = yield* against(
          (_, { url }) => {
            const [page, size] = ["page", "limit"].map(key => Number(url.searchParams.get(key)))
            if (page! < 1) return Response.json({}, { status: 400 })
            const places = Array.from({ length: size! }, (_, i) => (page! - 1) * size! + i)
            const isAway = (place: number) => (place === 4 || place === 5) && asked < 6
            if (places.some(isAway)) asked++
            const on = places.filter(place => place < RECORDS && !isAway(place))
            return on.length === 0 ? nothing({}) : ok({ data: on.map(place => ({ id: `r${place}` })) })
          },
          { pageSize: SIZE, ratePerSecond: 1_000_000 },
        )
        const found = [...(yield* Stream.runCollect(pages(client, contract, source)))]
        const ids = found.flatMap(page => page.records.map(record => (record as { id: string }).id))
        expect([name, new Set(ids).size]).toEqual([name, RECORDS])
        const broken = found.find(page => page.number === 4)!.next!
        expect([name, broken.skipped]).toEqual([name, [3]])
        const rest = [...(yield* Stream.runCollect(pages(client, contract, source, broken)))]
        const again = rest.flatMap(page => page.records.map(record => (record as { id: string }).id))
        expect([name, again]).toEqual([name, expect.arrayContaining(["r4", "r5", "r8"])])
      }
    }),
  )
})
