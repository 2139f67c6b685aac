import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Fault } from "../../src/sandbox/sandbox.ts"
import { slowUnless } from "../support/slow.ts"
import { bench, statusesOf, streamOf } from "../support/warehouse.ts"

/** Adds members to each list that is answered, made from its records. */
const beside = (members: (records: ReadonlyArray<unknown>) => object): Fault => ({
  transform: body => {
    const answer = JSON.parse(body)
    return Array.isArray(answer.data) ? JSON.stringify({ ...answer, ...members(answer.data) }) : body
  },
})

const FOREIGN = { pagingNames: ["seite", "anzahl"], defaultPageSize: 10, maxPageSize: 10 } as const

describe("a run over lists that show only their first page", () => {
  for (const [name, fault] of [
    ["a cursor", beside(({ length }) => ({ total: length, has_more: true, next_cursor: "b3BhcXVl" }))],
    ["names that are not known", beside(({ length }) => ({ total: length }))],
    ["names that are not known, and state one page", beside(() => ({ pagination: { page: 1, pages: 1 } }))],
  ] as const)
    slowUnless(name === "a cursor", () => {
      it.scopedLive(`fails, and stores nothing, if they are paged by ${name}`, () =>
        Effect.gen(function* () {
          const { sandbox, sync, value } = yield* bench({ ...FOREIGN, payouts: 40 })
          sandbox.setFault(() => fault)
          const run = yield* sync()
          expect(run.status).toBe("failed")
          const lists = ["customers", "wallets", "payouts", "checkouts", "transactions"]
          expect(statusesOf(run)).toMatchObject(Object.fromEntries(lists.map(list => [list, "failed"])))
          const { error } = streamOf(run, "transactions")
          expect(error).toMatch(/^.*every paging parameter that was tried is ignored .*PAYCOMBAT_PAGING$/)
          expect(yield* value("SELECT count(*) FROM warehouse.transactions")).toBe("0")
        }),
      )
    })
})

describe("a run over a short list", () => {
  for (const [name, options] of [
    ["that can be paged", {}],
    ["that cannot be paged", FOREIGN],
  ] as const)
    it.scopedLive(`needs no setting if it is one ${name}`, () =>
      Effect.gen(function* () {
        const { sync, value } = yield* bench({ ...options, payouts: 3 })
        for (const inserted of [3, 0])
          expect(streamOf(yield* sync({ only: ["payouts"] }), "payouts")).toMatchObject({
            status: "complete",
            inserted,
          })
        expect(yield* value("SELECT count(*) FROM warehouse.payouts")).toBe("3")
      }),
    )
})

describe("a total that counts the page", () => {
  it.scopedLive("does not prove that pages of any size hold the whole list", () =>
    Effect.gen(function* () {
      const { sandbox, sync } = yield* bench({ pagingNames: ["page", "anzahl"], defaultPageSize: 7 })
      sandbox.setFault(() => beside(({ length }) => ({ total: length })))
      const { status, note } = streamOf(yield* sync({ only: ["payouts"] }), "payouts")
      expect(status).toBe("complete")
      expect(note).toContain("No parameter was seen to set the size of a page")
    }),
  )
})
