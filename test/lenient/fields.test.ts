import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import type { Privacy } from "../../src/core/privacy.ts"
import type { Guarded, ListStream } from "../../src/core/stream.ts"
import { allStreams } from "../../src/registry.ts"
import { rebuildWith, replayWith } from "../../src/sync/maintenance.ts"
import { erasePerson } from "../../src/warehouse/maintain/erase.ts"
import { fixtureOf } from "../support/conformance.ts"
import { KEY } from "../support/people.ts"
import { slow } from "../support/slow.ts"
import { onWarehouse } from "../support/upkeep.ts"
import {
  bench,
  footprint,
  json,
  listStream,
  loading,
  printed,
  streamOf,
  testWarehouse,
} from "../support/warehouse.ts"

/** Optional fields that cannot be read: null in the row, listed, and no more. */

const streams = await Effect.runPromise(allStreams)
const wallets = await Effect.runPromise(listStream("wallets"))
const payouts = await Effect.runPromise(listStream("payouts"))

const PAYOUTS = { only: ["payouts"] } as const
const FIELDS =
  "SELECT record_id AS id, field, reason, raw, unlisted_at IS NULL AS open FROM sync.rejects WHERE kind = 'field' ORDER BY 1, 2"

const BROKEN = { due_date: "2025-01-01", fee_taken: { of: 1 }, payee_name: ["Ana"], approved_at: "" }

const withBrokenPayout = (privacy?: Privacy) =>
  Effect.gen(function* () {
    const made = yield* bench()
    const id = made.sandbox.idOf("payouts", 3)
    made.sandbox.patch("payouts", 3, BROKEN)
    const first = yield* made.sync({ ...PAYOUTS, ...(privacy === undefined ? {} : { privacy }) })
    return { ...made, id, first: streamOf(first, "payouts") }
  })

