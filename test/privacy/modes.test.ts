import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { DROP, KEEP, type Privacy } from "../../src/core/privacy.ts"
import { Progress, type StreamProgress } from "../../src/observe/progress.ts"
import { everything, findings, KEY, MARK, plantBadRecords, plantPeople } from "../support/people.ts"
import { slow } from "../support/slow.ts"
import {
  type Bench,
  BOOKKEEPING,
  bench,
  dump,
  footprint,
  type SyncOptions,
  streamOf,
  syncedBench,
  warehouseTables,
} from "../support/warehouse.ts"

/** Tests the stored form of personal data in each mode, and after a change of mode, in every table. */

const HASH: Privacy = { mode: "hash", key: Redacted.make(KEY) }
const OTHER: Privacy = { mode: "hash", key: Redacted.make("another key of sixteen characters") }

const PEOPLE = 8

/** A warehouse after one run in a mode, over people whose data is marked and over records that cannot be read. */
const plantedIn = (privacy: Privacy) =>
  syncedBench(
    {},
    {
      privacy,
      arranged: {
        name: "planted",
        on: sandbox => {
          plantPeople(sandbox, PEOPLE)
          plantBadRecords(sandbox)
        },
      },
    },
  )

const BAD = ["customers", "transactions", "payouts", "checkouts"]

/** When something was first seen is another time in each warehouse. */
const FIRST_SEEN = [...BOOKKEEPING, "observed_at", "valid_from", "settled_seen_at"]

const contentOf = ({ sql }: Pick<Bench, "sql">) =>
  Effect.gen(function* () {
    const tables = yield* warehouseTables(sql)
    const rows = yield* Effect.forEach(tables, table => dump(sql, table, FIRST_SEEN))
    return tables.flatMap((table, i) => rows[i]!.map(row => `${table}: ${row}`))
  })

/** The lines that are in one of two contents only. */
const difference = (a: ReadonlyArray<string>, b: ReadonlyArray<string>) => {
  const [inA, inB] = [new Set(a), new Set(b)]
  return [...a.filter(line => !inB.has(line)), ...b.filter(line => !inA.has(line))]
}

const rejectsOf = ({ rows }: Pick<Bench, "rows">) =>
  rows("SELECT stream, record_id, field, raw, content_hash FROM sync.rejects ORDER BY stream, content_hash")

describe("personal data", () => {
  it.scopedLive("is kept unchanged by default", () =>
    Effect.gen(function* () {
      const { sql } = yield* plantedIn(KEEP)
      const found = findings(yield* everything(sql))
      for (const table of ["customers", "wallets", "payouts", "checkouts", "checkout_items", "transactions"])
        expect(found.filter(line => line.startsWith(`warehouse.${table}:`)).length).toBeGreaterThanOrEqual(
          PEOPLE - 1,
        )
      expect(found.filter(line => line.startsWith("sync.rejects:")).length).toBeGreaterThanOrEqual(10)
    }),
  )

  it.scopedLive.each([
    ["hash", HASH],
    ["drop", DROP],
  ] as const)(
    "is nowhere in the database with %s: not in a column, in raw, in a reject, in statistics",
    ([mode, privacy]) =>
      Effect.gen(function* () {
        const { sync, sql, value, rows, sandbox } = yield* plantedIn(privacy)
        expect(findings(yield* everything(sql))).toEqual([])
        const rejected = yield* rows("SELECT DISTINCT stream FROM sync.rejects ORDER BY 1")
        expect(rejected.map(({ stream }) => stream)).toEqual(expect.arrayContaining(BAD))
        for (const { stream, reason } of yield* rows("SELECT stream, reason FROM sync.rejects"))
          expect([stream, reason]).not.toEqual([stream, ""])
        // All columns of a person are filled with hashes, or with nothing, and money is what it was.
        const id = sandbox.idOf("customers", 3)
        const person = yield* rows(
          `SELECT first_name, email, company_name, raw->'individual'->>'a_field_nobody_documented' AS unknown,
           raw->'company'->'authorized_user'->>'phone_number' AS phone, raw->>'metadata' AS metadata
         FROM warehouse.customers WHERE customer_id = '${id}'`,
        )
        for (const text of Object.values(person[0]!))
          expect(text).toEqual(mode === "hash" ? expect.stringMatching(/^hmac:[0-9a-f]{64}$/) : null)
        expect(
          yield* value(
            "SELECT count(*) FROM warehouse.transactions WHERE amount IS NULL OR event_type LIKE 'hmac%'",
          ),
        ).toBe("0")
        expect(
          yield* value(
            "SELECT count(*) FROM warehouse.checkouts WHERE raw->>'checkout_token' NOT LIKE 'hmac:%'",
          ),
        ).toBe("0")
        // The same again is nothing new.
        const before = yield* footprint(sql, "customers")
        const again = yield* sync({ privacy })
        expect(again.streams.map(({ inserted, updated }) => inserted + updated)).toEqual(
          again.streams.map(() => 0),
        )
        expect(yield* footprint(sql, "customers")).toEqual(before)
      }),
  )

  slow(() => {
    it.scopedLive("with equal values has equal hashes, also in different fields and streams", () =>
      Effect.gen(function* () {
        const { sync, sandbox, value } = yield* bench()
        sandbox.patch("customers", 4, {
          individual: { first_name: "Jane", last_name: "Jane", phone_number: 42 },
        })
        sandbox.patch("payouts", 3, { payee_name: "Jane", beneficiary_account_number: "42" })
        yield* sync({ privacy: HASH })
        expect(
          yield* value(
            `SELECT count(*) FROM warehouse.customers AS c JOIN warehouse.payouts AS p
             ON c.first_name = p.payee_name AND c.last_name = p.payee_name
             AND c.raw->'individual'->>'phone_number' = p.beneficiary_account_number`,
          ),
        ).toBe("1")
      }),
    )
  })
})

