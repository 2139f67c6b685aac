import { describe, expect, it } from "@effect/vitest"
import { Effect, Either, Stream } from "effect"
import type { ListSource } from "../../src/core/stream.ts"
import { discover } from "../../src/paycombat/lists/discovery.ts"
import { pages } from "../../src/paycombat/lists/pager.ts"
import type { PagingNames } from "../../src/paycombat/lists/verifyPaging.ts"
import { against, settle } from "./played.ts"

/** Lists whose paging parameters are unknown, or whose answers say that more records follow. */

const source: ListSource = {
  kind: "list",
  paths: ["/list"],
  idField: "id",
  merchantField: null,
  recognizes: () => true,
  detail: null,
}

type Ask = (name: string) => number | undefined
type Body = Readonly<Record<string, unknown>>
type Item = { readonly id: string }

interface World {
  readonly records: number
  /** The records that a query brings. */
  readonly page: (all: ReadonlyArray<Item>, ask: Ask) => ReadonlyArray<Item>
  /** Fields beside the records. */
  readonly beside?: (page: ReadonlyArray<Item>, all: ReadonlyArray<Item>, ask: Ask) => Body
  readonly pageSize?: number
  readonly paging?: PagingNames
}

/** Discovers and reads such a list: how many of its records came, or the error. */
const read = ({ records, page, beside, pageSize = 100, paging }: World) =>
  Effect.gen(function* () {
    const all = Array.from({ length: records }, (_, n) => ({ id: `r${n}` }))
    const { client } = yield* against(
      (_, { url }) => {
        const ask: Ask = name => {
          const value = url.searchParams.get(name)
          return value === null ? undefined : Number(value)
        }
        const data = page(all, ask)
        return Response.json({ status: true, message: "OK", data, ...beside?.(data, all, ask) })
      },
      { pageSize, ratePerSecond: 1_000_000 },
    )
    const options = { pathVariable: "PAYCOMBAT_PATH_LIST", configuredPaging: paging }
    const got = yield* Effect.either(
      Effect.flatMap(discover(client, source, options), contract =>
        Stream.runCollect(pages(client, contract, source)),
      ),
    )
    yield* settle
    return Either.map(got, found => {
      const ids = [...found].flatMap(one => one.records.map(record => (record as Item).id))
      return new Set(ids).size
    })
  })

const failure = (world: World) => Effect.map(read(world), got => Either.getOrThrow(Either.flip(got)))

/** Pages by names that are not known, so that only the first page is ever given. */
const foreign =
  (size: number): World["page"] =>
  (all, ask) =>
    all.slice((ask("pageIndex") ?? 0) * size, ((ask("pageIndex") ?? 0) + 1) * size)

/** The same, but `limit` is one of its names. */
const foreignBy =
  (max: number): World["page"] =>
  (all, ask) =>
    all.slice(0, Math.min(max, ask("limit") ?? 10))

const isPart = (page: ReadonlyArray<Item>, all: ReadonlyArray<Item>) => page.length < all.length

/** Statements by which the first page may look like the whole list. */
const CLAIMS: Readonly<Record<string, NonNullable<World["beside"]>>> = {
  nothing: () => ({}),
  "a total that counts the page": page => ({ total: page.length }),
  "a total in meta that counts the page": page => ({ meta: { totalItems: page.length } }),
  "one page": () => ({ pagination: { page: 1, pages: 1 } }),
  "a total that counts the page, and has_more": (page, all) => ({
    total: page.length,
    has_more: isPart(page, all),
    next_cursor: isPart(page, all) ? "abc" : null,
  }),
  "one page, and links.next": (page, all) => ({
    meta: { totalItems: page.length, last_page: 1 },
    links: { self: "/list", next: isPart(page, all) ? "/list?cursor=x" : null },
  }),
}

