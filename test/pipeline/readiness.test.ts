import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import type { Sandbox, SandboxOptions } from "../../src/sandbox/sandbox.ts"
import { READINESS_PATH } from "../../src/sandbox/streams/wallet_readiness.ts"
import { hurried, PATIENT, REAL_LEASE } from "../support/apiFaults.ts"
import { slow, slowUnless } from "../support/slow.ts"
import { truthOf } from "../support/truth/truth.ts"
import { type SyncOptions, streamOf, syncedBench } from "../support/warehouse.ts"

const [HEAD = ""] = READINESS_PATH.split("{id}")
const only = ["wallet_readiness"]

/** Customers who were asked about since the requests were reset, in the order asked. */
const askedOf = (sandbox: Sandbox): ReadonlyArray<string> =>
  sandbox.requests.recent.flatMap(({ path }) => (path.startsWith(HEAD) ? [path.slice(HEAD.length)] : []))

const HTML = { status: 200, headers: { "content-type": "text/html" }, body: "<html>maintenance</html>" }

const setupOf = (options: Partial<SandboxOptions>) =>
  Effect.gen(function* () {
    const given = yield* syncedBench(options, { only: ["customers"] })
    const { sandbox, sync, sql, rows } = given
    const everyone = [...sandbox.truth.ids("customers")]
    return {
      ...given,
      everyone,
      /** One run of look-ups, one call at a time so that their order shows, and who was asked. */
      check: (options: SyncOptions = {}) =>
        Effect.gen(function* () {
          sandbox.resetRequests()
          const run = yield* sync({ only, account: { concurrency: 1 }, ...options })
          return { asked: askedOf(sandbox), run, booked: streamOf(run, "wallet_readiness") }
        }),
      row: (id: string) =>
        Effect.map(
          rows(`SELECT * FROM warehouse.wallet_readiness WHERE customer_id = '${id}'`),
          ([row]) => row!,
        ),
      /** Makes all answers older, the customers' order kept. */
      age: (hours: number) =>
        Effect.promise(
          () => sql`
        UPDATE warehouse.wallet_readiness SET checked_at = checked_at - make_interval(hours => ${hours})`,
        ),
      /** Makes what was read before older than any answer that is made older. */
      ageCustomers: Effect.promise(
        () => sql`UPDATE warehouse.customers SET read_at = read_at - interval '1 day'`,
      ),
    }
  })

const setup = setupOf({})

/** With a few seconds instead of minutes there is time enough for an answer. */
const PATIENTLY = { ...REAL_LEASE, account: { concurrency: 1, ...PATIENT } }

/** Answers the look-ups of some customers with something else. */
const answering = (
  sandbox: Sandbox,
  ids: ReadonlyArray<string>,
  fault: Parameters<Sandbox["setFault"]>[0] & object,
) => sandbox.setFault(request => (ids.some(id => request.path === HEAD + id) ? fault(request) : undefined))

describe("the customers that readiness is asked about", () => {
  it.scopedLive(
    "are everyone first; then those not ready, the oldest answer first; ready ones when their answer is old",
    () =>
      Effect.gen(function* () {
        const { sandbox, check, everyone, age } = yield* setup
        const notReady = [...truthOf(sandbox).notReady()].map(({ customerId }) => customerId)
        const first = yield* check()
        expect([...first.asked].sort()).toEqual([...everyone].sort())
        expect(first.booked).toMatchObject({
          extracted: everyone.length,
          inserted: everyone.length,
          leftOver: 0,
        })
        const second = yield* check()
        expect([...second.asked].sort()).toEqual([...notReady].sort())
        expect(second.asked).toEqual(first.asked.filter(id => notReady.includes(id)))
        expect(second.booked).toMatchObject({ inserted: 0, updated: 0, unchanged: notReady.length })
        yield* age(2)
        const recheck = yield* check({ readyRecheck: Duration.hours(1) })
        expect([...recheck.asked].sort()).toEqual([...everyone].sort())
      }),
  )

  it.scopedLive("begin with never-checked ones; the ones left over come first in the next run", () =>
    Effect.gen(function* () {
      const { sandbox, sync, check, everyone } = yield* setup
      const first = yield* check({ readyMaxCalls: 10 })
      expect(first.asked).toHaveLength(10)
      expect(first.booked).toMatchObject({ status: "complete", leftOver: everyone.length - 10 })
      expect(first.booked.note).toContain("left over")
      sandbox.insert("customers", 2, "back")
      yield* sync({ only: ["customers"] })
      const second = yield* check({ readyMaxCalls: 15 })
      expect(second.asked.filter(id => first.asked.includes(id))).toEqual([])
      expect((yield* check({ readyMaxCalls: 0 })).asked).toEqual([])
    }),
  )

  slow(() => {
    it.scopedLive("include one whose record changed since, and none who is removed", () =>
      Effect.gen(function* () {
        const { sandbox, sync, check } = yield* setup
        for (const customer of [4, 7, 9]) sandbox.makeReady(customer)
        yield* check()
        sandbox.touch("customers", 7)
        sandbox.remove("customers", 9)
        sandbox.patch("customers", 10, { unseen: true })
        for (let n = 0; n < 2; n++) yield* sync({ only: ["customers"] })
        const { asked } = yield* check({ readyRecheck: Duration.zero })
        expect(asked).not.toContain(sandbox.idOf("customers", 9))
        yield* check()
        sandbox.touch("customers", 7)
        yield* sync({ only: ["customers"] })
        const next = yield* check()
        expect(next.asked).toContain(sandbox.idOf("customers", 7))
        expect(next.asked).not.toContain(sandbox.idOf("customers", 4))
      }),
    )
  })

  slow(() => {
    it.scopedLive("come from the warehouse's own customers if only readiness is synced", () =>
      Effect.gen(function* () {
        const { sandbox, check } = yield* setup
        yield* check()
        const others = [...sandbox.requests.byPath.keys()].filter(path => path !== READINESS_PATH)
        expect(others).toEqual([])
      }),
    )
  })
})

