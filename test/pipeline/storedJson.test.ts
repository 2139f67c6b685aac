import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as fc from "fast-check"
import { decodePassFields } from "../../src/core/documentedFields.ts"
import { type Contract, decodeContract } from "../../src/paycombat/lists/contract.ts"
import { decodePosition } from "../../src/paycombat/lists/page.ts"
import { LIST_PATHS } from "../support/lists.ts"
import { bench, streamOf } from "../support/warehouse.ts"

/** Tests JSON that runs store for later runs: undecodable JSON counts as unknown, and fails no run. */

const CONTRACT: Contract = {
  path: "/list",
  pageParam: "page",
  sizeParam: "limit",
  firstPage: 1,
  at: "data",
  pageSize: 20,
  maxPageSize: null,
  hasTotal: false,
  pagingProven: true,
  verified: true,
  byId: "/one/{id}",
  learned: { order: "updated", pages: 6 },
}

/** JSON that is no contract, no position and no count. */
const OTHERS: ReadonlyArray<readonly [name: string, json: unknown]> = [
  ["null", null],
  ["a text", "page"],
  ["a list", [1, 2]],
  ["an object without keys", {}],
  ["fields of other types", { path: 7, page: "7", pageSize: "10", head: "r0", pageParam: null, tally: 1 }],
]

describe("stored JSON", () => {
  it("is decoded, or counts as unknown", () => {
    fc.assert(
      fc.property(fc.jsonValue(), json => {
        for (const decode of [decodeContract, decodePosition, decodePassFields])
          expect([undefined, "object"]).toContain(
            decode(json) === undefined ? undefined : typeof decode(json),
          )
      }),
    )
    for (const [, json] of OTHERS)
      for (const decode of [decodeContract, decodePosition, decodePassFields])
        expect(decode(json)).toBeUndefined()
  })

  it("with a contract whose keys have another order is the same contract", () => {
    const reordered = Object.fromEntries(Object.entries(CONTRACT).reverse())
    expect(decodeContract(JSON.parse(JSON.stringify(reordered)))).toEqual(CONTRACT)
  })

  it("with a contract with one field of another type is unknown", () => {
    const { byId: _, learned: __, ...required } = CONTRACT
    for (const field of Object.keys(required)) {
      expect([field, decodeContract({ ...CONTRACT, [field]: { other: 1 } })]).toEqual([field, undefined])
      const { [field as keyof Contract]: ___, ...without } = CONTRACT
      expect([field, decodeContract(without)]).toEqual([field, undefined])
    }
  })

  it("with a proof that does not decode keeps the contract, and the list is read in full", () => {
    const { learned: _, ...unproven } = CONTRACT
    for (const learned of [null, "updated", {}, { pages: -1 }, { ...CONTRACT.learned, order: "id" }])
      expect(decodeContract({ ...CONTRACT, learned })).toEqual(unproven)
  })

  it("from an earlier version, which named no paginator, counts records if the parameter did", () => {
    for (const pageParam of ["offset", "skip", "Start", "from"])
      expect(decodeContract({ ...CONTRACT, pageParam })).toMatchObject({ paginator: "offset" })
    for (const pageParam of ["page", "p", "offsets"])
      expect(decodeContract({ ...CONTRACT, pageParam })).not.toHaveProperty("paginator")
  })

  it("with a position of an earlier version has no skipped pages", () => {
    const position = { page: 4, pageSize: 10, head: ["r0"] }
    expect(decodePosition(position)).toEqual(position)
    for (const other of [{ page: 0 }, { page: 1.5 }, { pageSize: -1 }, { head: [1] }, { skipped: [null] }])
      expect(decodePosition({ ...position, ...other })).toBeUndefined()
  })
})

const ONLY = { only: ["transactions"], account: { pageSize: 10 } }
const ROWS = "SELECT count(*) FROM warehouse.transactions WHERE removed_at IS NULL"

describe("a run whose stream stored JSON of another shape", () => {
  it.scopedLive("discovers the list, and stores a contract that decodes", () =>
    Effect.gen(function* () {
      const { sync, sql, value } = yield* bench({ transactions: 30 })
      const store = (contract: unknown) =>
        Effect.promise(
          () => sql`UPDATE sync.contracts SET contract = ${JSON.stringify(contract)}::text::jsonb`,
        )
      const stored = Effect.map(value("SELECT contract::text FROM sync.contracts"), text =>
        decodeContract(JSON.parse(text!)),
      )
      yield* sync(ONLY)
      const proven = yield* stored
      expect(proven).toMatchObject({ path: LIST_PATHS.transactions, pagingProven: true })
      const others = OTHERS.filter(([name]) => /^(null|fields)/.test(name))
      for (const [name, json] of [...others, ["a page size of 0", { ...proven, pageSize: 0 }] as const]) {
        yield* store(json)
        const run = streamOf(yield* sync(ONLY), "transactions")
        expect([name, run.status, run.error, run.unchanged]).toEqual([name, "complete", null, 30])
        expect([name, yield* stored]).toEqual([name, proven])
      }
      yield* store({ ...proven, learned: { pages: "many", order: "updated" } })
      const run = streamOf(yield* sync(ONLY), "transactions")
      expect(run).toMatchObject({ status: "complete", mode: "full", unchanged: 30 })
      expect(yield* value(ROWS)).toBe("30")
    }),
  )

  for (const column of ["position", "fields"] as const)
    it.scopedLive(`starts the pass again: ${column}`, () =>
      Effect.gen(function* () {
        const { sandbox, sync, sql, value } = yield* bench({ transactions: 60 })
        const others = OTHERS.filter(([name]) => /^fields/.test(name))
        for (const [name, json] of others) {
          sandbox.setFault(({ path, query }) =>
            path === LIST_PATHS.transactions && Number(query.get("page")) > 3 ? { hang: true } : undefined,
          )
          const running = yield* Effect.fork(sync({ ...ONLY, full: true }))
          yield* value("SELECT seen_keys FROM sync.checkpoints").pipe(
            Effect.delay("50 millis"),
            Effect.repeat({ until: seen => seen === "30" }),
          )
          yield* Fiber.interrupt(running)
          sandbox.setFault(null)
          yield* Effect.promise(
            () => sql`UPDATE sync.checkpoints SET ${sql(column)} = ${JSON.stringify(json)}::text::jsonb`,
          )
          const run = streamOf(yield* sync(ONLY), "transactions")
          expect([name, run.status, run.error, run.removed]).toEqual([name, "complete", null, 0])
          // Page 1 is read again at the end of a pass; a pass that went on would have read 30 and that.
          expect([name, run.extracted]).toEqual([name, 60])
          expect([name, yield* value(ROWS)]).toEqual([name, "60"])
        }
      }),
    )
})
