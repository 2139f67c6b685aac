import { describe, expect, it } from "@effect/vitest"
import { primaryKey, text } from "drizzle-orm/pg-core"
import { Duration, Effect, Redacted, Schema } from "effect"
import { Amount, Id, Instant, maybe, Text } from "../../src/core/fields.ts"
import { isJsonObject } from "../../src/core/json.ts"
import { DROP, KEEP } from "../../src/core/privacy.ts"
import { defineStream, redacting, type Stream } from "../../src/core/stream.ts"
import { allStreams } from "../../src/registry.ts"
import { rebuildWith, replayWith } from "../../src/sync/maintenance.ts"
import { verdictsOf } from "../../src/warehouse/read/verdict.ts"
import {
  account,
  amount,
  instant,
  recordColumns,
  stateColumns,
  warehouse,
} from "../../src/warehouse/schema/columns.ts"
import { slow } from "../support/slow.ts"
import { onWarehouse } from "../support/upkeep.ts"
import { type SyncOptions, streamOf, syncedBench } from "../support/warehouse.ts"

/** Look-ups that are only declared: one whose answers are records, and one whose answers are states. */

const payinTable = warehouse.table(
  "payins",
  {
    ...recordColumns(),
    payinId: text("payin_id").notNull(),
    providerPayinId: text("provider_payin_id").notNull(),
    status: text("status").notNull(),
    amount: amount("amount").notNull(),
    email: text("email"),
    updatedAt: instant("updated_at"),
  },
  table => [primaryKey({ columns: [table.account, table.payinId] })],
)

const payins = defineStream({
  name: "payins",
  version: 1,
  source: {
    kind: "lookup",
    keys: [
      {
        stream: "transactions",
        column: "event_id",
        only: { column: "event_type", oneOf: ["PAYIN"] },
        time: "created_at",
      },
    ],
    first: "newest",
    paths: key => [`/api/v1/payin/retrieve-payin/${key}`],
    keyField: "payin_id_finmo",
    idField: "id",
    answer: { kind: "records", keyColumn: "provider_payin_id" },
    recheck: {
      open: { column: "status", noneOf: ["FAILED"] },
      openDays: 30,
      pace: "doubling",
      afterChange: false,
    },
    maxCalls: { variable: "PAYCOMBAT_PAYINS_MAX_CALLS", otherwise: 1_000 },
  },
  table: payinTable,
  idColumn: "payin_id",
  personal: {
    plain: { id: "id", payin_id_finmo: "id", status: "code", amount: "amount", updated_at: "time" },
  },
  record: Schema.Struct({
    id: Id,
    payin_id_finmo: Id,
    status: Text,
    amount: Amount,
    customer_email: maybe(Text),
    updated_at: maybe(Instant),
  }),
  normalize: ({ id, payin_id_finmo, customer_email, ...payin }) => ({
    row: { ...payin, payin_id: id, provider_payin_id: payin_id_finmo, email: customer_email },
    sourceUpdatedAt: payin.updated_at,
  }),
})

const methodTable = warehouse.table(
  "payment_methods",
  {
    ...recordColumns(),
    methodId: text("method_id").notNull(),
    name: text("name").notNull(),
    currency: text("currency").notNull(),
  },
  table => [primaryKey({ columns: [table.account, table.methodId] })],
)

const methods = defineStream({
  name: "payment_methods",
  version: 1,
  source: {
    kind: "lookup",
    keys: [
      { stream: "transactions", column: "currency" },
      { variable: "PAYCOMBAT_CURRENCIES", otherwise: ["NZD"] },
    ],
    first: "oldest",
    paths: key => [`/api/v1/payment-method/${key}`],
    keyField: "asked_currency",
    idField: "method_id",
    answer: {
      kind: "records",
      keyColumn: "currency",
      of: (payload, key) =>
        Array.isArray(payload)
          ? payload.map(method =>
              isJsonObject(method) ? { ...method, method_id: `${key}:${String(method.name)}` } : method,
            )
          : [payload],
    },
    recheck: {
      pace: "each run",
      afterChange: false,
      maxAge: { variable: "PAYCOMBAT_METHODS_RECHECK", otherwise: "7 days" },
    },
    maxCalls: { variable: "PAYCOMBAT_METHODS_MAX_CALLS", otherwise: null },
  },
  table: methodTable,
  idColumn: "method_id",
  personal: { plain: { method_id: "id", name: "code", asked_currency: "code" } },
  record: Schema.Struct({ method_id: Id, name: Text, asked_currency: Text }),
  normalize: ({ asked_currency, ...method }) => ({
    row: { ...method, currency: asked_currency },
    sourceUpdatedAt: null,
  }),
})

