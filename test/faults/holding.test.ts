import { type AddressInfo, connect as connectSocket, createServer, type Socket } from "node:net"
import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Redacted } from "effect"
import { Progress } from "../../src/observe/progress.ts"
import { connect } from "../../src/postgres/connect.ts"
import { start } from "../../src/sandbox/sandbox.ts"
import { makeHolding } from "../../src/sync/holding.ts"
import { ACCOUNT } from "../../src/warehouse/ledger/lease.ts"
import { testDatabase } from "../support/postgres.ts"
import { accountOf, bench, MIGRATED, SMALL, syncOnce, testWarehouse } from "../support/warehouse.ts"

/** Leases are kept whatever else the process, its pool and single connections do. */

const RUN_ID = "00000000-0000-4000-8000-000000000001"
const ACCOUNT_NAME = { account: "default", stream: ACCOUNT }

/** Another way to a database, whose present connections can be made to stand still. */
const stalling = (url: Redacted.Redacted) =>
  Effect.gen(function* () {
    const target = new URL(Redacted.value(url))
    const pairs = new Set<readonly [Socket, Socket]>()
    const server = createServer(client => {
      const other = connectSocket(Number(target.port), target.hostname)
      for (const [from, to] of [
        [client, other],
        [other, client],
      ] as const)
        from.on("error", () => undefined).on("data", data => to.write(data))
      client.on("close", () => other.destroy())
      other.on("close", () => client.destroy())
      pairs.add([client, other])
    })
    yield* Effect.acquireRelease(
      Effect.async<void>(resume => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () => Effect.sync(() => server.close()),
    )
    const through = new URL(target)
    through.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
    const each = (what: "pause" | "resume") =>
      Effect.sync(() => {
        for (const pair of pairs) for (const socket of pair) socket[what]()
      })
    return { url: Redacted.make(through.href), stall: each("pause"), goOn: each("resume") }
  })

/** True if a grant was valid at each of many moments within so long a time. */
const wasValid = (isValid: Effect.Effect<boolean>, millis: number) =>
  Effect.gen(function* () {
    const until = (yield* Clock.currentTimeMillis) + millis
    while ((yield* Clock.currentTimeMillis) < until) {
      if (!(yield* isValid)) return false
      yield* Effect.sleep("50 millis")
    }
    return true
  })

describe("a lease", () => {
  it.scopedLive("is renewed in time while work holds every connection of the pool", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const holding = yield* makeHolding(sql, { runId: RUN_ID, leaseSeconds: 3 })
      const { leases } = yield* holding.take([ACCOUNT_NAME])
      const busy = yield* Effect.fork(
        Effect.promise(() =>
          Promise.all(Array.from({ length: 20 }, () => sql.begin(tx => tx`SELECT pg_sleep(2.5)`))),
        ),
      )
      expect(yield* wasValid(holding.grantOf(leases[0]!).isValid, 5_000)).toBe(true)
      yield* Fiber.join(busy)
    }),
  )

  it.scopedLive("is renewed in time although the connection of a renewal stalls", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
      const way = yield* stalling(ownerUrl)
      const sql = yield* connect(way.url)
      const holding = yield* makeHolding(sql, { runId: RUN_ID, leaseSeconds: 6 })
      const { leases } = yield* holding.take([ACCOUNT_NAME])
      // So that the connection of its heartbeat is open.
      yield* Effect.sleep("2500 millis")
      yield* way.stall
      const isKept = yield* Effect.ensuring(wasValid(holding.grantOf(leases[0]!).isValid, 8_000), way.goOn)
      expect(isKept).toBe(true)
    }),
  )

  it.scopedLive("that is being acquired does not keep a run from ending on a signal", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
      const way = yield* stalling(ownerUrl)
      const sql = yield* connect(way.url)
      const holding = yield* makeHolding(sql, { runId: RUN_ID, leaseSeconds: 6 })
      yield* way.stall
      const taking = yield* Effect.fork(holding.take([ACCOUNT_NAME]))
      yield* Effect.sleep("300 millis")
      const told = yield* Effect.ensuring(Effect.timeout(Fiber.interrupt(taking), "8 seconds"), way.goOn)
      expect(told._tag).toBe("Failure")
    }),
  )
})

describe("many accounts at once", () => {
  it.scopedLive("take turns, and are all synced", () =>
    Effect.gen(function* () {
      const { sql } = yield* bench()
      const sandbox = yield* start({ ...SMALL, payouts: 5 })
      sandbox.setFault(() => ({ delayMillis: 50 }))
      const running = new Set<string>()
      let most = 0
      const progress = Progress.of({
        tell: ({ account, status }) =>
          Effect.sync(() => {
            if (status === "running") running.add(account)
            else if (status !== "waiting") running.delete(account)
            most = Math.max(most, running.size)
          }),
      })
      const accounts = Array.from({ length: 20 }, (_, n) => accountOf(sandbox, { name: `account${n}` }))
      const summary = yield* syncOnce(sql, sandbox, { accounts, only: ["payouts"] }).pipe(
        Effect.provideService(Progress, progress),
      )
      expect(summary.status).toBe("complete")
      expect(summary.streams).toHaveLength(20)
      expect(most).toBeGreaterThan(1)
      expect(most).toBeLessThanOrEqual(8)
    }),
  )
})
