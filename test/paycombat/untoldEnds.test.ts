import { describe, expect, it } from "@effect/vitest"
import { Effect, Either, Stream } from "effect"
import type { ListSource } from "../../src/core/stream.ts"
import { discover } from "../../src/paycombat/lists/discovery.ts"
import { pages } from "../../src/paycombat/lists/pager.ts"
import { against, settle } from "./played.ts"

/** Ends of lists that look like something else: bounds on pages, lists that begin anew, answers that are too large. */

const source: ListSource = {
  kind: "list",
  paths: ["/list"],
  idField: "id",
  merchantField: null,
  recognizes: () => true,
  detail: null,
}

interface Asked {
  readonly page: number
  readonly size: number
  readonly offset: number
}

type Reply = (asked: Asked) => Response

const SIZE = 10
/** The server's cap. */
const SIZE_MAX = 50
const bodyOf = (data: ReadonlyArray<unknown>, beside: object = {}) =>
  Response.json({ status: true, message: "OK", data, ...beside })
const recordsFrom = (offset: number, size: number, total: number) =>
  Array.from({ length: Math.max(0, Math.min(size, total - offset)) }, (_, n) => ({ id: `r${offset + n}` }))

/** Discovers and reads such a list: how many records came, or the error. */
const read = (reply: Reply, pageSize = SIZE) =>
  Effect.gen(function* () {
    const { client, sent } = yield* against(
      (_, { url }) => {
        const number = (name: string, none: number) => Number(url.searchParams.get(name) ?? none)
        const [page, size] = [number("page", 1), Math.min(SIZE_MAX, number("limit", SIZE))]
        return page < 1 ? refused(400) : reply({ page, size, offset: (page - 1) * size })
      },
      { pageSize, ratePerSecond: 1_000_000 },
    )
    const contract = yield* Effect.either(discover(client, source, { pathVariable: "PAYCOMBAT_PATH_LIST" }))
    const got = yield* Effect.either(
      Effect.flatMap(contract, found => Stream.runCollect(pages(client, found, source))),
    )
    yield* settle
    return {
      requests: sent.length,
      got: Either.map(got, found => {
        const ids = [...found].flatMap(one => one.records.map(record => (record as { id: string }).id))
        return new Set(ids).size
      }),
    }
  })

const refused = (status: number) => Response.json({ status: false, error: { code: 4001 } }, { status })

const list =
  (total: number, isRefused: (asked: Asked) => boolean, status: number, beside: object = {}): Reply =>
  asked =>
    isRefused(asked) ? refused(status) : bodyOf(recordsFrom(asked.offset, asked.size, total), beside)

