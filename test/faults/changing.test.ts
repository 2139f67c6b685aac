import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { PagingBounds } from "../../src/paycombat/lists/page.ts"
import { clientOf, discoverFrom, expectAll, readAll, startSandbox, zeroBased } from "../paycombat/support.ts"

const failureOf = (read: ReturnType<typeof readAll>) =>
  Effect.map(Effect.flip(Effect.map(read, ({ ids }) => `read ${ids.length} records`)), error => {
    expect(error).toMatchObject({ _tag: "EndpointError", reason: "contract" })
    return error.message
  })

describe("a page size that the first names do not set", () => {
  for (const maxPageSize of [4, 7]) {
    for (const transactions of [9, 47, 120]) {
      it.scopedLive(`is found under another name (${maxPageSize} of ${transactions})`, () =>
        Effect.gen(function* () {
          const { ids, contract } = yield* expectAll({
            pagingNames: ["page", "pageSize"],
            maxPageSize,
            offsetBy: "asked",
            totals: "total",
            transactions,
          })
          expect(ids).toHaveLength(transactions)
          expect(contract).toMatchObject({ sizeParam: "pageSize", pagingProven: true })
        }),
      )
    }
  }

  it.scopedLive("is not proven if no name sets it, even if it is the requested size", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({
        pagingNames: ["page", "anzahl"],
        defaultPageSize: 20,
        maxPageSize: 4,
        offsetBy: "asked",
      })
      for (const pageSize of [4, 10]) {
        const client = yield* clientOf(sandbox, { pageSize })
        expect(yield* discoverFrom(client, "transactions")).toMatchObject({ pagingProven: false })
      }
    }),
  )

  it.scopedLive("does not matter if positions are counted in records", () =>
    Effect.map(
      expectAll({ pagingNames: ["skip", "anzahl"], defaultPageSize: 7, transactions: 45 }),
      ({ ids, contract }) => {
        expect(ids).toHaveLength(45)
        expect(contract).toMatchObject({ pageParam: "skip", pagingProven: true })
      },
    ),
  )
})

it.scopedLive("a page 0 that makes the API fail does not exist", () =>
  Effect.gen(function* () {
    const sandbox = yield* startSandbox()
    sandbox.setFault(({ query }) => (query.get("page") === "0" ? { status: 500 } : undefined))
    const client = yield* clientOf(sandbox)
    const contract = yield* discoverFrom(client, "checkouts")
    expect(contract).toMatchObject({ firstPage: 1, pagingProven: true })
    const before = sandbox.requests.total
    const { ids } = yield* readAll(client, "checkouts", { contract })
    expect(ids).toHaveLength(12)
    expect(sandbox.requests.total - before).toBeLessThanOrEqual(8)
  }),
)