describe("an optional field that cannot be read", () => {
  it.scopedLive(
    "is null in the row and listed with its text; the run is complete and counts it separately",
    () =>
      Effect.gen(function* () {
        const { rows, value, id, first } = yield* withBrokenPayout()
        expect(first).toMatchObject({ status: "complete", inserted: 20, rejected: 0, fieldRejected: 3 })
        expect(
          yield* rows(
            `SELECT due_date, fee_taken, payee_name, approved_at, raw->>'due_date' AS raw, amount IS NOT NULL AS paid
           FROM warehouse.payouts WHERE payout_id = '${id}'`,
          ),
        ).toEqual([
          {
            due_date: null,
            fee_taken: null,
            payee_name: null,
            approved_at: null,
            raw: "2025-01-01",
            paid: "true",
          },
        ])
        expect(yield* rows(FIELDS)).toEqual([
          {
            id,
            field: "due_date",
            reason: "due_date: is not an ISO 8601 time",
            raw: '"2025-01-01"',
            open: "true",
          },
          {
            id,
            field: "fee_taken",
            reason: "fee_taken: is not a decimal amount",
            raw: '{"of":1}',
            open: "true",
          },
          { id, field: "payee_name", reason: "payee_name: is not text", raw: '["Ana"]', open: "true" },
        ])
        expect(yield* value("SELECT open_rejects FROM analytics.freshness WHERE stream = 'payouts'")).toBe(
          "0",
        )
      }),
  )

  it.scopedLive(
    "stays open without a write while its record is unchanged, and is closed when it is read",
    () =>
      Effect.gen(function* () {
        const { sql, sandbox, sync, rows, id } = yield* withBrokenPayout()
        const lies = printed(sql, "SELECT ctid, xmin, xmax FROM sync.rejects ORDER BY ctid")
        const before = [yield* lies, yield* footprint(sql, "payouts")]
        expect(streamOf(yield* sync({ ...PAYOUTS, full: true }), "payouts")).toMatchObject({
          unchanged: 20,
          fieldRejected: 0,
        })
        expect([yield* lies, yield* footprint(sql, "payouts")]).toEqual(before)
        sandbox.patch("payouts", 3, { ...BROKEN, fee_taken: "1.5" })
        yield* sync({ ...PAYOUTS, full: true })
        expect((yield* rows(FIELDS)).map(({ field }) => field)).toEqual(["due_date", "payee_name"])
        sandbox.patch("payouts", 3, { due_date: null, payee_name: null })
        yield* sync({ ...PAYOUTS, full: true })
        expect(yield* rows(FIELDS)).toEqual([])
        expect(yield* rows(`SELECT fee_taken FROM warehouse.payouts WHERE payout_id = '${id}'`)).toEqual([
          { fee_taken: "1.5" },
        ])
      }),
  )

  slow(() => {
    it.scopedLive("is closed with a record that is no longer listed, and open again when that returns", () =>
      Effect.gen(function* () {
        const { sandbox, sync, rows } = yield* withBrokenPayout()
        const open = Effect.map(rows(FIELDS), found => found.map(reject => reject.open))
        sandbox.remove("payouts", 3)
        // Removal may take several passes.
        for (let pass = 0; pass < 3; pass++) yield* sync({ ...PAYOUTS, full: true })
        expect(yield* open).toEqual(["false", "false", "false"])
        sandbox.restore("payouts", 3)
        yield* sync({ ...PAYOUTS, full: true })
        expect(yield* open).toEqual(["true", "true", "true"])
      }),
    )
  })

  it.scopedLive("is derived again by a rebuild, and read by a replay if today's code can", () =>
    Effect.gen(function* () {
      const { sql, rows, value } = yield* withBrokenPayout()
      const before = yield* rows(FIELDS)
      yield* Effect.promise(() => sql`DELETE FROM sync.rejects WHERE field = 'due_date'`)
      const rebuilt = yield* onWarehouse(sql)(rebuildWith({ accounts: [], streams, leaseSeconds: 30 }))
      expect(streamOf(rebuilt!, "payouts")).toMatchObject({
        status: "complete",
        fieldRejected: 3,
        rejected: 0,
      })
      expect(yield* rows(FIELDS)).toEqual(before)
      // Tomorrow's program knows what a list of names is.
      const tomorrows: Guarded<ListStream> = {
        ...payouts,
        decode: given => {
          const { payee_name: name, ...rest } = given as { payee_name: unknown }
          return payouts.decode({ ...rest, payee_name: Array.isArray(name) ? name.join() : name })
        },
      }
      const replayed = yield* onWarehouse(sql)(
        replayWith({ streams: [tomorrows], all: false, ids: [], accounts: [], leaseSeconds: 30 }),
      )
      expect(streamOf(replayed!, "payouts")).toMatchObject({
        status: "complete",
        extracted: 1,
        updated: 1,
        fieldRejected: 2,
      })
      expect((yield* rows(FIELDS)).map(({ field }) => field)).toEqual(["due_date", "fee_taken"])
      expect(yield* value("SELECT payee_name FROM warehouse.payouts WHERE payee_name = 'Ana'")).toBe("Ana")
    }),
  )

  slow(() => {
    it.scopedLive("is hashed or dropped before it is stored, and erased with its person", () =>
      Effect.gen(function* () {
        const hash = { mode: "hash", key: Redacted.make(KEY) } as const
        const made = yield* bench()
        const person = made.sandbox.idOf("customers", 1)
        made.sandbox.patch("customers", 1, { individual: "Ana of Berlin", created_at: "long ago" })
        made.sandbox.patch("checkouts", 2, {
          customer_id: person,
          description: { by: "Ana" },
          expire_at: "soon, Ana",
        })
        const only = ["customers", "checkouts"]
        yield* made.sync({ only })
        const texts = Effect.map(made.rows(FIELDS), found => found.map(({ field, raw }) => [field, raw]))
        expect(yield* texts).toEqual(
          expect.arrayContaining([
            ["individual", '"Ana of Berlin"'],
            ["description", '{"by":"Ana"}'],
          ]),
        )
        yield* made.sync({ only, privacy: hash })
        const hashed = yield* texts
        expect(hashed.map(([field]) => field)).toEqual(expect.arrayContaining(["individual", "created_at"]))
        expect(JSON.stringify(hashed)).not.toContain("Ana")
        yield* erasePerson(made.sql, streams, "default", person, "test")
        // The checkout stays, with what says nothing of the person.
        expect(yield* texts).toEqual([["expire_at", '"dropped"']])
      }),
    )
  })
})