describe("a page beyond the last that is refused", () => {
  for (const status of [400, 410, 422]) {
    for (const total of [1, 7, 10, 23, 30, 90, 100])
      it.live(`with ${status} is the end of ${total} records`, () =>
        Effect.map(read(list(total, ({ offset }) => offset >= total, status)), ({ got }) =>
          expect(got).toEqual(Either.right(total)),
        ),
      )

    it.live(`with ${status} costs a full list two requests more than an empty page does`, () =>
      Effect.gen(function* () {
        const refusing = yield* read(list(30, ({ offset }) => offset >= 30, status))
        const empty = yield* read(list(30, () => false, status))
        expect(refusing.requests - empty.requests).toBeLessThanOrEqual(2)
      }),
    )

    /** Refusals that are about a bound of the API, and not about the list. */
    const BOUNDS: Readonly<Record<string, (asked: Asked) => boolean>> = {
      "a number of pages": ({ page }) => page > 10,
      "a position": ({ offset }) => offset >= 100,
      "a position and a size": ({ offset, size }) => offset + size > 100,
    }
    for (const [name, isRefused] of Object.entries(BOUNDS))
      for (const beside of [{}, { total: 100 }])
        it.live(`with ${status} is no end if the API bounds ${name} ${JSON.stringify(beside)}`, () =>
          Effect.map(read(list(250, isRefused, status, beside)), ({ got }) => {
            const error = Either.getOrThrow(Either.flip(got))
            expect(error).toMatchObject({ _tag: "EndpointError" })
            expect(error.message).toMatch(
              new RegExp(
                `page 11 is answered with ${status}(,| again and again,) (the page before it is full|although .*)`,
              ),
            )
            expect(error.message).toMatch(/ask PayCombat$/)
          }),
        )

    it.live(`with ${status} is a gap if later pages hold records`, () =>
      Effect.map(read(list(60, ({ page, size }) => page === 3 && size === SIZE, status)), ({ got }) =>
        expect(Either.getOrThrow(Either.flip(got))).toMatchObject({
          reason: "unavailable",
          message: expect.stringContaining(
            `page 3 is answered with ${status} again and again, although a record stands right behind page 2`,
          ),
        }),
      ),
    )

    it.live(`with ${status} means nothing for a first page`, () =>
      Effect.map(read(list(0, () => true, status)), ({ got }) => {
        const { message } = Either.getOrThrow(Either.flip(got))
        expect(message).toContain(`no list found (${status}: /list)`)
      }),
    )
  }

  /** Other ways than a refusal in which an API says that a page beyond its bound holds nothing. */
  const NOTHING: Readonly<Record<string, () => Response>> = {
    "an empty list": () => bodyOf([]),
    "204": () => new Response(null, { status: 204 }),
    "404": () => Response.json({ message: "no" }, { status: 404 }),
    "no data found": () => Response.json({ status: false, message: "No data found", data: null }),
  }
  for (const [name, nothing] of Object.entries(NOTHING)) {
    const bounded =
      (total: number, isBeyond: (asked: Asked) => boolean): Reply =>
      asked =>
        isBeyond(asked) || asked.offset >= total
          ? nothing()
          : bodyOf(recordsFrom(asked.offset, asked.size, total))
    for (const [bound, isBeyond] of [
      ["a number of pages", ({ page }: Asked) => page > 10],
      ["a position", ({ offset }: Asked) => offset >= 100],
    ] as const)
      it.live(`with ${name} is no end where the API bounds ${bound}`, () =>
        Effect.map(read(bounded(250, isBeyond)), ({ got }) =>
          expect(Either.getOrThrow(Either.flip(got)).message).toContain(
            "although a page of another size shows more records behind page 10",
          ),
        ),
      )
    it.live(`with ${name} is the end behind a full page, also where the API takes few sizes only`, () =>
      Effect.gen(function* () {
        for (const total of [10, 30, 100]) {
          expect((yield* read(bounded(total, () => false))).got).toEqual(Either.right(total))
          const sizes: Reply = ({ page, size }) => {
            const taken = [1, 5, 10, 50].includes(size) ? size : 10
            return bounded(total, () => false)({ page, size: taken, offset: (page - 1) * taken })
          }
          expect((yield* read(sizes)).got).toEqual(Either.right(total))
        }
      }),
    )
  }

  /** Failures under 200, for each page that would hold the record behind the last one that can be read. */
  const FAILURES: Readonly<Record<string, object>> = {
    "a status in the body": { status: 500, error: "Internal Server Error", path: "/list" },
    "a word": { status: "error", message: "The database is away", data: [] },
    "an error beside no data": { status: true, error: { message: "Time-out" }, data: [] },
    "errors beside no data": { data: null, errors: [{ message: "boom" }] },
    "a code beside an empty list": { code: 503, message: "Busy", data: [] },
    "status: false and a sentence": { status: false, message: "Internal server error", data: null },
    "success: false as text": { success: "false", message: "Try again", data: [] },
  }
  for (const [name, failure] of Object.entries(FAILURES))
    it.live(`is no end where it fails with ${name}`, () =>
      Effect.gen(function* () {
        const failing: Reply = ({ offset, size }) =>
          offset + size > 30 ? Response.json(failure) : bodyOf(recordsFrom(offset, size, 60))
        expect(Either.isLeft((yield* read(failing)).got)).toBe(true)
      }),
    )

  /** Codes and words of a success beside a list of nothing. */
  const SUCCESSES: ReadonlyArray<object> = [
    { code: "SUCCESS", data: [] },
    { code: 0, error: "", errors: [], data: [] },
    { code: 1000, message: "Done", data: null },
    { status: "success", error: null, data: [] },
    { status: 200, error: false, data: {} },
    { success: true, error: "none", data: [] },
    { error: { code: 0, message: "OK" }, errors: [{}], data: [] },
    { statusCode: 404, message: "No records", data: [] },
    { status: "error", message: "No data found", data: [] },
  ]
  it.live("is the end where it says nothing with a code or a word of a success", () =>
    Effect.gen(function* () {
      for (const success of SUCCESSES)
        for (const total of [7, 30]) {
          const { got } = yield* read(({ offset, size }) =>
            offset >= total ? Response.json(success) : bodyOf(recordsFrom(offset, size, total)),
          )
          expect([success, got]).toEqual([success, Either.right(total)])
        }
    }),
  )

  it.live("is the end where the last page says that no more follow, and the API takes few sizes only", () =>
    Effect.gen(function* () {
      const sized: Reply = ({ page, size: asked }) => {
        const size = [1, 5, 10, 50].includes(asked) ? asked : 50
        const offset = (page - 1) * size
        return offset >= 20
          ? refused(400)
          : bodyOf(recordsFrom(offset, size, 20), { has_more: offset + size < 20 })
      }
      expect((yield* read(sized)).got).toEqual(Either.right(20))
    }),
  )

  it.live("is no end if the list states no length, and no parameter sets the size of a page", () =>
    Effect.gen(function* () {
      const fixed =
        (beside: object): Reply =>
        ({ page }) =>
          page > 3 ? refused(400) : bodyOf(recordsFrom((page - 1) * SIZE, SIZE, 30), beside)
      const { got } = yield* read(fixed({}))
      expect(Either.getOrThrow(Either.flip(got))).toMatchObject({ reason: "refused" })
      expect((yield* read(fixed({ total: 30 }))).got).toEqual(Either.right(30))
    }),
  )
})