describe("a contract that changed after its proof is reported, not read with gaps:", () => {
  for (const transactions of [30, 40, 120]) {
    it.scopedLive(`pages are counted from 0 (${transactions})`, () =>
      Effect.gen(function* () {
        const sandbox = yield* startSandbox({ transactions })
        const contract = yield* discoverFrom(yield* clientOf(sandbox), "transactions")
        const message = yield* failureOf(readAll(yield* zeroBased(sandbox), "transactions", { contract }))
        // If a list has a page and a half, page 1 is the half, and page 2 of that size is the same half again.
        expect(message).toContain(
          transactions === 30 ? "page 2 repeats page 1" : "page 0 comes before page 1",
        )
      }),
    )

    it.scopedLive(`pages are counted from 1 (${transactions})`, () =>
      Effect.gen(function* () {
        const sandbox = yield* startSandbox({ transactions })
        const contract = yield* discoverFrom(yield* zeroBased(sandbox), "transactions")
        expect(contract.firstPage).toBe(0)
        const message = yield* failureOf(readAll(yield* clientOf(sandbox), "transactions", { contract }))
        expect(message).toContain("page 0 is page 1")
      }),
    )
  }

  for (const transactions of [18, 47, 120]) {
    for (const afterPages of [1, 3]) {
      it.scopedLive(`the size is cut, the way to the next page is not (${transactions}, ${afterPages})`, () =>
        Effect.gen(function* () {
          const shape = { offsetBy: "asked", totals: "none" } as const
          const sandbox = yield* startSandbox({ transactions, ...shape })
          const client = yield* clientOf(sandbox, { pageSize: 10 })
          const contract = yield* discoverFrom(client, "transactions")
          let pages = 0
          sandbox.setFault(() => {
            if (pages++ === afterPages) sandbox.reshape({ maxPageSize: 4 })
            return undefined
          })
          const read = readAll(client, "transactions", { contract })
          // Past the end of the list nothing is cut any more.
          if (transactions <= 10 * afterPages) expect((yield* read).ids).toHaveLength(transactions)
          else expect(yield* failureOf(read)).toContain("is cut")
        }),
      )
    }
  }

  it.scopedLive("a size is served that was not requested", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({ defaultPageSize: 15 })
      const client = yield* clientOf(sandbox, { pageSize: 10 })
      const contract = yield* discoverFrom(client, "transactions")
      let pages = 0
      sandbox.setFault(() => {
        if (pages++ === 2) sandbox.reshape({ pagingNames: ["page", "per_page"] })
        return undefined
      })
      const message = yield* failureOf(readAll(client, "transactions", { contract }))
      expect(message).toContain("holds 15 records where 10 were asked for")
    }),
  )

  it.scopedLive("pages no longer depend on their number", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      const client = yield* clientOf(sandbox)
      const contract = yield* discoverFrom(client, "transactions")
      sandbox.reshape({ pagingNames: ["offset", "limit"] })
      expect(yield* failureOf(readAll(client, "transactions", { contract }))).toContain("is ignored")
    }),
  )
})

describe("a list without an end", () => {
  const page = (first: number) =>
    Array.from({ length: 20 }, (_, n) => ({ transaction_id: `t${first + n}`, event_type: "PAYIN" }))
  const listOf = (place: (page: number) => number) =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      sandbox.setFault(({ query }) => {
        const [number, size] = [Number(query.get("page") ?? 1), Number(query.get("limit") ?? 20)]
        if (number < 1) return { status: 400, body: {} }
        return { body: { status: true, data: page(place((number - 1) * size)).slice(0, size) } }
      })
      const client = yield* clientOf(sandbox)
      const contract = yield* discoverFrom(client, "transactions")
      expect(contract).toMatchObject({ pagingProven: true, pageSize: 20 })
      return { sandbox, client, contract }
    })

  for (const [pages, lead] of [
    [2, 0],
    [3, 0],
    [7, 0],
    [7, 5],
    [150, 0],
  ] as const) {
    it.scopedLive(`that goes round in ${pages} pages after ${lead} is told within a few rounds`, () =>
      Effect.gen(function* () {
        const { sandbox, client, contract } = yield* listOf(offset =>
          offset < lead * 20 ? offset : lead * 20 + ((offset - lead * 20) % (pages * 20)),
        )
        const message = yield* failureOf(readAll(client, "transactions", { contract }))
        expect(message).toContain("again and again")
        expect(sandbox.requests.total).toBeLessThan(60 + 6 * (pages + lead))
      }),
    )
  }

  it.scopedLive("that always has new records ends at the bound on requests", () =>
    Effect.gen(function* () {
      const { sandbox, client, contract } = yield* listOf(offset => offset)
      const before = sandbox.requests.total
      const message = yield* failureOf(readAll(client, "transactions", { contract })).pipe(
        Effect.provideService(PagingBounds, { maxPages: 300 }),
      )
      expect(message).toContain("still not at its end after 300 requests")
      expect(message).toContain("PAYCOMBAT_PAGE_SIZE")
      expect(sandbox.requests.total - before).toBe(300)
    }),
  )
})

it.scopedLive("a list that changes its place in the answer between two pages has not ended", () =>
  Effect.gen(function* () {
    const sandbox = yield* startSandbox({ envelope: "data.data" })
    const client = yield* clientOf(sandbox)
    const contract = yield* discoverFrom(client, "transactions")
    sandbox.setFault(({ query }) =>
      Number(query.get("page")) > 2
        ? { transform: body => body.replace('"data":{"data":', '"data":{"data":[],"items":') }
        : undefined,
    )
    const message = yield* failureOf(readAll(client, "transactions", { contract }))
    expect(message).toContain("run again")
  }),
)
