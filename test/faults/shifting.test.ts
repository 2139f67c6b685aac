import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { SandboxOptions } from "../../src/sandbox/sandbox.ts"
import {
  clientOf,
  discoverFrom,
  idsOf,
  label,
  readAll,
  startSandbox,
  truthOf,
  unique,
  variants,
} from "../paycombat/support.ts"

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
  it.scopedLive("from each of its pages, one earlier, and reads all records inserted meanwhile", () =>
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
