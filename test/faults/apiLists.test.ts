import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { FaultName } from "../../src/sandbox/sandbox.ts"
import {
  expectSame,
  hurried,
  IMPATIENT,
  measured,
  PATIENT,
  REAL_LEASE,
  RUN_MILLIS_MAX,
  reference,
  where,
} from "../support/apiFaults.ts"
import { LIST_PATHS } from "../support/lists.ts"
import { bench, statusesOf, streamOf } from "../support/warehouse.ts"

/** Most additional memory of a body that is not read to its end, together with the pages of the other streams. */
const MORE_MEMORY_BYTES_MAX = 200 * 2 ** 20

/**
 * Faults that are only tried on the path that is already known: an attempt costs seconds, or 5 MiB, or a pause of the
 * whole account.
 */
const COSTLY = ["hang", "drip", "gigantic", "gzip-bomb", "rate-limit-bare"]

const PAIR = ["payouts", "checkouts"]

describe.concurrent("a permanent failure in one place fails only that stream, in bounded time, and names the remedy:", () => {
  const cases: ReadonlyArray<readonly [FaultName, message: RegExp]> = [
    [
      "rate-limit-bare",
      /HTTP 429 \(TOO_MANY_REQUESTS\), still so after 6 attempts: .*lower PAYCOMBAT_RATE_PER_SECOND \(/,
    ],
    [
      "server-error",
      /HTTP 500 \(INTERNAL_SERVER_ERROR\), still so after 6 attempts: the next run asks again; .*ask PayCombat$/,
    ],
    ["bad-gateway", /HTTP 502, still so after 6 attempts: the next run asks again; .*ask PayCombat$/],
    ["unavailable", /HTTP 503.*, still so after 6 attempts: the next run asks again; .*ask PayCombat$/],
    ["html", /no list found \(no JSON.*PAYCOMBAT_BASE_URL.*PAYCOMBAT_PATH_PAYOUTS/],
    ["truncated", /no list found .*set PAYCOMBAT_PATH_PAYOUTS/],
    ["status-false", /no list found \(failed: .*set PAYCOMBAT_PATH_PAYOUTS/],
    ["empty", /no list found .*set PAYCOMBAT_PATH_PAYOUTS/],
    ["empty-list", /that path is not documented.*set PAYCOMBAT_PATH_PAYOUTS=/],
    [
      "gigantic",
      /answered more than 5 MiB, which is not read(, still so after \d attempts)?: lower PAYCOMBAT_PAGE_SIZE .*PAYCOMBAT_PATH_PAYOUTS/,
    ],
    [
      "gzip-bomb",
      /answered more than 5 MiB, which is not read(, still so after \d attempts)?: lower PAYCOMBAT_PAGE_SIZE .*PAYCOMBAT_PATH_PAYOUTS/,
    ],
    ["utf-16", /no list found .*set PAYCOMBAT_PATH_PAYOUTS/],
    ["redirect", /no list found \(302: .*set PAYCOMBAT_PATH_PAYOUTS/],
    ["forbidden", /no list found \(403: .*set PAYCOMBAT_PATH_PAYOUTS/],
    ["first-page", /every paging parameter that was tried is ignored.*PAYCOMBAT_PAGING/],
    ["reset", /connection failed \([A-Z_]+\), still so after 6 attempts: .*check PAYCOMBAT_BASE_URL/],
    ["hang", /no complete answer within 120 s, still so after 6 attempts: .*PAYCOMBAT_TIMEOUT_SECONDS/],
    ["drip", /no complete answer within 120 s, still so after 6 attempts: .*PAYCOMBAT_TIMEOUT_SECONDS/],
  ]
  it.scopedLive.each([...cases])("%s", ([name, message]) =>
    Effect.gen(function* () {
      const { sandbox, sync, sql } = yield* bench()
      const whole = yield* reference
      sandbox.setFault(where(name, ({ path }) => path.includes("/payout")))
      const paths = COSTLY.includes(name) ? { paths: LIST_PATHS } : {}
      const account = { ...(message.source.includes("120 s") ? IMPATIENT : PATIENT), ...paths }
      const { value: run, millis } = yield* measured(hurried(sync({ only: PAIR, account, ...REAL_LEASE })))
      expect(run.status).toBe("failed")
      expect(statusesOf(run)).toEqual({ payouts: "failed", checkouts: "complete" })
      expect(streamOf(run, "payouts").error).toMatch(message)
      expect(streamOf(run, "payouts").error!.length).toBeLessThan(500)
      expect(millis).toBeLessThan(RUN_MILLIS_MAX)
      sandbox.setFault(null)
      expect((yield* sync({ only: PAIR })).status).toBe("complete")
      const tables = new Map([...whole].filter(([table]) => /^(payout|checkout)/.test(table)))
      yield* expectSame(sql, tables, name)
    }),
  )
})

describe("a failure in the middle of a list keeps the records read before, and a later run continues:", () => {
  const cases: ReadonlyArray<readonly [FaultName, message: RegExp]> = [
    ["rate-limit-bare", /HTTP 429.*: .*lower PAYCOMBAT_RATE_PER_SECOND$/],
    ["unavailable", /HTTP 503.*: the next run asks again; .*ask PayCombat$/],
    ["html", /answered HTML, not JSON \(\d+ bytes\): check that PAYCOMBAT_BASE_URL/],
    [
      "truncated",
      /JSON that ends too early \(\d+ bytes\), still so after 6 attempts: the next run asks again/,
    ],
    ["gigantic", /answered more than 5 MiB, which is not read: lower PAYCOMBAT_PAGE_SIZE$/],
    ["gzip-bomb", /answered more than 5 MiB, which is not read: lower PAYCOMBAT_PAGE_SIZE$/],
    ["not-utf-8", /answered text that is not UTF-8 \(\d+ bytes\): check that PAYCOMBAT_BASE_URL/],
    [
      "status-false",
      /page 7 failed although HTTP says 200 again and again, although (page 8 holds records|a record stands right behind page 6): .*ask PayCombat/,
    ],
    ["failed-envelope", /failed although HTTP says 200 \(4001 INTERNAL\): ask PayCombat/],
    ["forbidden", /this token may not read this endpoint; ask PayCombat/],
    ["hang", /no complete answer within 120 s.*: .*PAYCOMBAT_TIMEOUT_SECONDS/],
  ]
  it.scopedLive.each([...cases])("%s", ([name, message]) =>
    Effect.gen(function* () {
      const { sandbox, sync, sql, value } = yield* bench()
      const whole = yield* reference
      sandbox.setFault(where(name, ({ query }) => Number(query.get("page")) === 7))
      const only = ["transactions"]
      const account = name === "hang" ? IMPATIENT : PATIENT
      const { value: run, millis, bytes } = yield* measured(hurried(sync({ only, account, ...REAL_LEASE })))
      expect(run.status).toBe("failed")
      expect(streamOf(run, "transactions").error).toMatch(message)
      expect(millis).toBeLessThan(RUN_MILLIS_MAX)
      expect(bytes).toBeLessThan(MORE_MEMORY_BYTES_MAX)
      const kept = Number(yield* value("SELECT count(*) FROM warehouse.transactions"))
      sandbox.setFault(null)
      const next = yield* sync({ only })
      expect(next.status).toBe("complete")
      expect(streamOf(next, "transactions").inserted).toBe(120 - kept)
      const tables = new Map([...whole].filter(([table]) => /^transaction/.test(table)))
      yield* expectSame(sql, tables, name)
    }),
  )
})
