import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { FAULTS, type FaultName, seededFaults, start } from "../../src/sandbox/sandbox.ts"
import {
  expectSame,
  hurried,
  IMPATIENT,
  measured,
  PATIENT,
  REAL_LEASE,
  RUN_MILLIS_MAX,
  reference,
  wholeOf,
} from "../support/apiFaults.ts"
import { LIST_PATHS } from "../support/lists.ts"
import { accountOf, bench, SMALL, streamOf } from "../support/warehouse.ts"

describe.concurrent("a temporary failure is retried, and the run is complete:", () => {
  const groups: Readonly<Record<string, ReadonlyArray<FaultName>>> = {
    "too many requests": [
      "rate-limit",
      "rate-limit-bare",
      "retry-after-negative",
      "retry-after-text",
      "retry-after-past",
    ],
    "a server that fails": ["server-error", "bad-gateway", "unavailable"],
    "a connection that fails": ["slow", "cut", "reset", "truncated", "empty"],
    "no answer in time": ["hang", "drip"],
    "other clothes": ["html-type", "bom", "gzip", "clock-behind", "clock-ahead"],
  }
  for (const [seed, [group, names]] of Object.entries(groups).entries()) {
    it.scopedLive(group, () =>
      Effect.gen(function* () {
        const { sandbox, sync, sql } = yield* bench()
        const isCostly = names.includes("hang")
        const chances = Object.fromEntries(names.map(name => [name, (isCostly ? 0.1 : 0.4) / names.length]))
        const counted = new Set<unknown>()
        const hook = seededFaults(seed + 1, chances)
        sandbox.setFault(request => {
          const fault = hook(request)
          counted.add(fault)
          return fault
        })
        const account = isCostly ? IMPATIENT : PATIENT
        const { value: run, millis } = yield* measured(hurried(sync({ account, ...REAL_LEASE })))
        expect(run.streams.map(({ error }) => error)).toEqual(run.streams.map(() => null))
        expect(run.status).toBe("complete")
        expect(millis).toBeLessThan(RUN_MILLIS_MAX)
        for (const name of names) expect([name, counted.has(FAULTS[name])]).toEqual([name, true])
        yield* expectSame(sql, yield* reference, group)
      }),
    )
  }
})

describe.concurrent("an API that asks for a pause longer than a run waits", () => {
  const cases: ReadonlyArray<readonly [FaultName, message: RegExp]> = [
    ["retry-after-hour", /try again after 2\d{3}-\d\d-\d\dT/],
    ["retry-after-huge", /longer than a year: ask PayCombat whether it blocks this access/],
  ]
  it.scopedLive.each([...cases])("gets no more requests from any stream: %s", ([name, message]) =>
    Effect.gen(function* () {
      const { sandbox, sync, sql } = yield* bench()
      const whole = yield* reference
      sandbox.setFault(() => FAULTS[name])
      const { value: run, millis } = yield* measured(sync())
      expect(run.status).toBe("failed")
      for (const { status, error } of run.streams.filter(({ stream }) => stream !== "wallet_readiness")) {
        expect(status).toBe("failed")
        expect(error).toMatch(message)
      }
      expect(sandbox.requests.total).toBeLessThanOrEqual(8)
      expect(millis).toBeLessThan(RUN_MILLIS_MAX)
      sandbox.setFault(null)
      // The next holder of the account keeps the pause too.
      sandbox.resetRequests()
      expect((yield* sync()).status).toBe("failed")
      expect(sandbox.requests.total).toBe(0)
      yield* Effect.promise(() => sql`UPDATE sync.leases SET paused_until = NULL`)
      expect((yield* sync()).status).toBe("complete")
      yield* expectSame(sql, whole, name)
    }),
  )
})

describe.concurrent("an API that is away altogether", () => {
  it.scopedLive.each(["hang", "reset", "unavailable", "rate-limit-bare"] as const)(
    "fails every stream in bounded time, and loses nothing: %s",
    name =>
      Effect.gen(function* () {
        const { sandbox, sync, sql } = yield* bench()
        const whole = yield* reference
        sandbox.setFault(() => FAULTS[name])
        const account = { ...IMPATIENT, paths: LIST_PATHS }
        const { value: run, millis } = yield* measured(hurried(sync({ account, ...REAL_LEASE })))
        expect(run.status).toBe("failed")
        const lists = run.streams.filter(({ stream }) => stream !== "wallet_readiness")
        expect(lists.map(({ status }) => status)).toEqual(lists.map(() => "failed"))
        expect(millis).toBeLessThan(RUN_MILLIS_MAX)
        sandbox.setFault(null)
        expect((yield* sync()).status).toBe("complete")
        yield* expectSame(sql, whole, name)
      }),
  )
})

describe("a token that is revoked in the middle of a run", () => {
  it.scopedLive(
    "stops its account, keeps the loaded rows, and the next run continues with a good token",
    () =>
      Effect.gen(function* () {
        const { sandbox, sync, sql, rows } = yield* bench()
        const whole = yield* reference
        const other = yield* start({ ...SMALL, seed: 7 })
        const accounts = [accountOf(sandbox), accountOf(other, { name: "other" })]
        const isLate = ({ path, query }: { path: string; query: URLSearchParams }) =>
          path.includes("/transaction/") && Number(query.get("page")) >= 9
        let isRevoked = false
        sandbox.setFault(request => {
          isRevoked ||= isLate(request)
          return isRevoked ? FAULTS.unauthorized : undefined
        })
        const run = yield* sync({ accounts })
        expect(run.status).toBe("failed")
        const [ours, theirs] = ["default", "other"].map(account =>
          run.streams.filter(entry => entry.account === account),
        )
        for (const { status } of theirs!) expect(status).toBe("complete")
        const failed = ours!.filter(({ status }) => status === "failed")
        expect(failed.map(({ stream }) => stream)).toContain("transactions")
        for (const { error } of failed) {
          expect(error).toContain("PAYCOMBAT_TOKEN")
          expect(error).not.toContain(sandbox.token)
        }
        const before = new Map(ours!.map(({ stream, inserted }) => [stream, inserted]))
        sandbox.setFault(null)
        const next = yield* sync({ accounts: [accountOf(sandbox, { token: Redacted.make(sandbox.token) })] })
        expect(next.status).toBe("complete")
        expect(streamOf(next, "transactions").inserted).toBe(120 - before.get("transactions")!)
        yield* Effect.promise(async () => {
          // Sums follow the rows that are deleted, so `transactions` comes before them.
          const tables = [...(await Effect.runPromise(wholeOf(sql))).keys()].toReversed()
          for (const table of tables)
            await sql.unsafe(`DELETE FROM warehouse.${table} WHERE account = 'other'`)
        })
        yield* expectSame(sql, whole, "revoked")
        expect(yield* rows("SELECT DISTINCT account FROM warehouse.customers")).toEqual([
          { account: "default" },
        ])
      }),
  )
})