describe("a check that fails", () => {
  for (const [index, given] of (
    [
      ["404", { status: 404, body: { message: "Customer not found" } }],
      ["400", { status: 400, body: { message: "customer_id is not valid" } }],
      ["another answer than documented", { body: { status: true, data: { ready: "perhaps" } } }],
      ["a failure under 200", { body: { status: false, message: "no", data: null } }],
      [
        "text that Postgres cannot store",
        { body: { status: true, data: { is_wallet_ready: false, missing_field: ["a\u0000b"] } } },
      ],
      [
        "half a character",
        { body: { status: true, data: { is_wallet_ready: false, missing_field: [], note: "\ud800" } } },
      ],
      [
        "a number that Postgres cannot store",
        { body: '{"status":true,"data":{"is_wallet_ready":true,"odd":1e200000}}' },
      ],
    ] as const
  ).entries())
    slowUnless(index % 3 === 0, () => {
      it.scopedLive.each([given])(
        "with %s is recorded on its row, affects no other customer, and is no state",
        ([, fault]) =>
          Effect.gen(function* () {
            const { sandbox, check, row, everyone, value } = yield* setup
            const [known, unknown] = [sandbox.idOf("customers", 4), sandbox.idOf("customers", 5)]
            answering(sandbox, [unknown], () => fault)
            expect((yield* check()).booked).toMatchObject({ status: "complete", inserted: everyone.length })
            const before = yield* row(known)
            answering(sandbox, [known, unknown], () => fault)
            const second = yield* check({ readyRecheck: Duration.zero })
            expect(second.booked).toMatchObject({ status: "complete", extracted: everyone.length })
            expect(second.booked.note).toContain("check_error")
            const after = yield* row(known)
            expect(after.check_error).not.toBe(null)
            for (const column of ["is_wallet_ready", "missing_fields", "changed_at", "raw"] as const)
              expect([column, after[column]]).toEqual([column, before[column]])
            expect(yield* row(unknown)).toMatchObject({
              is_wallet_ready: null,
              changed_at: null,
              missing_fields: "[]",
            })
            const periods = "SELECT count(*) FROM warehouse.wallet_readiness_history WHERE customer_id ="
            expect(yield* value(`${periods} '${known}'`)).toBe("1")
            expect(yield* value(`${periods} '${unknown}'`)).toBe("0")
            sandbox.setFault(null)
            const third = yield* check()
            expect(third.asked).toContain(known)
            expect((yield* row(known)).check_error).toBe(null)
          }),
      )
    })

  for (const given of [1, 8])
    slowUnless(given === 8, () => {
      it.scopedLive.each([given])(
        "ten times in a row without any answer ends the stream: the endpoint is away (%i at once)",
        concurrency =>
          Effect.gen(function* () {
            const { sandbox, check, value } = yield* setup
            // A pause longer than a run waits for: no call is repeated, none gets an answer.
            sandbox.setFault(() => ({ status: 429, headers: { "retry-after": "3600" }, delayMillis: 70 }))
            const { booked, asked } = yield* check({ account: { concurrency, ratePerSecond: 50 } })
            expect(booked.status).toBe("failed")
            expect(booked.error).toContain("try again after")
            const booking = yield* value("SELECT count(*) FROM warehouse.wallet_readiness")
            expect(Number(booking)).toBeLessThan(10)
            // Customers who were not asked about in the pause keep their place in the queue.
            expect(Number(booking)).toBeLessThanOrEqual(asked.length)
            expect(booked.requests).toBeGreaterThanOrEqual(asked.length)
          }),
      )
    })

  it.scopedLive("with 403 ends the stream, because the endpoint is refused", () =>
    Effect.gen(function* () {
      const { sandbox, check } = yield* setup
      sandbox.setFault(() => ({ status: 403 }))
      const { booked, asked } = yield* check()
      expect(booked.status).toBe("failed")
      expect(asked).toHaveLength(1)
      // Told to everybody who looks at the state of a run: of the endpoint, not of a customer.
      expect(booked.error).toContain("customer-wallet-is-ready/{id}: refused with 403")
      expect(booked.error).not.toContain(asked[0])
    }),
  )
})

