import { randomUUID } from "node:crypto"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type postgres from "postgres"
import { KEEP } from "../src/core/privacy.ts"
import { type LookupStream, redacting } from "../src/core/stream.ts"
import { allStreams } from "../src/registry.ts"
import { READINESS_PATH } from "../src/sandbox/streams/wallet_readiness.ts"
import { acquire, type Lease } from "../src/warehouse/ledger/lease.ts"
import { type Answer, lookupOf } from "../src/warehouse/lookups/lookup.ts"
import { clearQueue, dueAfter, queueDue } from "../src/warehouse/lookups/queue.ts"
import { saveStates } from "../src/warehouse/lookups/states.ts"
import type { PostgresVersion } from "./support/postgres.ts"
import { population } from "./support/readiness.ts"
import { randomOf } from "./support/seeded.ts"
import { slow } from "./support/slow.ts"
import { printed, streamOf, syncedBench, testWarehouse } from "./support/warehouse.ts"

/** The queue of look-ups where a run cannot ask everybody: the order, the bound, and what is said of the rest. */

const HOUR_MILLIS = 3_600_000
const RECHECK_HOURS = 24
const NO_USAGE = { requests: 0, retries: 0 }

/** Long ago enough for all simulated hours to be over. */
const START = Date.now() - 1_000 * HOUR_MILLIS
const at = (hour: number): string => new Date(START + hour * HOUR_MILLIS).toISOString()
/** Later ones have smaller ids, so that the order by id is not the order in which they came. */
const idOf = (customer: number): string => `c${9_999_999 - customer}`

const arrive = (sql: postgres.Sql, from: number, count: number, hour: number) =>
  Effect.promise(() =>
    sql.unsafe(
      `INSERT INTO warehouse.customers (account, raw, content_hash, read_at, first_seen_at, run_id, customer_id)
       SELECT 'default', '{}', 'h', $1, $1::timestamptz + make_interval(secs => n / 1000.0), gen_random_uuid(), 'c' || 9999999 - n
       FROM generate_series($2::integer, $3::integer) n`,
      [at(hour), from, from + count - 1],
    ),
  )

const setup = (version: PostgresVersion = "18") =>
  Effect.gen(function* () {
    const sql = yield* testWarehouse(version)
    const streams = yield* allStreams
    const stream = streams.find(({ name }) => name === "wallet_readiness") as LookupStream
    const taken = yield* acquire(sql, {
      streams: [{ account: "default", stream: stream.name }],
      runId: randomUUID(),
      holder: "test",
      leaseSeconds: 600,
    })
    const lookup = lookupOf(redacting(stream, KEEP), streams, {})
    return { sql, stream, lookup, lease: taken.leases[0] as Lease }
  })

describe("the queue of look-ups", () => {
  slow(() => {
    it.scopedLive("is in the order of the simulated days, run by run, with any changes of customers", () =>
      Effect.gen(function* () {
        const { sql, stream, lookup, lease } = yield* setup()
        const random = randomOf(11)
        const below = (limit: number) => Math.floor(random() * limit)
        const all = population(5_000, RECHECK_HOURS)
        const grow = (count: number, hour: number) =>
          Effect.gen(function* () {
            yield* arrive(sql, all.size, count, hour)
            const from = all.size
            all.arrive(count)
            for (let customer = from; customer < all.size; customer++)
              all.set(customer, (["ready", "not ready", "failing"] as const)[below(2.2)]!)
          })
        yield* grow(400, 0)
        const seen = { asked: 0, leftOver: 0, rechecked: 0 }
        for (let run = 0; run < 80; run++) {
          const hour = run + 0.5
          if (run % 3 === 0) yield* grow(below(12), hour)
          const touched = [below(all.size), below(all.size)]
          for (const customer of touched) all.change(customer)
          yield* Effect.promise(
            () =>
              sql`UPDATE warehouse.customers SET read_at = ${at(hour)} WHERE customer_id IN ${sql(touched.map(idOf))}`,
          )
          if (run % 10 === 5) {
            const gone = below(all.size)
            all.remove(gone)
            yield* Effect.promise(
              () =>
                sql`UPDATE warehouse.customers SET removed_at = ${at(hour)} WHERE customer_id = ${idOf(gone)}`,
            )
          }
          const callsMax = run % 7 === 6 ? Number.POSITIVE_INFINITY : 30 + below(20)
          // As of the simulated hour: so much longer ago is what was so long ago then.
          const recheckSeconds = (Date.now() - START) / 1000 - (hour - RECHECK_HOURS) * 3600
          const expected = all.queue(hour, callsMax)
          const queue = yield* queueDue(sql, lease, lookup, { recheckSeconds, callsMax })
          expect(queue).toEqual({
            queued: expected.asked.length,
            due: expected.due,
            neverAsked: expected.neverAsked,
          })
          const ids = yield* dueAfter(sql, lease, 0, 10_000)
          expect(ids).toEqual(Array.from(expected.asked, idOf))
          const answers = Array.from(expected.asked, (customer): Answer => {
            const answer = all.answersOf(customer)
            const row = { is_wallet_ready: answer === "ready", missing_fields: [] }
            return answer === "failing"
              ? { key: idOf(customer), checkedAt: at(hour + 0.25), row: null, raw: null, error: "no answer" }
              : { key: idOf(customer), checkedAt: at(hour + 0.25), row, raw: "{}", error: null }
          })
          if (answers.length > 0) yield* saveStates(sql, lease, stream, answers, NO_USAGE)
          all.answer(expected.asked, hour + 0.25)
          seen.asked += ids.length
          seen.leftOver += queue.due - queue.queued
          if (expected.oldestReady > RECHECK_HOURS) seen.rechecked++
          // Some change their mind.
          all.set(below(all.size), (["ready", "not ready", "failing"] as const)[below(3)]!)
        }
        // Not a test of nothing.
        for (const count of Object.values(seen)) expect(count).toBeGreaterThan(20)
      }),
    )
  })

  it.scopedLive.each<PostgresVersion>(["18", "14"])(
    "holds no more customers than a run may ask about, and counts all due ones, on Postgres %s",
    version =>
      Effect.gen(function* () {
        const { sql, lookup, lease } = yield* setup(version)
        const CUSTOMERS = 20_000
        yield* arrive(sql, 0, CUSTOMERS, 0)
        const bytes = Effect.map(printed(sql, "SELECT pg_relation_size('sync.due_keys') AS bytes"), ([row]) =>
          Number(row!.bytes),
        )
        const queue = (callsMax: number) => queueDue(sql, lease, lookup, { recheckSeconds: 0, callsMax })
        expect(yield* queue(300)).toEqual({ queued: 300, due: CUSTOMERS, neverAsked: CUSTOMERS })
        expect(yield* bytes).toBeLessThan(300 * 200)
        expect(yield* dueAfter(sql, lease, 0, CUSTOMERS)).toEqual(
          Array.from({ length: 300 }, (_, n) => idOf(n)),
        )
        expect(yield* queue(0)).toEqual({ queued: 0, due: CUSTOMERS, neverAsked: CUSTOMERS })
        expect(yield* dueAfter(sql, lease, 0, CUSTOMERS)).toEqual([])
        expect(yield* queue(Number.POSITIVE_INFINITY)).toMatchObject({ queued: CUSTOMERS })
        expect(yield* queue(CUSTOMERS * 2)).toMatchObject({ queued: CUSTOMERS })
        yield* clearQueue(sql, lease)
        expect(yield* dueAfter(sql, lease, 0, CUSTOMERS)).toEqual([])
      }),
  )
})