const balanceTable = warehouse.table(
  "merchant_balances",
  { ...stateColumns(), currency: text("currency").notNull(), available: amount("available") },
  table => [primaryKey({ columns: [table.account, table.currency] })],
)

const periodTable = warehouse.table(
  "merchant_balance_history",
  {
    account: account(),
    currency: text("currency").notNull(),
    validFrom: instant("valid_from").notNull(),
    validTo: instant("valid_to"),
    available: amount("available").notNull(),
  },
  table => [primaryKey({ columns: [table.account, table.currency, table.validFrom] })],
)

const snapshotTable = warehouse.table(
  "merchant_balance_snapshots",
  {
    account: account(),
    currency: text("currency").notNull(),
    readAt: instant("read_at").notNull(),
    available: amount("available").notNull(),
  },
  table => [primaryKey({ columns: [table.account, table.currency, table.readAt] })],
)

const balances = defineStream({
  name: "merchant_balances",
  version: 1,
  source: {
    kind: "lookup",
    keys: [{ variable: "PAYCOMBAT_CURRENCIES", otherwise: ["AUD", "SGD"] }],
    first: "oldest",
    paths: key => [`/api/v1/merchant/balances/${key}`, `/api/v1/merchant/balance/${key}`],
    keyField: "currency",
    idField: "currency",
    answer: { kind: "state" },
    recheck: {
      pace: "each run",
      afterChange: false,
      maxAge: { variable: "PAYCOMBAT_BALANCE_RECHECK", otherwise: "0 hours" },
    },
    maxCalls: { variable: "PAYCOMBAT_BALANCE_MAX_CALLS", otherwise: null },
  },
  table: balanceTable,
  idColumn: "currency",
  histories: [
    {
      table: periodTable,
      kind: "period",
      timeColumn: "valid_from",
      endColumn: "valid_to",
      keyColumns: ["currency"],
      valueColumns: ["available"],
    },
    {
      table: snapshotTable,
      kind: "change",
      timeColumn: "read_at",
      keyColumns: ["currency"],
      valueColumns: ["available"],
    },
  ],
  personal: { plain: { currency: "code", balance: "amount" } },
  record: Schema.Struct({ currency: Text, balance: Amount }),
  normalize: ({ currency, balance }) => ({ row: { currency, available: balance }, sourceUpdatedAt: null }),
})

const RECORD = `raw jsonb NOT NULL, content_hash text NOT NULL, source_updated_at timestamptz, read_at timestamptz NOT NULL,
  first_seen_at timestamptz NOT NULL, run_id uuid NOT NULL, removed_at timestamptz`
const CREATE = `
  CREATE TABLE warehouse.payins (
    account text, ${RECORD}, payin_id text, provider_payin_id text NOT NULL, status text NOT NULL, amount numeric NOT NULL,
    email text, updated_at timestamptz, PRIMARY KEY (account, payin_id));
  CREATE TABLE warehouse.payment_methods (
    account text, ${RECORD}, method_id text, name text NOT NULL, currency text NOT NULL, PRIMARY KEY (account, method_id));
  CREATE TABLE warehouse.merchant_balances (
    account text, currency text, available numeric, checked_at timestamptz NOT NULL, changed_at timestamptz, check_error text,
    raw jsonb, run_id uuid NOT NULL, answered_at timestamptz, answered_run_id uuid, PRIMARY KEY (account, currency));
  CREATE TABLE warehouse.merchant_balance_history (
    account text, currency text, valid_from timestamptz, valid_to timestamptz, available numeric NOT NULL,
    PRIMARY KEY (account, currency, valid_from));
  CREATE TABLE warehouse.merchant_balance_snapshots (
    account text, currency text, read_at timestamptz, available numeric NOT NULL, PRIMARY KEY (account, currency, read_at))`

