import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Sandbox, start } from "../../src/sandbox/sandbox.ts"
import { type Cli, cli, databaseEnvironment, linesOf, sandboxEnvironment } from "../support/cli.ts"
import { listPath } from "../support/lists.ts"
import { testDatabase } from "../support/postgres.ts"
import { MIGRATED } from "../support/warehouse.ts"

/** A sync that is stopped, or stands in another one's way. */

const PAGES = 30
/** Requests that prove the end of the list, at most; one of them is a page of another size behind the full last page. */
const END_PROOF = 5
const HANG_FROM_PAGE = 21
const PAGE_SIZE = 100

/** From a page on, the transactions never answer. */
const hang = (sandbox: Sandbox) =>
  sandbox.setFault(({ path, query }) =>
    path === listPath("transactions") && Number(query.get("page")) >= HANG_FROM_PAGE
      ? { hang: true }
      : undefined,
  )

const parts = Effect.gen(function* () {
  const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
  const sandbox = yield* start({ customers: 10, transactions: PAGES * PAGE_SIZE, payouts: 5, checkouts: 5 })
  const program = yield* cli({
    ...sandboxEnvironment(sandbox),
    ...databaseEnvironment(ownerUrl),
    PAYCOMBAT_LOG_LEVEL: "debug",
    // Long enough that a request without an answer is not repeated during a test.
    PAYCOMBAT_TIMEOUT_SECONDS: "600",
  })
  hang(sandbox)
  return { sandbox, ...program }
})

/** A sync that has committed all pages that answer. */
const stuck = ({ start }: Cli) =>
  Effect.gen(function* () {
    const running = yield* start(["sync", "--stream", "transactions"])
    yield* running.printed(`${(HANG_FROM_PAGE - 1) * PAGE_SIZE} read`)
    return running
  })

const statusOf = ({ run }: Cli) =>
  Effect.map(run(["status", "--json", "--stream", "transactions"]), ({ stdout }) => {
    const [status] = JSON.parse(stdout) as ReadonlyArray<{
      readonly lastRunStatus: string
      readonly heldBy: string | null
      readonly rows: number
    }>
    return status!
  })

describe.concurrent("a sync that is told to stop", () => {
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)
    it.scopedLive(`${signal}: exits with ${code}, is booked as interrupted, and is gone on with`, () =>
      Effect.gen(function* () {
        const { sandbox, ...program } = yield* parts
        const running = yield* stuck(program)
        const ended = yield* running.stop(signal)
        expect(ended.code).toBe(code)
        expect(ended.stdout).toBe("")
        expect(yield* statusOf(program)).toMatchObject({
          lastRunStatus: "interrupted",
          heldBy: null,
          rows: (HANG_FROM_PAGE - 1) * PAGE_SIZE,
        })

        sandbox.setFault(null)
        sandbox.resetRequests()
        const next = yield* program.run(["sync", "--stream", "transactions"])
        expect(next.code).toBe(0)
        expect(next.stderr).toContain(`going on at page ${HANG_FROM_PAGE}`)
        expect(sandbox.requests.byPath.get(listPath("transactions"))).toBeLessThan(PAGES / 2 + 2 + END_PROOF)
        expect((yield* statusOf(program)).rows).toBe(PAGES * PAGE_SIZE)
      }),
    )
})

describe.concurrent("a sync whose log has lost its reader", () => {
  it.scopedLive("runs to its end, with the same result", () =>
    Effect.gen(function* () {
      const { sandbox, ...program } = yield* parts
      sandbox.setFault(null)
      const running = yield* program.start(["sync", "--stream", "transactions"])
      running.process.stderr!.once("data", () => running.process.stderr!.destroy())
      const ended = yield* running.ended
      // The reader went long before the end.
      expect(ended.stderr).not.toContain(`${PAGES * PAGE_SIZE} read`)
      expect(ended.code).toBe(0)
      expect(yield* statusOf(program)).toMatchObject({
        lastRunStatus: "complete",
        rows: PAGES * PAGE_SIZE,
      })
    }),
  )
})

describe.concurrent("two syncs at once", () => {
  it.scopedLive("the second does nothing, names the holder, and exits with 3", () =>
    Effect.gen(function* () {
      const { sandbox, ...program } = yield* parts
      const running = yield* stuck(program)
      sandbox.resetRequests()
      const second = yield* program.run(["sync", "--stream", "transactions"])
      expect(second.code).toBe(3)
      expect(second.stdout).toBe("")
      expect(linesOf(second.stderr)).toHaveLength(1)
      expect(second.stderr).toContain(`:${running.process.pid}`)
      // The first may still be asking for the pages that hang; a sync begins with the first page.
      const pages = sandbox.requests.recent.map(({ query }) => Number(new URLSearchParams(query).get("page")))
      expect(pages.filter(page => page < HANG_FROM_PAGE)).toEqual([])
      expect((yield* statusOf(program)).heldBy).toContain(`:${running.process.pid}`)

      // The account is the first one's: also other streams of it would share its rate.
      expect((yield* program.run(["sync", "--stream", "payouts"])).code).toBe(3)
    }),
  )

  it.scopedLive("a killed one counts as dead when its lease has run out", () =>
    Effect.gen(function* () {
      const { sandbox, ...program } = yield* parts
      const running = yield* program.start(["sync", "--stream", "transactions"], {
        PAYCOMBAT_LEASE_SECONDS: "5",
      })
      yield* running.printed(`${(HANG_FROM_PAGE - 1) * PAGE_SIZE} read`)
      expect((yield* running.stop("SIGKILL")).code).toBe(137)
      sandbox.setFault(null)
      const next = yield* program
        .run(["sync", "--stream", "transactions"])
        .pipe(Effect.delay("300 millis"), Effect.repeat({ while: ({ code }) => code === 3 }))
      expect(next.code).toBe(0)
      expect(next.stderr).toContain("going on at page")
    }),
  )
})