describe("a list that begins anew behind its last page", () => {
  const pageCount = (total: number, size: number) => Math.ceil(total / size)
  /** Each way to begin anew, by the page that is answered in place of one beyond the last. */
  const WRAPS: Readonly<Record<string, (page: number, count: number) => number>> = {
    "with page 1 whatever is asked": () => 1,
    "and goes round": (page, count) => ((page - 1) % count) + 1,
  }
  const wrapping =
    (total: number, wrap: (page: number, count: number) => number, beside: (size: number) => object): Reply =>
    ({ page, size }) => {
      const count = pageCount(total, size)
      const number = page > count ? wrap(page, count) : page
      return bodyOf(recordsFrom((number - 1) * size, size, total), beside(size))
    }

  for (const [name, wrap] of Object.entries(WRAPS)) {
    for (const total of [11, 30, 35, 100]) {
      const pages = pageCount(total, SIZE)
      it.live(`${name} ends if the total agrees: ${total}`, () =>
        Effect.gen(function* () {
          for (const beside of [
            () => ({ total }),
            (size: number) => ({ meta: { last_page: pageCount(total, size) } }),
            (size: number) => ({ total, pages: pageCount(total, size) }),
          ])
            expect((yield* read(wrapping(total, wrap, beside))).got).toEqual(Either.right(total))
        }),
      )
      if (pages < 3) continue
      it.live(`${name} does not end if nothing shows it, and the error describes the answers: ${total}`, () =>
        Effect.gen(function* () {
          for (const [beside, stated] of [
            [() => ({}), "it states no total"],
            [() => ({ total: total + 40 }), `it states ${total + 40} records`],
            [() => ({ total: SIZE }), `it states ${SIZE} records`],
          ] as const) {
            const { got } = yield* read(wrapping(total, wrap, beside))
            const error = Either.getOrThrow(Either.flip(got))
            expect(error).toMatchObject({ _tag: "EndpointError", reason: "contract" })
            expect(error.message).toContain(`page ${pages + 1} is page 1 once more, again and again`)
            expect(error.message).toContain(stated)
            expect(error.message).not.toContain("ignored")
          }
        }),
      )
    }
  }
})

describe("a first page beyond its bounds", () => {
  const wide = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`field${n}`, n]))
  const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)])
  const CASES: ReadonlyArray<readonly [name: string, record: object, bound: string]> = [
    ["values", wide, "150,000 JSON values"],
    ["levels", { nested: Array.from({ length: 2 }, () => deep(100)) }, "150,000 JSON values"],
    ["bytes", { text: "x".repeat(6_000) }, "5 MiB"],
  ]
  for (const [name, record, bound] of CASES)
    it.live(`names its bound and the remedy: ${name}`, () =>
      Effect.gen(function* () {
        const sized =
          (size: number): Reply =>
          () =>
            bodyOf(Array.from({ length: size }, (_, n) => ({ id: `r${n}`, ...record })))
        const { got } = yield* read(sized(1_000), 1_000)
        expect(Either.getOrThrow(Either.flip(got))).toMatchObject({
          reason: "malformed",
          message: `GET /list: answered more than ${bound}, which is not read: lower PAYCOMBAT_PAGE_SIZE`,
        })
      }),
    )
})
