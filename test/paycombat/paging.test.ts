import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Stream } from "effect"
import { pages } from "../../src/paycombat/lists/pager.ts"
import type { SandboxOptions } from "../../src/sandbox/sandbox.ts"
import { slowUnless } from "../support/slow.ts"
import {
  clientOf,
  discoverFrom,
  expectAll,
  label,
  readAll,
  SOURCES,
  startSandbox,
  truthOf,
  unique,
  variants,
} from "./support.ts"

const PATH = "/api/v1/transaction/get-all"

describe("every record is read once, whatever the list looks like:", () => {
  const shapes = variants<Pick<SandboxOptions, "envelope" | "totals">>({
    envelope: ["data", "data.data", "data.named", "double", "double.named"],
    totals: ["none", "total", "pagination", "meta"],
  })
  for (const options of shapes) {
    slowUnless(options.envelope === "double.named" || options.totals === "total", () => {
      it.scopedLive(label(options), () =>
        Effect.gen(function* () {
          const { ids, contract } = yield* expectAll(options)
          expect(ids).toHaveLength(120)
          expect(contract).toMatchObject({ verified: true, pagingProven: true, pageSize: 20 })
          expect(contract.hasTotal).toBe(options.totals !== "none")
        }),
      )
    })
  }

  const ends = variants<Pick<SandboxOptions, "transactions" | "afterEnd" | "totals">>({
    transactions: [1, 2, 19, 20, 21, 40, 50, 120],
    afterEnd: ["empty", "404", "repeat"],
    totals: ["none", "total"],
  })
  for (const options of ends) {
    slowUnless(options.totals === "none" && [1, 20, 50].includes(options.transactions ?? 0), () => {
      it.scopedLive(label(options), () =>
        Effect.map(expectAll(options), ({ ids }) => expect(ids).toHaveLength(options.transactions!)),
      )
    })
  }

  const caps = variants<Pick<SandboxOptions, "maxPageSize" | "offsetBy" | "totals" | "afterEnd">>({
    maxPageSize: [1, 7, 15],
    offsetBy: ["asked", "served"],
    totals: ["none", "pagination"],
    afterEnd: ["empty", "repeat"],
  })
  for (const options of caps) {
    slowUnless(options.afterEnd === "empty" && options.totals === "none", () => {
      it.scopedLive(label(options), () =>
        Effect.gen(function* () {
          const { ids, contract } = yield* expectAll({ ...options, transactions: 50 })
          expect(ids).toHaveLength(50)
          expect(contract.pageSize).toBe(options.maxPageSize)
        }),
      )
    })
  }

  const names = [
    ["page", "limit"],
    ["page", "per_page"],
    ["page", "page_size"],
    ["page", "pageSize"],
    ["page", "size"],
    ["offset", "limit"],
    ["skip", "take"],
  ] as const
  for (const pagingNames of names) {
    for (const transactions of [8, 10, 45]) {
      slowUnless(transactions === 45, () => {
        it.scopedLive(`${pagingNames} of ${transactions}`, () =>
          Effect.gen(function* () {
            const { ids, contract } = yield* expectAll({ pagingNames, transactions })
            expect(ids).toHaveLength(transactions)
            expect(contract.pageParam).toBe(pagingNames[0])
            if (transactions > 10) expect(contract).toMatchObject({ sizeParam: pagingNames[1], pageSize: 20 })
          }),
        )
      })
    }
  }

  it.scopedLive("an API that ignores the size and repeats its last page", () =>
    Effect.map(
      expectAll({ pagingNames: ["page", "anzahl"], transactions: 45, afterEnd: "repeat" }),
      ({ ids, contract }) => {
        expect(ids).toHaveLength(45)
        expect(contract).toMatchObject({ pageSize: 10, pagingProven: false })
      },
    ),
  )

  for (const order of ["oldest-first", "newest-first", "shuffled"] as const) {
    it.scopedLive(order, () => Effect.map(expectAll({ order }), ({ ids }) => expect(ids).toHaveLength(120)))
  }
})

describe("a stated size is a claim:", () => {
  for (const totals of ["total", "meta"] as const) {
    for (const totalSkew of [-100, -45, -20, -5, 5, 20, 500]) {
      slowUnless(totals === "total", () => {
        it.scopedLive(`${totals} off by ${totalSkew}`, () => expectAll({ totals, totalSkew }))
      })
    }
  }

  for (const removed of [7, 20, 33]) {
    it.scopedLive(`${removed} deleted records leave holes in the pages`, () =>
      Effect.gen(function* () {
        const sandbox = yield* startSandbox({ removedLeavesHoles: true })
        for (let index = 40; index < 40 + removed; index++) sandbox.remove("transactions", index)
        const { ids } = yield* readAll(yield* clientOf(sandbox), "transactions")
        expect(unique(ids)).toEqual(truthOf(sandbox))
      }),
    )
  }

  it.scopedLive("empty pages are not the end while the stated last page holds records", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({ removedLeavesHoles: true, totals: "total", totalSkew: 60 })
      for (let index = 40; index < 100; index++) sandbox.remove("transactions", index)
      const { ids } = yield* readAll(yield* clientOf(sandbox), "transactions")
      expect(unique(ids)).toEqual(truthOf(sandbox))
    }),
  )
})