const [HEAD = ""] = READINESS_PATH.split("{id}")
const ONLY = ["wallet_readiness"]

describe("a run that cannot ask everybody", () => {
  it.scopedLive(
    "reports the number left over, those never asked about, and when new ones took the whole budget",
    () =>
      Effect.gen(function* () {
        const { sandbox, sync, value } = yield* syncedBench({}, { only: ["customers"] })
        const check = (readyMaxCalls: number) =>
          Effect.map(sync({ only: ONLY, readyMaxCalls }), run => streamOf(run, "wallet_readiness"))
        const count = [...sandbox.truth.ids("customers")].length
        expect(yield* check(5)).toMatchObject({
          leftOver: count - 5,
          note: `${count - 5} left over, ${count - 5} of them never asked: they come first in the next run.`,
        })
        // One who was asked is not ready, and waits for those who never were.
        const waiting = Number(
          yield* value("SELECT count(*) FROM warehouse.wallet_readiness WHERE is_wallet_ready IS NOT TRUE"),
        )
        expect(waiting).toBeGreaterThan(0)
        const second = yield* check(5)
        expect(second.note).toContain(`${count - 10} of them never asked`)
        expect(second.note).toContain("no older answer was renewed")
        expect(second.leftOver).toBe(count - 10 + waiting)
        expect(
          yield* value("SELECT left_over FROM analytics.freshness WHERE stream = 'wallet_readiness'"),
        ).toBe(String(second.leftOver))
        const third = yield* check(count - 9)
        expect(third.note).not.toContain("no older answer")
        expect(third.note).toContain("0 of them never asked")
        expect(yield* check(count)).toMatchObject({ leftOver: 0, note: null })
      }),
  )

  it.scopedLive("reaches the others despite one refused customer, although that ends each run", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value, rows } = yield* syncedBench({}, { only: ["customers"] })
      const count = [...sandbox.truth.ids("customers")].length
      const [first] = yield* rows(
        "SELECT customer_id FROM warehouse.customers ORDER BY first_seen_at, customer_id LIMIT 1",
      )
      const refused = first!.customer_id!
      sandbox.setFault(request => (request.path === HEAD + refused ? { status: 403 } : undefined))
      const statuses: Array<string> = []
      for (let run = 0; run < 2; run++) {
        const { status } = streamOf(
          yield* sync({ only: ONLY, account: { concurrency: 1 } }),
          "wallet_readiness",
        )
        statuses.push(status)
      }
      expect(statuses).toEqual(["failed", "failed"])
      expect(
        yield* value("SELECT count(*) FROM warehouse.wallet_readiness WHERE is_wallet_ready IS NOT NULL"),
      ).toBe(String(count - 1))
      expect(
        yield* value(`SELECT check_error FROM analytics.kyc_gap WHERE customer_id = '${refused}'`),
      ).toContain("403")
    }),
  )

  it.scopedLive("keeps the answers it got before the endpoint went away", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value } = yield* syncedBench({}, { only: ["customers"] })
      let answered = 0
      sandbox.setFault(({ path }) => {
        if (!path.startsWith(HEAD) || ++answered <= 7) return undefined
        // A pause longer than a run waits for.
        return { status: 429, headers: { "retry-after": "3600" } }
      })
      const booked = streamOf(yield* sync({ only: ONLY, account: { concurrency: 1 } }), "wallet_readiness")
      expect(booked.status).toBe("failed")
      // The customer whose request got the pause is recorded as failed. The others were not asked about, and keep their
      // place.
      expect(booked.extracted).toBe(8)
      expect(
        yield* value("SELECT count(*) FROM warehouse.wallet_readiness WHERE is_wallet_ready IS NOT NULL"),
      ).toBe("7")
    }),
  )
})