const HEAD = "/api/v1/payin/retrieve-payin/"

/** A warehouse with transactions, and an endpoint that answers what `answer` says of a key. */
const setup = (stream: Stream, head: string) =>
  Effect.gen(function* () {
    const given = yield* syncedBench({ transactions: 40 }, { only: ["transactions"] })
    const { sql, sandbox, sync, rows } = given
    yield* Effect.promise(() => sql.unsafe(CREATE))
    const answers = new Map<string, object>()
    let answer = (_: string): object => ({ status: 404, body: { message: "no" } })
    sandbox.setFault(({ path }) => {
      if (!path.startsWith(head)) return undefined
      const key = path.slice(head.length)
      return answers.get(key) ?? answer(key)
    })
    return {
      ...given,
      answers,
      byDefault: (next: typeof answer) => {
        answer = next
      },
      /** One run of look-ups, one call at a time so that their order shows, and what was asked about. */
      look: (options: SyncOptions = {}) =>
        Effect.gen(function* () {
          sandbox.resetRequests()
          const run = yield* sync({ streams: [stream], account: { concurrency: 1 }, ...options })
          const asked = sandbox.requests.recent.flatMap(({ path }) =>
            path.startsWith(head) ? [path.slice(head.length)] : [],
          )
          return { asked, booked: streamOf(run, stream.name) }
        }),
      /** The ids that the transactions name, the newest first. */
      keys: Effect.map(
        rows(
          `SELECT event_id AS id FROM warehouse.transactions WHERE event_type = 'PAYIN' GROUP BY event_id
           ORDER BY min(created_at) DESC, event_id`,
        ),
        found => found.map(({ id }) => id!),
      ),
      /** The verdict on the look-up. */
      findings: Effect.map(verdictsOf(sql, { streams: [stream.name] }), ([verdict]) =>
        verdict!.findings.map(({ level, kind }) => `${level} ${kind}`),
      ),
      /** Makes all that was asked older. */
      age: (hours: number) =>
        Effect.promise(
          () => sql`
            UPDATE sync.lookup_keys SET checked_at = checked_at - make_interval(hours => ${hours}),
              changed_at = changed_at - make_interval(hours => ${hours})`,
        ),
    }
  })

const payin = (key: string, fields: object = {}) => ({
  body: {
    status: true,
    message: "OK",
    data: {
      id: `id-${key}`,
      status: "SUCCESS",
      amount: "100.50",
      customer_email: "jane@example.com",
      ...fields,
    },
  },
})

const withPayins = Effect.gen(function* () {
  const given = yield* setup(payins, HEAD)
  given.byDefault(key => payin(key))
  return given
})

const limited = (maxCalls: number): SyncOptions => ({
  lookups: { payins: { maxAge: null, maxCalls, keys: {} } },
})

