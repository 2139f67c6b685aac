import { randomUUID } from "node:crypto"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type postgres from "postgres"
import type { JsonObject } from "../../src/core/json.ts"
import { allStreams } from "../../src/registry.ts"
import { acquire, release } from "../../src/warehouse/ledger/lease.ts"
import { closePass, openPass, seenRecords } from "../../src/warehouse/ledger/passes.ts"
import { accountsOfPerson, erasePerson } from "../../src/warehouse/maintain/erase.ts"
import { fixtureOf } from "../support/conformance.ts"
import { listStream, loading, printed, testWarehouse } from "../support/warehouse.ts"

/** Tests that an erasure leaves the data of all other people alone. */

const customers = await Effect.runPromise(listStream("customers"))
const transactions = await Effect.runPromise(listStream("transactions"))
const payouts = await Effect.runPromise(listStream("payouts"))

const ONE = "customer_00000000000000000000000000000001"
const OTHER = "customer_00000000000000000000000000000011"

const T1 = "2026-01-01T00:00:00.000Z"
const T2 = "2026-01-02T00:00:00.000Z"

const customer = (id: string, fields: JsonObject = {}): JsonObject => ({
  ...fixtureOf(customers).record,
  customer_id: id,
  ...fields,
})
const payment = (id: string, fields: JsonObject): JsonObject => ({
  ...fixtureOf(transactions).record,
  transaction_id: id,
  ...fields,
})
const payout = (id: string, fields: JsonObject): JsonObject => ({
  ...fixtureOf(payouts).record,
  id,
  ...fields,
})

const erase = (sql: postgres.Sql, id: string) =>
  Effect.flatMap(allStreams, streams => erasePerson(sql, streams, "default", id, "test"))

const knowing = (sql: postgres.Sql, id: string) =>
  Effect.flatMap(allStreams, streams => accountsOfPerson(sql, streams, id))

describe("erase", () => {
  it.scopedLive("follows no payment to payouts by an id that is the empty text", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const paid = yield* loading(sql, payouts)
      const named = { payout_id_finmo: "", reply_code_id_pg: "", payee_name: "Another Person" }
      yield* paid.load(
        [payout("p1", named), T1],
        [payout("p2", named), T1],
        [payout("p3", { ...named, currency: null }), T1],
      )
      yield* paid.close(false)
      const payments = yield* loading(sql, transactions)
      yield* payments.load([payment("t1", { customer_id: ONE, event_id: "" }), T1])
      yield* payments.close(false)

      expect(yield* erase(sql, ONE)).toMatchObject({ stripped: { transactions: 1, payouts: 0 } })
      const names = printed(
        sql,
        "SELECT payout_id AS id, payee_name AS name FROM warehouse.payouts ORDER BY 1",
      )
      const untouched = [
        { id: "p1", name: "Another Person" },
        { id: "p2", name: "Another Person" },
      ]
      expect(yield* names).toEqual(untouched)
      expect(yield* printed(sql, "SELECT record_id AS id FROM sync.rejects")).toEqual([{ id: "p3" }])

      // Nor later, when another payment of that person is read, and the payouts are read again.
      const more = yield* loading(sql, transactions)
      yield* more.load([payment("t2", { customer_id: ONE, event_id: "" }), T2])
      yield* more.close(false)
      const again = yield* loading(sql, payouts)
      yield* again.load([payout("p1", { ...named, updated_at: T2 }), T2], [payout("p2", named), T2])
      yield* again.close(false)
      expect(yield* names).toEqual(untouched)
    }),
  )

  it.scopedLive("deletes no reject of others that holds the id only as a part of a longer one", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const pass = yield* loading(sql, customers)
      yield* pass.load(
        [customer(`${ONE}2`, { description: "\u0000" }), T1],
        [customer(OTHER, { description: `\u0000 knows\n${ONE}, who lives next door` }), T1],
        [customer("customer_z", { description: "\u0000" }), T1],
      )
      yield* pass.close(false)
      const rejects = printed(sql, "SELECT record_id AS id FROM sync.rejects ORDER BY 1")

      for (const part of ["customer_", "customer_0000", "c", ""]) {
        expect(yield* knowing(sql, part)).toEqual([])
        expect(yield* erase(sql, part)).toMatchObject({ rejects: 0 })
      }
      expect((yield* rejects).length).toBe(3)
      expect(yield* knowing(sql, ONE)).toEqual(["default"])
      expect(yield* erase(sql, ONE)).toMatchObject({ rejects: 1 })
      expect(yield* rejects).toEqual([{ id: `${ONE}2` }, { id: "customer_z" }])
    }),
  )

  it.scopedLive("does not spoil the proof of an interrupted pass: its counts still add up", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const { load, passId, lease } = yield* loading(sql, customers)
      yield* load([customer(ONE), T1], [customer(OTHER), T1])
      yield* release(sql, [lease])
      expect(yield* erase(sql, ONE)).toMatchObject({ deleted: { customers: 1 } })

      const { leases: taken } = yield* acquire(sql, {
        streams: [{ account: "default", stream: "customers" }],
        runId: randomUUID(),
        holder: "test",
        leaseSeconds: 30,
      })
      const [next] = taken
      expect(
        yield* openPass(sql, next!, {
          newPassId: randomUUID(),
          canResume: true,
          decodePosition: position => position,
        }),
      ).toMatchObject({
        passId,
      })
      expect(yield* seenRecords(sql, next!, passId)).toEqual({ count: 2, isWhole: true })
      expect(yield* closePass(sql, next!, customers, { passId, provesRemoval: true })).toMatchObject({
        note: null,
      })
    }),
  )
})