/** The content of a warehouse that was always in one mode; computed once for each mode. */
const known = new Map<
  Privacy,
  { readonly content: ReadonlyArray<string>; readonly rejects: ReadonlyArray<Record<string, string | null>> }
>()

const freshIn = (privacy: Privacy) =>
  Effect.gen(function* () {
    const found = known.get(privacy)
    if (found !== undefined) return found
    const made = yield* plantedIn(privacy)
    const fresh = { content: yield* contentOf(made), rejects: yield* rejectsOf(made) }
    known.set(privacy, fresh)
    return fresh
  })

describe("a change of mode", () => {
  /** One that is computed from what is stored, and one for which everything is read again. */
  const KINDS: ReadonlyArray<readonly [string, Privacy, Privacy]> = [
    ["keep to hash", KEEP, HASH],
    ["hash to keep", HASH, KEEP],
  ]
  const OTHERS: typeof KINDS = [
    ["keep to drop", KEEP, DROP],
    ["hash to drop", HASH, DROP],
    ["hash to another key", HASH, OTHER],
    ["drop to hash", DROP, HASH],
  ]
  const leavesNoDifference = ([, from, to]: (typeof KINDS)[number]) =>
    Effect.gen(function* () {
      const changed = yield* plantedIn(from)
      const summary = yield* changed.sync({ privacy: to })
      const fresh = yield* freshIn(to)
      // A row that is a reject in clear stays what it was.
      const content = (yield* contentOf(changed)).filter(
        line => to.mode !== "keep" || !/customer_bad_[23]/.test(line),
      )
      expect(difference(content, fresh.content)).toEqual([])
      // One without an id is another reject with another key: the former is no longer listed.
      const isComputed = from.mode === "keep" || to.mode === "drop"
      const rejects = (yield* rejectsOf(changed)).filter(
        ({ record_id, field }) =>
          to.mode !== "keep" || record_id !== "customer_bad_3" || field !== "created_at",
      )
      expect(isComputed ? rejects : rejects.filter(({ record_id }) => record_id !== null)).toEqual(
        fresh.rejects.filter(({ record_id }) => isComputed || record_id !== null),
      )
      if (to.mode !== "keep") expect(findings(yield* everything(changed.sql))).toEqual([])
      expect(yield* changed.rows("SELECT DISTINCT mode, is_applied::text FROM sync.privacy")).toEqual([
        { mode: to.mode, is_applied: "true" },
      ])
      expect(summary.status).toBe("complete_with_rejects")
      const again = yield* changed.sync({ privacy: to })
      expect(again.streams.map(({ inserted, updated }) => inserted + updated)).toEqual(
        again.streams.map(() => 0),
      )
    })
  const TITLE = "%s leaves what a warehouse has that was always so"

  it.scopedLive.each([...KINDS])(TITLE, leavesNoDifference)

  slow(() => {
    it.scopedLive.each([...OTHERS])(TITLE, leavesNoDifference)
  })

  it.scopedLive(
    "redacts records that are no longer listed as far as possible, and names those that could not be read again",
    () =>
      Effect.gen(function* () {
        const { sql, sandbox, value, ...made } = yield* bench()
        const sync = (settings: SyncOptions = {}) => made.sync({ ...settings, only: ["customers"] })
        plantPeople(sandbox, PEOPLE)
        yield* sync()
        for (const index of [2, 3]) sandbox.remove("customers", index)
        yield* sync()
        yield* sync()
        expect(yield* value("SELECT count(*) FROM warehouse.customers WHERE removed_at IS NOT NULL")).toBe(
          "2",
        )
        const hashed = yield* sync({ privacy: HASH })
        expect(findings(yield* everything(sql))).toEqual([])
        expect(streamOf(hashed, "customers").note ?? "").not.toContain("no longer listed")
        const kept = yield* sync({ privacy: KEEP })
        expect(streamOf(kept, "customers").note).toContain("2 records that are no longer listed")
        expect(yield* value("SELECT count(*) FROM warehouse.customers WHERE first_name LIKE 'hmac:%'")).toBe(
          "2",
        )
      }),
  )

  it.scopedLive("that was interrupted is completed: no value is hashed twice, and none is left", () =>
    Effect.gen(function* () {
      const { sync, sql } = yield* plantedIn(HASH)
      const whole = yield* contentOf({ sql })
      // As it looks after a kill in the middle: some rows rewritten, others not, and nothing booked as done.
      const other = yield* plantedIn(KEEP)
      for (const row of yield* other.rows(
        "SELECT customer_id, first_name, raw::text AS raw FROM warehouse.customers",
      )) {
        if (row.customer_id!.localeCompare("customer_8") < 0) continue
        yield* Effect.promise(
          () => sql`UPDATE warehouse.customers SET first_name = ${row.first_name!}, raw = ${row.raw!}::text::jsonb
            WHERE customer_id = ${row.customer_id!}`,
        )
      }
      yield* Effect.promise(() => sql`UPDATE sync.privacy SET is_applied = false`)
      expect(findings(yield* everything(sql)).length).toBeGreaterThan(0)
      yield* sync({ privacy: HASH })
      expect(findings(yield* everything(sql))).toEqual([])
      expect(difference(yield* contentOf({ sql }), whole)).toEqual([])
    }),
  )

  it.scopedLive("leaves nothing in clear of a record that no longer decodes", () =>
    Effect.gen(function* () {
      const { sync, sql, sandbox, rows } = yield* bench()
      plantPeople(sandbox, PEOPLE)
      yield* sync({ only: ["checkouts"] })
      yield* Effect.promise(() => sql`UPDATE warehouse.checkouts SET raw = raw - 'currency'`)
      const path = "/api/v1/checkout/get-all"
      sandbox.setFault(request => (request.path === path ? { status: 404 } : undefined))
      yield* sync({ only: ["checkouts"], privacy: HASH })
      expect(findings(yield* everything(sql))).toEqual([])
      const booked = "SELECT mode, is_applied::text FROM sync.privacy"
      expect(yield* rows(booked)).toEqual([{ mode: "hash", is_applied: "false" }])
      sandbox.setFault(null)
      yield* sync({ only: ["checkouts"], privacy: HASH })
      expect(yield* rows(booked)).toEqual([{ mode: "hash", is_applied: "true" }])
      expect(yield* rows("SELECT 1 FROM warehouse.checkouts WHERE description IS NULL")).toEqual([])
      expect(findings(yield* everything(sql))).toEqual([])
    }),
  )

  it.scopedLive("is reported while it runs, and records read meanwhile are counted from the beginning", () =>
    Effect.gen(function* () {
      const only = ["customers"]
      const { sync, value } = yield* syncedBench({}, { only })
      const stored = Number(yield* value("SELECT count(*) FROM warehouse.customers"))
      const heard: Array<StreamProgress> = []
      const tell = (told: StreamProgress) => Effect.sync(() => void heard.push(told))
      yield* sync({ only, privacy: HASH }).pipe(Effect.provideService(Progress, { tell }))
      const rewriting = heard.filter(({ message }) => message?.includes("rewriting what is stored"))
      expect(rewriting.at(-1)).toMatchObject({ status: "running", extracted: stored, updated: stored })
      const after = heard[heard.indexOf(rewriting.at(-1)!) + 1]
      expect(after).toMatchObject({ status: "running", extracted: 0, updated: 0, message: null })
      expect(heard.at(-1)).toMatchObject({ status: "complete", extracted: stored, updated: 0 })
    }),
  )

  slow(() => {
    it.scopedLive("reads the whole list instead of only new records", () =>
      Effect.gen(function* () {
        const { sync, value } = yield* bench({ order: "newest-first" })
        const only = ["transactions"]
        yield* sync({ only, privacy: HASH })
        expect(streamOf(yield* sync({ only, privacy: HASH }), "transactions").mode).toBe("incremental")
        const changed = streamOf(yield* sync({ only, privacy: KEEP }), "transactions")
        expect([changed.mode, changed.updated]).toEqual(["full", 120])
        expect(changed.note).toContain("PAYCOMBAT_PII")
        expect(
          yield* value("SELECT count(*) FROM warehouse.transactions WHERE event_description LIKE 'hmac:%'"),
        ).toBe("0")
        expect(streamOf(yield* sync({ only, privacy: KEEP }), "transactions").mode).toBe("incremental")
      }),
    )
  })

  slow(() => {
    it.scopedLive("asks once more about each customer, over as many runs as its budget needs", () =>
      Effect.gen(function* () {
        const { sync, sql, sandbox, value } = yield* bench({ customers: 12 })
        for (let customer = 0; customer < 12; customer++) sandbox.makeReady(customer)
        yield* sync({ privacy: HASH })
        const only = ["wallet_readiness"]
        // Answers are dated by a clock that may be a moment behind the one by which a change of mode is: far apart.
        yield* Effect.promise(async () => {
          await sql`UPDATE warehouse.customers SET read_at = read_at - interval '2 hours'`
          await sql`UPDATE warehouse.wallet_readiness SET checked_at = checked_at - interval '1 hour'`
        })
        const runs = []
        for (let n = 0; n < 3; n++) {
          const summary = yield* sync({ only, privacy: KEEP, readyMaxCalls: 5 })
          yield* Effect.promise(
            () => sql`UPDATE sync.privacy SET changed_at = changed_at - interval '5 minutes'`,
          )
          runs.push([
            streamOf(summary, "wallet_readiness").extracted,
            streamOf(summary, "wallet_readiness").leftOver,
          ])
        }
        expect(runs).toEqual([
          [5, 7],
          [5, 2],
          [2, 0],
        ])
        expect(yield* value("SELECT is_applied FROM sync.privacy WHERE stream = 'wallet_readiness'")).toBe(
          "true",
        )
      }),
    )
  })

  it.scopedLive("is not completed by a pass that began before it", () =>
    Effect.gen(function* () {
      const { sync, sql, sandbox, value } = yield* bench()
      plantPeople(sandbox, 23)
      let pages = 0
      // The list breaks off in the middle, after pages that were read and hashed.
      sandbox.setFault(({ path, query }) =>
        path.includes("customer/get-all") && Number(query.get("limit")) > 1 && ++pages > 3
          ? { status: 404 }
          : undefined,
      )
      yield* sync({ privacy: HASH, only: ["customers"] })
      sandbox.setFault(null)
      yield* sync({ privacy: KEEP, only: ["customers"] })
      expect(yield* value("SELECT count(*) FROM warehouse.customers WHERE first_name LIKE 'hmac:%'")).toBe(
        "0",
      )
      expect(yield* value(`SELECT count(*) FROM warehouse.customers WHERE first_name LIKE '${MARK}%'`)).toBe(
        "23",
      )
      expect(findings(yield* everything(sql)).length).toBeGreaterThan(0)
    }),
  )
})