describe("a look-up whose answers are records, by ids that another table names", () => {
  it.scopedLive("asks about each id once, the newest first, within its budget, and loads the answers", () =>
    Effect.gen(function* () {
      const { look, keys, rows, value } = yield* withPayins
      const all = yield* keys
      expect(all.length).toBeGreaterThan(10)
      const first = yield* look(limited(4))
      expect(first.asked).toEqual(all.slice(0, 4))
      expect(first.booked).toMatchObject({
        mode: "lookup",
        status: "complete",
        extracted: 4,
        inserted: 4,
        leftOver: all.length - 4,
      })
      const second = yield* look()
      expect(second.asked.slice(0, all.length - 4)).toEqual(all.slice(4))
      expect(yield* value("SELECT count(*) FROM warehouse.payins")).toBe(String(all.length))
      expect(
        yield* rows(`SELECT * FROM warehouse.payins WHERE provider_payin_id = '${all[0]}'`),
      ).toMatchObject([
        { payin_id: `id-${all[0]}`, amount: "100.50", email: "jane@example.com", removed_at: null },
      ])
    }),
  )

  slow(() => {
    it.scopedLive("doubles the wait for open ones, and never asks about settled ones again", () =>
      Effect.gen(function* () {
        const { look, keys, rows, age, answers, value } = yield* withPayins
        const [changing, settled, ...others] = yield* keys
        answers.set(settled!, payin(settled!, { status: "FAILED", payin_id_finmo: null }))
        yield* look()
        // As much time passed as lay between the first look-up and this one: none.
        const second = yield* look()
        expect([...second.asked].sort()).toEqual([changing!, ...others].sort())
        expect(second.booked).toMatchObject({ inserted: 0, updated: 0, unchanged: second.asked.length })
        yield* age(1)
        answers.set(changing!, payin(changing!, { status: "REFUND" }))
        const third = yield* look()
        expect(third.booked).toMatchObject({ updated: 1, unchanged: others.length })
        expect(
          yield* rows(`SELECT status FROM warehouse.payins WHERE provider_payin_id = '${changing}'`),
        ).toEqual([{ status: "REFUND" }])
        // An hour lay between the first and the latest answer of the others: they are due in an hour.
        expect((yield* look()).asked).toEqual([changing])
        yield* age(2)
        expect([...(yield* look()).asked].sort()).toEqual([changing!, ...others].sort())
        yield* age(24 * 31)
        expect((yield* look()).asked).toEqual([])
        expect(yield* value("SELECT count(*) FROM sync.lookup_keys")).toBe(String(others.length + 2))
      }),
    )
  })

  it.scopedLive("gives ids that are never answered ever less of the budget, and names them", () =>
    Effect.gen(function* () {
      const { look, keys, answers, age, rows, findings } = yield* withPayins
      const all = yield* keys
      const [unknown] = all
      answers.set(unknown!, { status: 404, body: { message: "no" } })
      const first = yield* look()
      expect(first.booked).toMatchObject({
        status: "complete",
        inserted: all.length - 1,
        rejected: 0,
        unanswered: 0,
      })
      expect(first.booked.note).toContain("1 checks failed: see check_error in sync.lookup_keys.")
      expect(yield* findings).toEqual(["attention check_failed"])
      yield* age(1)
      expect((yield* look()).asked).toContain(unknown)
      expect((yield* look()).asked).toEqual([])
      expect(yield* rows("SELECT record_id FROM sync.lookup_keys WHERE check_error IS NOT NULL")).toEqual([
        { record_id: unknown },
      ])
      yield* age(2)
      answers.delete(unknown!)
      expect((yield* look()).booked).toMatchObject({ inserted: 1, note: null })
      expect(yield* findings).toEqual([])
    }),
  )

  it.scopedLive(
    "makes a reject of an answer that is no row, and a row when it becomes one, or is replayed",
    () =>
      Effect.gen(function* () {
        const { sql, look, keys, answers, rows, value } = yield* withPayins
        const [bad, other] = yield* keys
        answers.set(bad!, payin(bad!, { amount: "much" }))
        answers.set(other!, payin(other!, { updated_at: "soon" }))
        const first = yield* look()
        expect(first.booked).toMatchObject({ status: "complete_with_rejects", rejected: 1 })
        expect(yield* rows("SELECT kind, record_id AS id, field FROM sync.rejects ORDER BY kind")).toEqual([
          { kind: "field", id: `id-${other}`, field: "updated_at" },
          { kind: "record", id: `id-${bad}`, field: "amount" },
        ])
        const replay = (stream: Stream) =>
          onWarehouse(sql)(
            replayWith({
              streams: [redacting(stream, KEEP)],
              accounts: [],
              ids: [],
              all: false,
              leaseSeconds: 30,
            }),
          )
        expect(streamOf((yield* replay(payins))!, "payins")).toMatchObject({ rejected: 1 })
        answers.clear()
        expect((yield* look()).booked).toMatchObject({
          status: "complete",
          inserted: 1,
          updated: 1,
          rejected: 0,
        })
        expect(yield* value("SELECT count(*) FROM sync.rejects")).toBe("0")
      }),
  )

  it.scopedLive("fails if an answer is about another id, or if more than a few are no row", () =>
    Effect.gen(function* () {
      const { look, keys, answers, byDefault, value } = yield* withPayins
      const [mistaken] = yield* keys
      answers.set(mistaken!, payin(mistaken!, { payin_id_finmo: "payin_other" }))
      const first = yield* look()
      expect(first.booked.status).toBe("failed")
      expect(first.booked.error).toContain("no proper answer")
      expect(
        yield* value("SELECT count(*) FROM warehouse.payins WHERE provider_payin_id = 'payin_other'"),
      ).toBe("0")
      answers.clear()
      byDefault(key => payin(key, { status: { of: "no text" } }))
      const second = yield* look()
      expect(second.booked.status).toBe("failed")
      expect(second.booked.error).toContain("checks failed (100%)")
    }),
  )

  slow(() => {
    it.scopedLive("stores no personal data with drop, and brings it back with another mode", () =>
      Effect.gen(function* () {
        const { look, keys, value } = yield* withPayins
        const count = String((yield* keys).length)
        yield* look()
        const emails =
          "SELECT count(*) FROM warehouse.payins WHERE email IS NOT NULL OR raw::text LIKE '%jane%'"
        expect(yield* value(emails)).toBe(count)
        yield* look({ privacy: DROP })
        expect(yield* value(emails)).toBe("0")
        const hashed = { mode: "hash", key: Redacted.make("a key of some length") } as const
        yield* look({ privacy: hashed })
        expect(yield* value("SELECT count(*) FROM warehouse.payins WHERE email LIKE 'hmac:%'")).toBe(count)
        yield* look({ privacy: KEEP })
        expect(yield* value(emails)).toBe(count)
      }),
    )
  })

  it.scopedLive("is rebuilt from its raw records, including the asked id", () =>
    Effect.gen(function* () {
      const { sql, look, keys, value } = yield* withPayins
      yield* look()
      yield* Effect.promise(() => sql`UPDATE warehouse.payins SET amount = 1, provider_payin_id = 'gone'`)
      const rebuilt = yield* onWarehouse(sql)(
        rebuildWith({ leaseSeconds: 30, accounts: [], streams: [payins] }),
      )
      expect(streamOf(rebuilt!, "payins")).toMatchObject({
        status: "complete",
        updated: (yield* keys).length,
      })
      expect(
        yield* value("SELECT count(*) FROM warehouse.payins WHERE amount = 1 OR provider_payin_id = 'gone'"),
      ).toBe("0")
    }),
  )
})

