import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { FaultHook, FaultRequest, SandboxOptions } from "../../src/sandbox/sandbox.ts"
import { verdictsOf } from "../../src/warehouse/read/verdict.ts"
import { listPath } from "../support/lists.ts"
import { bench, streamOf } from "../support/warehouse.ts"

/** A pass that was broken off and resumed is judged as one: by what all of its runs read. */

const pageOf = ({ path, query }: FaultRequest) => (path === PATH ? Number(query.get("page")) : 0)
const PATH = listPath("transactions")
const ONLY = { only: ["transactions"], account: { pageSize: 10 } }

const setup = (options: Partial<SandboxOptions>) =>
  Effect.gen(function* () {
    const { sandbox, sync, sql, value } = yield* bench({ transactions: 60, ...options })
    const pass = (full = false) =>
      Effect.map(sync({ ...ONLY, full }), summary => streamOf(summary, "transactions"))
    /** The commits of the run of the list that is under way. */
    const latest = () => sql<
      Array<{ extracted: number; rejected: number; stale: number; listed: string | null }>
    >`
      SELECT extracted::int, rejected::int, stale::int, listed FROM sync.stream_runs ORDER BY started_at DESC LIMIT 1`
    /** Reads the first three pages, is told to stop, and goes on from there. */
    const resumed = (full: boolean, fault: FaultHook, faultLater: FaultHook = fault) =>
      Effect.gen(function* () {
        sandbox.setFault(request => (pageOf(request) > 3 ? { hang: true } : fault(request)))
        const running = yield* Effect.fork(pass(full))
        yield* value("SELECT seen_keys + unkeyed FROM sync.checkpoints").pipe(
          Effect.delay("50 millis"),
          Effect.repeat({ until: seen => seen === "30" }),
        )
        yield* Fiber.interrupt(running)
        const [first] = yield* Effect.promise(() => latest())
        sandbox.setFault(faultLater)
        return { first: first!, second: yield* pass() }
      })
    const kinds = Effect.map(verdictsOf(sql, { streams: ONLY.only }), ([verdict]) =>
      verdict!.findings.flatMap(({ kind, level }) => (level === "good" ? [] : [kind])),
    )
    return { sandbox, pass, resumed, kinds }
  })

describe.concurrent("a pass that was interrupted and resumed", () => {
  it.scopedLive("reports fewer records than stated, also if the last run saw no total", () =>
    Effect.gen(function* () {
      const { pass, resumed, kinds } = yield* setup({ totals: "total", totalSkew: 3 })
      expect(yield* pass(true)).toMatchObject({ status: "complete", stated: 63, listed: 60 })
      expect(yield* kinds).toEqual(["fewer_read"])
      const { first, second } = yield* resumed(
        true,
        () => undefined,
        request =>
          pageOf(request) > 0
            ? { transform: body => body.replaceAll(/,"total":\d+|"total":\d+,/g, "") }
            : undefined,
      )
      expect(first).toMatchObject({ extracted: 30, listed: null })
      expect(second.extracted).toBeLessThan(60)
      expect(second.error).toBe(null)
      expect(second).toMatchObject({ status: "complete", stated: 63, listed: 60 })
      expect(second.movement).toContain("The API states 63 records, and its pages hold 60")
      expect(yield* kinds).toEqual(["fewer_read"])
    }),
  )

  it.scopedLive("counts the older versions of its earlier runs", () =>
    Effect.gen(function* () {
      const { sandbox, pass, resumed, kinds } = yield* setup({})
      yield* pass(true)
      for (const index of [15, 16])
        sandbox.patch("transactions", index, { updated_at: "2020-01-01T00:00:00Z", event_description: "old" })
      const { first, second } = yield* resumed(true, () => undefined)
      expect([first.stale, second.status, second.stale]).toEqual([2, "complete", 0])
      expect(yield* kinds).toEqual(["older_versions"])
    }),
  )

  it.scopedLive("fails by the rejects of all its runs", () =>
    Effect.gen(function* () {
      const { resumed } = yield* setup({ transactions: 100 })
      // Two of each page, and the first page is read again at the end.
      const { first, second } = yield* resumed(false, ({ path }) => {
        let left = 2
        return path === PATH
          ? {
              transform: (body: string) =>
                body.replaceAll('"amount":', text => (left-- > 0 ? '"amountV2":' : text)),
            }
          : undefined
      })
      expect(first).toMatchObject({ extracted: 30, rejected: 6 })
      expect(second.status).toBe("failed")
      expect(second.error).toMatch(/^22 of 110 records read \(20%\) could not become a row/)
    }),
  )
})
