import { describe, expect, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { pages } from "../../src/paycombat/lists/pager.ts"
import {
  AFTER_ENDS,
  FAULTS,
  type FaultHook,
  type FaultName,
  type SandboxOptions,
} from "../../src/sandbox/sandbox.ts"
import { slowUnless } from "../support/slow.ts"
import {
  clientOf,
  discoverFrom,
  expectAll,
  readAll,
  SOURCES,
  startSandbox,
  truthOf,
  unique,
} from "./support.ts"

/** Ways to say that a page is not there, beside an empty list and the last page once more. */
const ABSENT = AFTER_ENDS.filter(end => end !== "empty" && end !== "repeat")
/** The same as faults, and failures that say of no page that it is not there. */
const SAYING_NOTHING: ReadonlyArray<FaultName> = [
  "no-content",
  "not-found",
  "no-data",
  "nothing-found",
  "empty",
  "empty-list",
]

describe("the end of a list is recognized, whatever the API answers beyond it:", () => {
  for (const afterEnd of ABSENT) {
    for (const transactions of [1, 20, 40, 50]) {
      slowUnless(transactions === 40, () => {
        it.scopedLive(`${afterEnd} after ${transactions}`, () =>
          Effect.gen(function* () {
            const { ids, contract } = yield* expectAll({ afterEnd, transactions })
            expect(ids.length).toBeGreaterThanOrEqual(transactions)
            if (transactions > 1) expect(contract.pagingProven).toBe(true)
          }),
        )
      })
    }

    slowUnless(afterEnd === "404", () => {
      it.scopedLive(`${afterEnd} after one page of an API that counts pages from 0`, () =>
        Effect.map(expectAll({ afterEnd, transactions: 7, firstPage: 0 }), ({ contract }) =>
          expect(contract).toMatchObject({ firstPage: 0, verified: true }),
        ),
      )
    })

    for (const totalSkew of [1, 500, -5]) {
      slowUnless(totalSkew === 1, () => {
        it.scopedLive(`${afterEnd}, where the total is off by ${totalSkew}`, () =>
          Effect.gen(function* () {
            const read = yield* expectAll({ afterEnd, totals: "meta", totalSkew, transactions: 40 })
            // The claim goes with the last page: its receiver can compare it with the number of records.
            expect(read.pages.at(-1)!.total).toBe(40 + totalSkew)
          }),
        )
      })
    }
  }

  const BEYOND: Readonly<Record<string, object>> = {
    "a text about its records": { body: { status: true, data: "No transactions found" } },
    "bare text": { body: "No data found", headers: { "content-type": "text/plain" } },
    "a code of its own": { body: { status: false, message: "No data", code: 1404, data: null } },
    "an item of null": { body: { status: true, data: [null] } },
    "an item without a field": { body: { status: true, data: [{}] } },
    "an item that is an empty list": { body: { status: true, data: [[]] } },
  }
  for (const [name, answer] of Object.entries(BEYOND))
    for (const transactions of [7, 40])
      it.scopedLive(`${name} after ${transactions}`, () =>
        Effect.gen(function* () {
          const sandbox = yield* startSandbox({ transactions })
          sandbox.setFault(({ query }) => {
            const [page, limit] = [Number(query.get("page") ?? 1), Number(query.get("limit") ?? 10)]
            return (page - 1) * limit >= transactions ? answer : undefined
          })
          const { ids, contract } = yield* readAll(yield* clientOf(sandbox), "transactions")
          expect(unique(ids)).toEqual(truthOf(sandbox))
          expect(contract.pagingProven).toBe(true)
        }),
      )

  it.scopedLive("records behind a short page that ends at the stated total are read", () =>
    Effect.gen(function* () {
      const options = { removedLeavesHoles: true, totals: "total", totalSkew: -30 } as const
      const sandbox = yield* startSandbox(options)
      // 110 are listed and 80 stated: page 3 holds 15, page 4 is the first that the total has no room for.
      for (let index = 40; index < 50; index++) sandbox.remove("transactions", index)
      const { ids } = yield* readAll(yield* clientOf(sandbox), "transactions")
      expect(unique(ids)).toEqual(truthOf(sandbox))
    }),
  )

  it.scopedLive("asks for no page beyond it more than a few times", () =>
    Effect.gen(function* () {
      const { sandbox } = yield* expectAll({ afterEnd: "no-body", transactions: 40 })
      const beyond = sandbox.requests.recent.filter(
        ({ query }) => query.includes("limit=20") && Number(new URLSearchParams(query).get("page")) > 2,
      )
      expect(beyond.length).toBeLessThanOrEqual(6)
    }),
  )
})

/** A list of 120 in pages of 20, discovered before the fault begins. */
const faulty = (fault: FaultHook, options: Partial<SandboxOptions> = {}) =>
  Effect.gen(function* () {
    const sandbox = yield* startSandbox(options)
    const client = yield* clientOf(sandbox)
    const contract = yield* discoverFrom(client, "transactions")
    sandbox.setFault(fault)
    return { sandbox, client, contract, read: Stream.runDrain(pages(client, contract, SOURCES.transactions)) }
  })

const from =
  (name: FaultName, isHit: (page: number, size: number) => boolean, times = Number.POSITIVE_INFINITY) =>
  (): FaultHook => {
    let left = times
    return ({ query }) =>
      isHit(Number(query.get("page")), Number(query.get("limit"))) && left-- > 0 ? FAULTS[name] : undefined
  }

describe("a failure is not the end of a list:", () => {
  for (const name of SAYING_NOTHING) {
    for (const page of [2, 3, 6]) {
      slowUnless(page === 3, () => {
        it.scopedLive(`${name} for page ${page} of 6`, () =>
          Effect.gen(function* () {
            const { read } = yield* faulty(from(name, number => number === page)())
            const error = yield* Effect.flip(read)
            expect(error).toMatchObject({ _tag: "EndpointError", reason: "unavailable" })
            expect(error.message).toMatch(
              new RegExp(`page ${page} .* again and again, although .*: run again later`),
            )
          }),
        )
      })
    }

    it.scopedLive(`${name} for all that is asked from page 4 on, by a server that went away`, () =>
      Effect.gen(function* () {
        let isAway = false
        const { read } = yield* faulty(({ query }) => {
          isAway ||= query.get("page") === "4"
          return isAway ? FAULTS[name] : undefined
        })
        expect(yield* Effect.flip(read)).toMatchObject({ reason: "unavailable" })
      }),
    )

    it.scopedLive(`${name} once`, () =>
      Effect.gen(function* () {
        const { sandbox, client, contract } = yield* faulty(from(name, number => number === 3, 1)())
        const { ids } = yield* readAll(client, "transactions", { contract })
        expect(unique(ids)).toEqual(truthOf(sandbox))
      }),
    )
  }

  for (const name of ["failed-envelope", "forbidden", "html"] as const) {
    it.scopedLive(`${name} from the first page beyond the last on`, () =>
      Effect.gen(function* () {
        const { read } = yield* faulty(from(name, (number, size) => (number - 1) * size >= 120)())
        const error = yield* Effect.flip(read)
        expect(error).toMatchObject({ _tag: "EndpointError" })
        expect((error as { reason: string }).reason).not.toBe("unavailable")
      }),
    )
  }
})
