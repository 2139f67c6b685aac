import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Stream } from "effect"
import { pages } from "../../src/paycombat/paging.ts"
import type { Sandbox, SandboxOptions, StreamName } from "../../src/sandbox/Sandbox.ts"
import { clientOf, discoverFrom, idsOf, readAll, SOURCES, startSandbox } from "./support.ts"

const PATH = "/api/v1/transaction/get-all"

const truthOf = (sandbox: Sandbox, stream: StreamName = "transactions") =>
  [...sandbox.truth.ids(stream)].sort()

const unique = (ids: Iterable<string>) => [...new Set(ids)].sort()

/** Reads all transactions of such a sandbox, and expects each that is listed in the end. */
const expectAll = (options: Partial<SandboxOptions>, pageSize = 20) =>
  Effect.gen(function* () {
    const sandbox = yield* startSandbox(options)
    const client = yield* clientOf(sandbox, { pageSize })
    const read = yield* readAll(client, "transactions")
    expect(unique(read.ids)).toEqual(truthOf(sandbox))
    expect(read.pages.filter(page => page.isLast)).toEqual([read.pages.at(-1)])
    expect(read.pages.filter(page => page.next === null)).toEqual([read.pages.at(-1)])
    return { ...read, sandbox }
  })

const variants = <A extends object>(choices: { readonly [K in keyof A]: ReadonlyArray<A[K]> }) =>
  Object.entries(choices).reduce<ReadonlyArray<Partial<A>>>(
    (rows, [key, values]) =>
      rows.flatMap(row =>
        (values as ReadonlyArray<unknown>).map(value => ({ ...row, [key]: value }) as Partial<A>),
      ),
    [{}],
  )

const label = (options: object) => JSON.stringify(options)

describe("every record is read once, whatever the list looks like:", () => {
  const shapes = variants<Pick<SandboxOptions, "envelope" | "totals">>({
    envelope: ["data", "data.data", "data.named", "double", "double.named"],
    totals: ["none", "total", "pagination", "meta"],
  })
  for (const options of shapes) {
    it.scopedLive(label(options), () =>
      Effect.gen(function* () {
        const { ids, contract } = yield* expectAll(options)
        expect(ids).toHaveLength(120)
        expect(contract).toMatchObject({ verified: true, pagingProven: true, pageSize: 20 })
        expect(contract.hasTotal).toBe(options.totals !== "none")
      }),
    )
  }

  const ends = variants<Pick<SandboxOptions, "transactions" | "afterEnd" | "totals">>({
    transactions: [1, 2, 19, 20, 21, 40, 50, 120],
    afterEnd: ["empty", "404", "repeat"],
    totals: ["none", "total"],
  })
  for (const options of ends) {
    it.scopedLive(label(options), () =>
      Effect.map(expectAll(options), ({ ids }) => expect(ids).toHaveLength(options.transactions!)),
    )
  }

  const caps = variants<Pick<SandboxOptions, "maxPageSize" | "offsetBy" | "totals" | "afterEnd">>({
    maxPageSize: [1, 7, 15],
    offsetBy: ["asked", "served"],
    totals: ["none", "pagination"],
    afterEnd: ["empty", "repeat"],
  })
  for (const options of caps) {
    it.scopedLive(label(options), () =>
      Effect.gen(function* () {
        const { ids, contract } = yield* expectAll({ ...options, transactions: 50 })
        expect(ids).toHaveLength(50)
        expect(contract.pageSize).toBe(options.maxPageSize)
      }),
    )
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
      it.scopedLive(`${pagingNames} of ${transactions}`, () =>
        Effect.gen(function* () {
          const { ids, contract } = yield* expectAll({ pagingNames, transactions })
          expect(ids).toHaveLength(transactions)
          expect(contract.pageParam).toBe(pagingNames[0])
          if (transactions > 10) expect(contract).toMatchObject({ sizeParam: pagingNames[1], pageSize: 20 })
        }),
      )
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
      it.scopedLive(`${totals} off by ${totalSkew}`, () => expectAll({ totals, totalSkew }))
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

  it.scopedLive("a short last page that the total explains needs no further request at the end", () =>
    Effect.gen(function* () {
      const { sandbox } = yield* expectAll({ totals: "total", transactions: 50 })
      const asked = sandbox.requests.recent.map(({ query }) => new URLSearchParams(query).get("page"))
      expect(asked).not.toContain("4")
    }),
  )
})

describe("records that are inserted while the list is read are read too:", () => {
  const changes = variants<{
    order: SandboxOptions["order"]
    place: "front" | "back"
    every: number
    totals: SandboxOptions["totals"]
    transactions: number
  }>({
    order: ["oldest-first", "newest-first"],
    place: ["front", "back"],
    every: [1, 2, 3],
    totals: ["none", "total"],
    transactions: [60, 65],
  })
  for (const { every, place, order, totals, transactions } of changes) {
    it.scopedLive(label({ every, place, order, totals, transactions }), () =>
      Effect.gen(function* () {
        const sandbox = yield* startSandbox({
          transactions: transactions!,
          order: order!,
          totals: totals!,
        })
        const client = yield* clientOf(sandbox)
        const contract = yield* discoverFrom(client, "transactions")
        let asked = 0
        sandbox.setFault(() => {
          asked++
          if (asked > 1 && asked <= 4 && asked % every! === 0) sandbox.insert("transactions", 3, place!)
          return undefined
        })
        const { ids } = yield* readAll(client, "transactions", { contract })
        expect(unique(ids)).toEqual(truthOf(sandbox))
      }),
    )
  }

  it.scopedLive("a whole page at the front of a list of one page", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({ transactions: 20, order: "newest-first" })
      const client = yield* clientOf(sandbox)
      const contract = yield* discoverFrom(client, "transactions")
      sandbox.setFault(({ query }) => {
        if (query.get("page") === "2" && sandbox.truth.count("transactions") === 20) {
          sandbox.insert("transactions", 20, "front")
        }
        return undefined
      })
      const { ids } = yield* readAll(client, "transactions", { contract })
      expect(unique(ids)).toEqual(truthOf(sandbox))
    }),
  )

  for (const count of [1, 14, 15, 16, 40]) {
    it.scopedLive(`${count} at the back of a short last page, once that was read`, () =>
      Effect.gen(function* () {
        const sandbox = yield* startSandbox({ transactions: 65 })
        const client = yield* clientOf(sandbox)
        const contract = yield* discoverFrom(client, "transactions")
        let isDone = false
        sandbox.setFault(({ query }) => {
          if (query.get("page") === "5" && !isDone) {
            isDone = true
            sandbox.insert("transactions", count, "back")
          }
          return undefined
        })
        const { ids } = yield* readAll(client, "transactions", { contract })
        expect(unique(ids)).toEqual(truthOf(sandbox))
      }),
    )
  }

  for (const count of [1, 19, 20, 21, 65]) {
    for (const place of ["front", "back"] as const) {
      it.scopedLive(`${count} at once at the ${place}`, () =>
        Effect.gen(function* () {
          const sandbox = yield* startSandbox({ order: "newest-first", transactions: 90 })
          const client = yield* clientOf(sandbox)
          const contract = yield* discoverFrom(client, "transactions")
          sandbox.setFault(({ query }) => {
            if (query.get("page") === "3" && sandbox.truth.count("transactions") === 90) {
              sandbox.insert("transactions", count, place)
            }
            return undefined
          })
          const { ids } = yield* readAll(client, "transactions", { contract })
          expect(unique(ids)).toEqual(truthOf(sandbox))
          expect(sandbox.truth.count("transactions")).toBe(90 + count)
        }),
      )
    }
  }
})