describe("a look-up whose answers are lists of records, by distinct values and a list", () => {
  it.scopedLive("makes a row of each record, with the asked key, and asks about each value once", () =>
    Effect.gen(function* () {
      const { look, byDefault, value, rows } = yield* setup(methods, "/api/v1/payment-method/")
      const named = (...names: ReadonlyArray<string>) => ({
        body: { status: true, data: names.map(name => ({ name })) },
      })
      byDefault(key => (key === "NZD" ? named() : named("bank", "card")))
      const currencies = Number(yield* value("SELECT count(DISTINCT currency) FROM warehouse.transactions"))
      expect(currencies).toBeGreaterThan(1)
      const first = yield* look()
      expect(first.asked).toContain("NZD")
      expect(first.asked).toHaveLength(new Set(["NZD", ...first.asked]).size)
      expect(first.booked).toMatchObject({
        status: "complete",
        inserted: 2 * (first.asked.length - 1),
        rejected: 0,
      })
      expect(
        yield* rows(
          "SELECT method_id, name, currency FROM warehouse.payment_methods WHERE currency = 'AUD' ORDER BY 1",
        ),
      ).toEqual([
        { method_id: "AUD:bank", name: "bank", currency: "AUD" },
        { method_id: "AUD:card", name: "card", currency: "AUD" },
      ])
      expect((yield* look()).asked).toEqual([])
    }),
  )
})