describe("the first page of a list whose paging parameters are unknown is not taken for the list", () => {
  for (const [name, beside] of Object.entries(CLAIMS)) {
    for (const size of [5, 10, 100, 150]) {
      it.live(`if ${size} of 250 records come with ${name}`, () =>
        Effect.map(failure({ records: 250, page: foreign(size), beside }), ({ message }) => {
          expect(message).toMatch(/every paging parameter that was tried is ignored .*PAYCOMBAT_PAGING$/)
          expect(message).not.toContain("\n")
        }),
      )
      it.live(`if ${size} of 250 records come with ${name}, and configured names have no effect`, () =>
        Effect.map(
          failure({ records: 250, page: foreign(size), beside, paging: ["page", "limit"] }),
          ({ message }) => expect(message).toContain("PAYCOMBAT_PAGING"),
        ),
      )
    }
    it.live(`if the size takes effect up to 10, with ${name}`, () =>
      Effect.map(failure({ records: 250, page: foreignBy(10), beside }), ({ message }) =>
        expect(message).toContain("PAYCOMBAT_PAGING"),
      ),
    )
  }

  const SIGNS: ReadonlyArray<Body> = [
    { has_more: true },
    { has_more: "true" },
    { hasMore: 1 },
    { pagination: { hasNextPage: true } },
    { next_cursor: "b3BhcXVl" },
    { meta: { nextPageToken: "b3BhcXVl" } },
    { next: "/list?cursor=x" },
    { links: { next: "/list?cursor=x" } },
    { _links: { next: { href: "/list?cursor=x" } } },
    { paging: { cursors: { after: "x" }, next: "/list?after=x" } },
    { page: { last: false } },
    { total: 250 },
    { meta: { last_page: 250 } },
  ]
  for (const sign of SIGNS) {
    for (const size of [1, 3]) {
      it.live(`if ${size} of 250 records come with ${JSON.stringify(sign)}`, () =>
        Effect.gen(function* () {
          const world = { records: 250, page: foreign(size), beside: () => sign }
          expect((yield* failure(world)).message).toContain("PAYCOMBAT_PAGING")
          expect((yield* failure({ ...world, paging: ["page", "limit"] })).message).toContain(
            "PAYCOMBAT_PAGING",
          )
        }),
      )
    }
  }

  it.live("and the error names the field that says that more follow", () =>
    Effect.map(
      failure({ records: 250, page: foreign(10), beside: () => ({ next_cursor: "abc" }) }),
      ({ message }) => expect(message).toContain("the answer says that more records follow (next_cursor)"),
    ),
  )
})

describe("a list that fits one page is read whole without a setting", () => {
  const NOT_MORE: ReadonlyArray<Body> = [
    {},
    { has_more: false },
    { next_cursor: null },
    { next: "" },
    { links: { next: null, prev: null } },
    { meta: { next_page: 0 } },
    { last: true },
  ]
  for (const records of [1, 2, 3, 4])
    for (const beside of NOT_MORE)
      it.live(`if ${records} records come for every request, with ${JSON.stringify(beside)}`, () =>
        Effect.map(read({ records, page: all => all, beside: () => beside }), got =>
          expect(got).toEqual(Either.right(records)),
        ),
      )

  const BY_SIZE: Readonly<Record<string, NonNullable<World["beside"]>>> = {
    "the total of the list": (_, all) => ({ total: all.length }),
    has_more: (page, all) => ({ has_more: isPart(page, all) }),
    "has_more, and a total that counts the page": (page, all) => ({
      total: page.length,
      has_more: isPart(page, all),
    }),
    "the number of pages": (_, all, ask) => ({ pages: Math.ceil(all.length / (ask("limit") ?? 10)) }),
  }
  for (const [name, beside] of Object.entries(BY_SIZE))
    it.live(`if a smaller size shows that its answers state the end by ${name}`, () =>
      Effect.gen(function* () {
        const page = foreignBy(1_000)
        expect(yield* read({ records: 40, page, beside })).toEqual(Either.right(40))
        expect(Either.isLeft(yield* read({ records: 140, page, beside }))).toBe(true)
      }),
    )
})

describe("the last page of a list that can be paged", () => {
  const paged: World["page"] = (all, ask) => {
    const size = ask("limit") ?? 10
    return all.slice(((ask("page") ?? 1) - 1) * size, (ask("page") ?? 1) * size)
  }
  /** No page beyond the third is given. */
  const upToThree: World["page"] = (all, ask) => paged(all.slice(0, 60), ask)

  for (const field of ["has_more", "hasNextPage", "next_cursor"]) {
    it.live(`is not the end while it says ${field}`, () =>
      Effect.map(
        failure({
          records: 250,
          pageSize: 20,
          page: upToThree,
          beside: page => ({ [field]: page.length > 0 ? "true" : null }),
        }),
        error => {
          expect(error).toMatchObject({ reason: "unavailable" })
          expect(error.message).toContain(
            `page 4 holds no records again and again, although page 3 says that more records follow (${field})`,
          )
        },
      ),
    )
    it.live(`is the end if every page, also an empty one, says ${field}`, () =>
      Effect.map(read({ records: 60, pageSize: 20, page: paged, beside: () => ({ [field]: "true" }) }), got =>
        expect(got).toEqual(Either.right(60)),
      ),
    )
    for (const records of [20, 60])
      it.live(`is the end where each full page says ${field}, after ${records} records`, () =>
        Effect.map(
          read({
            records,
            pageSize: 20,
            page: paged,
            beside: (page, _, ask) => ({ [field]: page.length === ask("limit") ? "true" : null }),
          }),
          got => expect(got).toEqual(Either.right(records)),
        ),
      )
    it.live(`is the end if it does not say ${field}`, () =>
      Effect.map(
        read({
          records: 60,
          pageSize: 20,
          page: paged,
          beside: (page, all) => ({ [field]: page.at(-1) === all.at(-1) ? null : "true" }),
        }),
        got => expect(got).toEqual(Either.right(60)),
      ),
    )
  }
})