describe("a check that never gets an answer", () => {
  it.scopedLive("is counted as unanswered, not as rejected, and does not fail the run", () =>
    Effect.gen(function* () {
      const { sandbox, check, row, rows, everyone, age, ageCustomers, value } = yield* setup
      yield* ageCustomers
      const [broken, known] = [sandbox.idOf("customers", 5), sandbox.idOf("customers", 4)]
      for (let index = 0; index < everyone.length; index++) sandbox.makeReady(index)
      answering(sandbox, [broken], () => ({ status: 503 }))
      const first = yield* hurried(check(PATIENTLY))
      expect(first.run.status).toBe("complete")
      expect(first.booked).toMatchObject({
        status: "complete",
        extracted: everyone.length,
        inserted: everyone.length - 1,
        rejected: 0,
        unanswered: 1,
        leftOver: 0,
      })
      expect(first.booked.note).toMatch(
        /^1 of 23 look-ups got no answer.*next run.*check_error.*check_failed/,
      )
      expect(yield* rows("SELECT customer_id, reason FROM analytics.kyc_gap")).toEqual([
        { customer_id: broken, reason: "check_failed" },
      ])
      // Back from the time that was in a hurry.
      yield* age(1)

      // Alone, and together with a customer who proves that the endpoint is there.
      answering(sandbox, [broken], () => HTML)
      for (let run = 0; run < 2; run++) {
        const { asked, booked } = yield* check()
        expect(booked).toMatchObject({ status: "complete", extracted: 1, rejected: 0, unanswered: 1 })
        expect([asked.length, asked[0]]).toEqual([2, broken])
      }

      // A ready customer stays ready; two of 23 are more than a few.
      answering(sandbox, [broken, known], () => HTML)
      const before = yield* row(known)
      const second = yield* check({ readyRecheck: Duration.zero })
      expect(second.booked).toMatchObject({
        status: "failed",
        extracted: everyone.length,
        rejected: 0,
        unanswered: 2,
      })
      expect(second.booked.error).toContain("2 of 23 look-ups got no proper answer")
      expect(yield* row(known)).toMatchObject({ is_wallet_ready: "true", changed_at: before.changed_at })
      expect(yield* value("SELECT string_agg(customer_id, ' ') FROM analytics.kyc_gap")).toBe(broken)

      // No answer at all, not even for the witnesses.
      sandbox.setFault(() => HTML)
      expect((yield* check()).booked).toMatchObject({ status: "failed", extracted: 2 })
      sandbox.setFault(null)
      expect((yield* check()).booked).toMatchObject({ status: "complete", unanswered: 0, note: null })
    }),
  )

  slow(() => {
    it.scopedLive("is one of three in a small merchant, and no more", () =>
      Effect.gen(function* () {
        const { sandbox, check } = yield* setupOf({ customers: 3 })
        const all = [0, 1, 2].map(index => sandbox.idOf("customers", index))
        const statuses: Array<string> = []
        for (const broken of [1, 1, 2, 2, 3, 0]) {
          answering(sandbox, all.slice(0, broken), () => HTML)
          statuses.push((yield* check({ readyRecheck: Duration.zero })).booked.status)
        }
        const partly = "complete"
        expect(statuses).toEqual([partly, partly, "failed", "failed", "failed", "complete"])
      }),
    )
  })

  slow(() => {
    it.scopedLive("in as many cases in a row as for an endpoint that is away, with answers for others", () =>
      Effect.gen(function* () {
        const { sandbox, sql, check, everyone, age, ageCustomers } = yield* setupOf({ customers: 260 })
        yield* ageCustomers
        const broken = everyone.slice(-12)
        for (let index = 0; index < everyone.length; index++) sandbox.makeReady(index)
        yield* check({ account: { concurrency: 8 } })
        yield* Effect.promise(
          () =>
            sql`UPDATE warehouse.wallet_readiness SET is_wallet_ready = false WHERE customer_id IN ${sql(broken)}`,
        )
        answering(sandbox, broken, () => ({ status: 503 }))
        // All at once is no matter of a few; from then on they are known, and few among all.
        const first = yield* hurried(check(PATIENTLY))
        expect(first.booked).toMatchObject({ status: "failed", extracted: 12 })
        expect(first.booked.error).toContain("12 of 12 look-ups got no proper answer")
        yield* age(1)
        const second = yield* hurried(check(PATIENTLY))
        expect(second.booked).toMatchObject({
          status: "complete",
          extracted: 12,
          rejected: 0,
          unanswered: 12,
        })
        yield* age(1)
        sandbox.setFault(() => ({ status: 503 }))
        const away = yield* hurried(check(PATIENTLY))
        expect(away.booked).toMatchObject({ status: "failed", extracted: 9 })
        expect(away.booked.error).toContain("503")
      }),
    )
  })
})