describe("a part of a record that cannot be read", () => {
  it.scopedLive("costs a wallet one account, which is not booked as removed", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const account = (id: string, fields: object = {}) => ({
        wallet_account_id: id,
        currency: "EUR",
        actual_balance: json("10.5"),
        ...fields,
      })
      const wallet = (...accounts: ReadonlyArray<object>) => ({
        ...(fixtureOf(wallets).record as object),
        wallet_id: "w",
        wallet_account: accounts as never,
      })
      const pass = yield* loading(sql, wallets)
      yield* pass.load([wallet(account("a"), account("b"), account("c")), "2026-01-01T00:00:00Z"])
      const counts = yield* pass.load([
        wallet(
          account("a", { actual_balance: "much" }),
          account("b", { is_active: "yes", actual_balance: 11 }),
        ),
        "2026-01-02T00:00:00Z",
      ])
      expect(counts).toMatchObject({ updated: 1, rejected: 0, fieldRejected: 1, itemRejected: 1 })
      expect(
        yield* printed(
          sql,
          "SELECT wallet_account_id AS id, actual_balance AS balance, removed_at FROM warehouse.wallet_accounts ORDER BY 1",
        ),
      ).toEqual([
        { id: "a", balance: "10.5", removed_at: null },
        { id: "b", balance: "11", removed_at: null },
        // The item in its place could not be read: it may be this one.
        { id: "c", balance: "10.5", removed_at: null },
      ])
      expect(yield* printed(sql, "SELECT kind, field, reason FROM sync.rejects ORDER BY 2")).toEqual([
        {
          kind: "item",
          field: "wallet_account.0",
          reason: "wallet_account.0: actual_balance is not a decimal amount",
        },
        {
          kind: "field",
          field: "wallet_account.1.is_active",
          reason: "wallet_account.1.is_active: is not true or false",
        },
      ])
      yield* pass.load([wallet(account("a"), account("b")), "2026-01-03T00:00:00Z"])
      expect(
        yield* printed(
          sql,
          "SELECT wallet_account_id AS id FROM warehouse.wallet_accounts WHERE removed_at IS NOT NULL",
        ),
      ).toEqual([{ id: "c" }])
      expect(yield* printed(sql, "SELECT 1 AS one FROM sync.rejects")).toEqual([])
    }),
  )

  it.scopedLive("leaves the other items of a checkout in their places", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows } = yield* bench()
      const id = sandbox.idOf("checkouts", 1)
      sandbox.patch("checkouts", 1, {
        order_summary: {
          order_items: [{ product_name: "a", quantity: "1" }, "b", { product_name: "c", quantity: "many" }],
          order_fees: "none",
        },
      })
      expect(streamOf(yield* sync({ only: ["checkouts"] }), "checkouts")).toMatchObject({
        status: "complete_with_rejects",
        rejected: 0,
        fieldRejected: 1,
        itemRejected: 2,
      })
      expect(
        yield* rows(
          `SELECT position, product_name, quantity FROM warehouse.checkout_items WHERE checkout_id = '${id}' ORDER BY 1`,
        ),
      ).toEqual([
        { position: "1", product_name: "a", quantity: "1" },
        { position: "2", product_name: null, quantity: null },
        { position: "3", product_name: "c", quantity: null },
      ])
      expect(yield* rows("SELECT kind, field FROM sync.rejects ORDER BY 2")).toEqual([
        { kind: "item", field: "order_summary.order_fees" },
        { kind: "item", field: "order_summary.order_items.1" },
        { kind: "field", field: "order_summary.order_items.2.quantity" },
      ])
    }),
  )

  it.scopedLive("is no loss if another amount replaces it, and one reject if neither can be read", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows, value } = yield* bench()
      sandbox.patch("payouts", 1, { wire_amount: "1,000", original_amount: ".5" })
      sandbox.patch("payouts", 2, { wire_amount: "1,000", original_amount: {} })
      sandbox.patch("payouts", 4, { status: {}, due_date: "soon" })
      expect(streamOf(yield* sync(PAYOUTS), "payouts")).toMatchObject({
        status: "complete_with_rejects",
        inserted: 18,
        rejected: 2,
        fieldRejected: 1,
      })
      expect(
        yield* value(
          `SELECT amount FROM warehouse.payouts WHERE payout_id = '${sandbox.idOf("payouts", 1)}'`,
        ),
      ).toBe("0.5")
      expect(yield* rows("SELECT field, reason FROM sync.rejects WHERE kind = 'record' ORDER BY 1")).toEqual([
        { field: "status", reason: "status: is not text" },
        { field: "wire_amount", reason: "wire_amount: is not a decimal amount" },
      ])
    }),
  )
})

slow(() => {
  describe("an erased person's payment whose codes hold control characters", () => {
    it.scopedLive("keeps its codes and its money, and a rebuild is done", () =>
      Effect.gen(function* () {
        const { sql, sandbox, sync, rows } = yield* bench()
        const person = sandbox.idOf("customers", 1)
        sandbox.patch("transactions", 5, {
          customer_id: person,
          event_type: "PAYIN\u0007\u001b[1m",
          currency: "E\u0001R",
        })
        sandbox.patch("transactions", 6, { customer_id: person, event_type: "a@b", event_name: "\u0085x" })
        yield* sync({ only: ["customers", "transactions"] })
        const stored = rows(
          `SELECT event_type, currency, amount FROM warehouse.transactions WHERE customer_id = '${person}' ORDER BY transaction_id`,
        )
        const before = yield* stored
        yield* erasePerson(sql, streams, "default", person, "test")
        expect(yield* stored).toEqual(before)
        for (let n = 0; n < 2; n++) {
          const rebuilt = yield* onWarehouse(sql)(rebuildWith({ accounts: [], streams, leaseSeconds: 30 }))
          expect(streamOf(rebuilt!, "transactions")).toMatchObject({ status: "complete", rejected: 0 })
        }
        expect(yield* stored).toEqual(before)
      }),
    )
  })
})