for (const totals of ["total", "meta"] as const) {
  it.scopedLive(
    `an ignored page number does no harm where the ${totals} says of any size that the page is everything`,
    () =>
      Effect.gen(function* () {
        const sandbox = yield* startSandbox({ pagingNames: ["seite", "limit"], totals, checkouts: 6 })
        const { ids } = yield* readAll(yield* clientOf(sandbox), "checkouts")
        expect(ids).toHaveLength(6)
        expect(unique(ids)).toEqual(truthOf(sandbox, "checkouts"))
      }),
  )
}

describe("a list that cannot be read to its end is an error:", () => {
  it.scopedLive("a paging parameter that is ignored", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      const client = yield* clientOf(sandbox)
      const contract = yield* discoverFrom(client, "transactions")
      const wrong = { ...contract, pageParam: "seite" }
      const error = yield* Effect.flip(Stream.runDrain(pages(client, wrong, SOURCES.transactions)))
      expect(error).toMatchObject({ _tag: "EndpointError", reason: "contract", path: PATH })
      expect(error.message).toContain('"seite" is ignored')
      expect(error.message).toContain("PAYCOMBAT_PAGING")
    }),
  )

  it.scopedLive("both parameters ignored", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      const client = yield* clientOf(sandbox)
      const contract = yield* discoverFrom(client, "transactions")
      const wrong = { ...contract, pageParam: "seite", sizeParam: "anzahl" }
      const error = yield* Effect.flip(Stream.runDrain(pages(client, wrong, SOURCES.transactions)))
      expect(error).toMatchObject({ reason: "contract" })
    }),
  )

  it.scopedLive("404 for the first page", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      const client = yield* clientOf(sandbox)
      const contract = yield* discoverFrom(client, "transactions")
      sandbox.setFault(() => ({ status: 404, body: {} }))
      const error = yield* Effect.flip(Stream.runDrain(pages(client, contract, SOURCES.transactions)))
      expect(error).toMatchObject({ reason: "refused", status: 404 })
    }),
  )

  const goneAt = (page: number, times: number, options: Partial<SandboxOptions>) =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({ transactions: 50, ...options })
      const client = yield* clientOf(sandbox)
      const contract = yield* discoverFrom(client, "transactions")
      let left = times
      sandbox.setFault(({ query }) =>
        query.get("page") === String(page) && left-- > 0 ? { status: 404, body: {} } : undefined,
      )
      return { sandbox, client, contract }
    })
  const always = Number.POSITIVE_INFINITY

  const stated = variants<Pick<SandboxOptions, "totals" | "afterEnd">>({
    totals: ["none", "total", "meta"],
    afterEnd: ["empty", "404", "repeat"],
  })
  for (const options of stated) {
    for (const page of [2, 3]) {
      slowUnless(options.afterEnd === "404", () => {
        it.scopedLive(`not 404 once for page ${page} of 3 ${label(options)}`, () =>
          Effect.gen(function* () {
            const { sandbox, client, contract } = yield* goneAt(page, 1, options)
            const { ids } = yield* readAll(client, "transactions", { contract })
            expect(unique(ids)).toEqual(truthOf(sandbox))
          }),
        )
      })
    }

    // The last page of a list that states no size can not be told from the end.
    for (const page of options.totals === "none" ? [2] : [2, 3]) {
      slowUnless(options.afterEnd === "404", () => {
        it.scopedLive(`404 for page ${page} of 3 ${label(options)}`, () =>
          Effect.gen(function* () {
            const { client, contract } = yield* goneAt(page, always, options)
            const error = yield* Effect.flip(Stream.runDrain(pages(client, contract, SOURCES.transactions)))
            expect(error).toMatchObject({ _tag: "EndpointError", reason: "unavailable", path: PATH })
            expect(error.message).toContain(`page ${page} is answered with 404`)
          }),
        )
      })
    }
  }

  it.scopedLive("not 404 for a page whose records were deleted after its size was stated", () =>
    Effect.gen(function* () {
      const options = { totals: "total", afterEnd: "404" } as const
      const { sandbox, client, contract } = yield* goneAt(0, 0, options)
      sandbox.setFault(({ query }) => {
        if (query.get("page") === "3")
          for (let index = 40; index < 50; index++) sandbox.remove("transactions", index)
        return undefined
      })
      const { ids } = yield* readAll(client, "transactions", { contract })
      expect(truthOf(sandbox)).toHaveLength(40)
      expect(unique(ids)).toEqual(expect.arrayContaining(truthOf(sandbox)))
    }),
  )

  it.scopedLive("a later page without a list", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      const client = yield* clientOf(sandbox)
      const contract = yield* discoverFrom(client, "transactions")
      sandbox.setFault(({ query }) =>
        query.get("page") === "3" ? { body: { status: true, message: "OK" } } : undefined,
      )
      const exit = yield* Effect.exit(Stream.runCollect(pages(client, contract, SOURCES.transactions)))
      expect(Exit.isFailure(exit)).toBe(true)
    }),
  )
})

it.scopedLive("an empty list is one empty, last page", () =>
  Effect.gen(function* () {
    const sandbox = yield* startSandbox({ checkouts: 0 })
    const { contract, pages: read } = yield* readAll(yield* clientOf(sandbox), "checkouts")
    expect(contract.verified).toBe(false)
    expect(read).toHaveLength(1)
    expect(read[0]).toMatchObject({ number: 1, records: [], isLast: true, next: null })
  }),
)