describe("a look-up whose answers are states, by a list from configuration", () => {
  const CURRENCIES: SyncOptions = {
    lookups: {
      merchant_balances: {
        maxAge: Duration.zero,
        maxCalls: null,
        keys: { PAYCOMBAT_CURRENCIES: ["EUR", "AUD", "NZD"] },
      },
    },
  }
  const balance = (amount: string) => ({ body: { status: true, data: { balance: amount } } })

  it.scopedLive("keeps the latest answer of each, and each state that it has been in", () =>
    Effect.gen(function* () {
      const { sql, look, answers, byDefault, rows } = yield* setup(balances, "/api/v1/merchant/balance/")
      byDefault(() => balance("1.10"))
      // The first key tells which of the two paths answers.
      expect((yield* look()).asked).toEqual(["AUD", "AUD", "SGD"])
      const first = yield* look(CURRENCIES)
      expect([...first.asked].sort()).toEqual(["AUD", "EUR", "NZD"])
      expect(first.booked).toMatchObject({ status: "complete", inserted: 2, unchanged: 1 })
      answers.set("AUD", balance("2.20"))
      answers.set("EUR", { status: 404, body: { message: "no" } })
      expect((yield* look(CURRENCIES)).booked).toMatchObject({ updated: 1, unchanged: 2, rejected: 0 })
      expect(
        yield* rows(
          "SELECT currency, available, check_error IS NOT NULL AS failed FROM warehouse.merchant_balances ORDER BY 1",
        ),
      ).toEqual([
        { currency: "AUD", available: "2.20", failed: "false" },
        { currency: "EUR", available: "1.10", failed: "true" },
        { currency: "NZD", available: "1.10", failed: "false" },
        { currency: "SGD", available: "1.10", failed: "false" },
      ])
      expect(
        yield* rows(
          `SELECT available, valid_to IS NULL AS open FROM warehouse.merchant_balance_history
           WHERE currency = 'AUD' ORDER BY valid_from`,
        ),
      ).toEqual([
        { available: "1.10", open: "false" },
        { available: "2.20", open: "true" },
      ])
      expect(
        yield* rows(
          "SELECT currency, available FROM warehouse.merchant_balance_snapshots ORDER BY currency, read_at",
        ),
      ).toEqual([
        { currency: "AUD", available: "1.10" },
        { currency: "AUD", available: "2.20" },
        { currency: "EUR", available: "1.10" },
        { currency: "NZD", available: "1.10" },
        { currency: "SGD", available: "1.10" },
      ])
      expect(yield* rows("SELECT path FROM sync.contracts WHERE stream = 'merchant_balances'")).toEqual([
        { path: "/api/v1/merchant/balance/{id}" },
      ])
      yield* Effect.promise(() => sql`UPDATE warehouse.merchant_balances SET available = 7`)
      yield* onWarehouse(sql)(rebuildWith({ leaseSeconds: 30, accounts: [], streams: [balances] }))
      expect(yield* rows("SELECT DISTINCT available FROM warehouse.merchant_balances ORDER BY 1")).toEqual([
        { available: "1.10" },
        { available: "2.20" },
      ])
    }),
  )

  it.scopedLive("shares the calls that fit before the next tick with the look-ups before it", () =>
    Effect.gen(function* () {
      const { sync, sandbox, byDefault } = yield* setup(balances, "/api/v1/merchant/balance/")
      byDefault(() => balance("1.10"))
      const before = (yield* allStreams).filter(({ name }) =>
        ["customers", "wallet_readiness"].includes(name),
      )
      const run = yield* sync({
        streams: [...before, { ...balances, after: ["wallet_readiness"] }],
        lookupCalls: [...sandbox.truth.ids("customers")].length + 1,
      })
      expect(streamOf(run, "wallet_readiness")).toMatchObject({ leftOver: 0 })
      expect(streamOf(run, "merchant_balances")).toMatchObject({ extracted: 1, leftOver: 1 })
    }),
  )
})