describe("a pass goes on", () => {
  it.scopedLive("from each of its pages, one earlier, and reads all that came meanwhile", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({ order: "newest-first" })
      const client = yield* clientOf(sandbox)
      const { contract, pages: first } = yield* readAll(client, "transactions")
      for (const [index, { next }] of first.entries()) {
        if (next === null) continue
        sandbox.insert("transactions", 7, "front")
        sandbox.resetRequests()
        const from = { ...next, page: Math.max(1, next.page - 1) }
        const rest = yield* readAll(client, "transactions", { contract, from })
        const before = idsOf("transactions", first.slice(0, index + 1))
        expect(unique([...before, ...rest.ids])).toEqual(truthOf(sandbox))
        expect(rest.pages[0]!.number).toBe(from.page)
      }
    }),
  )

  it.scopedLive("with the size it was begun with, although another one is configured now", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      const contract = yield* discoverFrom(yield* clientOf(sandbox), "transactions")
      const client = yield* clientOf(sandbox, { pageSize: 50 })
      const from = { page: 4, pageSize: 20, head: [sandbox.idOf("transactions", 0)] }
      const { ids } = yield* readAll(client, "transactions", { contract, from })
      const listed = [...sandbox.truth.ids("transactions")]
      expect(listed.slice(60).filter(id => !ids.includes(id))).toEqual([])
      expect(ids).not.toContain(listed[30])
    }),
  )

  it.scopedLive("from the beginning, when the API serves smaller pages now", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({ maxPageSize: 15, offsetBy: "asked" })
      const client = yield* clientOf(sandbox)
      const from = { page: 3, pageSize: 20, head: [] }
      const { ids } = yield* readAll(client, "transactions", { from })
      expect(unique(ids)).toEqual(truthOf(sandbox))
    }),
  )

  it.scopedLive("from the beginning, when the list ends before its position", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      const { ids } = yield* readAll(yield* clientOf(sandbox), "transactions", {
        from: { page: 9, pageSize: 20, head: [] },
      })
      expect(unique(ids)).toEqual(truthOf(sandbox))
    }),
  )
})

for (const totals of ["total", "meta"] as const) {
  it.scopedLive(`ignored parameters do no harm where the ${totals} says that the page is everything`, () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({ pagingNames: ["seite", "anzahl"], totals, checkouts: 6 })
      const { ids } = yield* readAll(yield* clientOf(sandbox), "checkouts")
      expect(ids).toHaveLength(6)
      expect(unique(ids)).toEqual(truthOf(sandbox, "checkouts"))
    }),
  )
}

describe("what cannot be read to its end is an error:", () => {
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
