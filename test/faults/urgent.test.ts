import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect } from "../../src/postgres/connect.ts"
import { type Sandbox, start } from "../../src/sandbox/sandbox.ts"
import { handOver } from "../../src/warehouse/ledger/urgent.ts"
import { cli, databaseEnvironment, sandboxEnvironment } from "../support/cli.ts"
import { testDatabase } from "../support/postgres.ts"
import { benchOf, MIGRATED, SMALL } from "../support/warehouse.ts"

/** Urgent work between processes: one hands it over, another holds the account, and either may be killed. */

const RATE = 4
const PAYOUT = "/api/v1/payout/retrieve-payout/{id}"

const parts = Effect.gen(function* () {
  const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
  const sandbox = yield* start({ ...SMALL, transactions: 400, detailPaths: { payouts: PAYOUT } })
  const sql = yield* connect(ownerUrl)
  const program = yield* cli({
    ...sandboxEnvironment(sandbox),
    ...databaseEnvironment(ownerUrl),
    PAYCOMBAT_RATE_PER_SECOND: String(RATE),
    PAYCOMBAT_PAGE_SIZE: "10",
    PAYCOMBAT_LEASE_SECONDS: "5",
  })
  const bench = benchOf({ sql, sandbox })
  yield* bench.sync({ only: ["payouts"] })
  return { ...bench, ...program }
})

/** Lets requests be told that have arrived; `after` sees each of them before it is answered. */
const watched = (sandbox: Sandbox, after: (path: string) => void = () => undefined) => {
  const arrivals: Array<number> = []
  sandbox.setFault(({ path }) => {
    arrivals.push(performance.now())
    after(path)
    return undefined
  })
  return arrivals
}

const until = (condition: Effect.Effect<boolean>) =>
  condition.pipe(Effect.delay("50 millis"), Effect.repeat({ until: isTrue => isTrue }))

const expectRateKept = (arrivals: ReadonlyArray<number>) => {
  const most = (millis: number) =>
    Math.max(...arrivals.map(from => arrivals.filter(at => at >= from && at < from + millis).length))
  // Delays of arrivals are no part of what is tested here: two holders would send more in less time.
  expect(most(750)).toBeLessThanOrEqual(RATE)
  expect(most(5_000)).toBeLessThanOrEqual(5 * RATE)
}

describe("urgent work for an account that another process holds", () => {
  it.scopedLive(
    "is stored by that process within seconds of a pass that takes much longer, within the rate",
    () =>
      Effect.gen(function* () {
        const { sql, sandbox, start: launch, value } = yield* parts
        const arrivals = watched(sandbox)
        const holder = yield* launch(["sync", "--stream", "transactions"])
        yield* until(Effect.sync(() => arrivals.length > 5))
        sandbox.touch("payouts", 6)
        const { updated_at: updated } = JSON.parse(sandbox.truth.text("payouts", 6)) as { updated_at: string }
        const handed = yield* handOver(sql, "default", "payouts", [sandbox.idOf("payouts", 6)])
        expect(handed).toEqual({ accepted: 1, isHeld: true })
        const from = performance.now()
        yield* until(
          Effect.map(
            value(`SELECT count(*) FROM warehouse.payouts WHERE source_updated_at = '${updated}'`),
            count => count === "1",
          ),
        )
        expect(performance.now() - from).toBeLessThan(8_000)
        expect(yield* value("SELECT status FROM sync.stream_runs WHERE stream = 'transactions'")).toBe(
          "running",
        )
        const ended = yield* holder.ended
        expect(ended.code, ended.stderr).toBe(0)
        expectRateKept(arrivals)
        expect(yield* value("SELECT count(*) FROM warehouse.transactions")).toBe("400")
      }),
  )

  it.scopedLive("is done first by the next holder if that process is killed while it reads the record", () =>
    Effect.gen(function* () {
      const { sql, sandbox, start: launch, run, value } = yield* parts
      const id = sandbox.idOf("payouts", 7)
      let isAsked = false
      const arrivals = watched(sandbox, path => {
        isAsked ||= path.endsWith(id)
      })
      const killed = yield* launch(["sync", "--stream", "transactions"])
      yield* until(Effect.sync(() => arrivals.length > 3))
      sandbox.touch("payouts", 7)
      // The answer never comes, so that it is killed in the middle of the work.
      sandbox.setFault(({ path }) => {
        arrivals.push(performance.now())
        isAsked ||= path.endsWith(id)
        return path.endsWith(id) ? { hang: true } : undefined
      })
      yield* handOver(sql, "default", "payouts", [id])
      yield* until(Effect.sync(() => isAsked))
      yield* killed.stop("SIGKILL")
      expect(yield* value("SELECT count(*) FROM sync.urgent_work WHERE closed_at IS NULL")).toBe("1")
      const before = arrivals.length
      const paths: Array<string> = []
      watched(sandbox, path => {
        arrivals.push(performance.now())
        paths.push(path)
      })
      const heir = yield* run(["sync", "--stream", "customers", "--wait"])
      expect(heir.code, heir.stderr).toBe(0)
      expect(arrivals.length).toBeGreaterThan(before)
      expect(
        paths.slice(0, 3).map(path => path.endsWith(id)),
        paths.join(" "),
      ).toContain(true)
      expect(yield* value("SELECT outcome FROM sync.urgent_work")).toBe("stored")
      const { status } = JSON.parse(sandbox.truth.text("payouts", 7)) as { status: string }
      expect(yield* value(`SELECT status FROM warehouse.payouts WHERE payout_id = '${id}'`)).toBe(status)
      expectRateKept(arrivals)
    }),
  )
})
