import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import type postgres from "postgres"
import { KEEP, type Privacy } from "../../src/core/privacy.ts"
import { connect } from "../../src/postgres/connect.ts"
import { allStreams } from "../../src/registry.ts"
import { type Sandbox, start } from "../../src/sandbox/sandbox.ts"
import { backup } from "../../src/warehouse/backup/backup.ts"
import { restore } from "../../src/warehouse/backup/restore.ts"
import { acquire } from "../../src/warehouse/ledger/lease.ts"
import { idHash } from "../../src/warehouse/load/tombstones.ts"
import { accountsOfPerson, erasePerson } from "../../src/warehouse/maintain/erase.ts"
import { rewriteRecords } from "../../src/warehouse/maintain/rewrite.ts"
import { everything, KEY } from "../support/people.ts"
import { temporaryDirectory, testDatabase } from "../support/postgres.ts"
import { slow } from "../support/slow.ts"
import {
  type Bench,
  benchOf,
  footprint,
  MIGRATED,
  printed,
  SMALL,
  type SyncOptions,
  streamOf,
  synced,
  syncedBench,
  syncOnce,
} from "../support/warehouse.ts"

/** A person's data removed for good: what goes, what stays, and what does not come back. */

const HASH: Privacy = { mode: "hash", key: Redacted.make(KEY) }

/** In everything that is said of the person, and nowhere else. */
const MARK = "Erasemeplease"

const marked = (lines: ReadonlyArray<string>) => lines.filter(line => line.includes(MARK))

const erase = (sql: postgres.Sql, id: string, account = "default") =>
  Effect.flatMap(allStreams, streams => erasePerson(sql, streams, account, id, "test"))

/** Everything the person is named by, as the sandbox serves it. */
const mark = (sandbox: Sandbox, own: { readonly [stream: string]: ReadonlyArray<string> }, word = MARK) => {
  const fields = {
    customers: {
      description: `${word} customer`,
      individual: { first_name: word, email: `${word}@example.com`, hobby: word },
    },
    wallets: { wallet_alias: `${word} wallet`, description: word, created_by: word },
    transactions: { event_description: `paid by ${word}`, additional_data: { payer: word } },
    checkouts: {
      description: word,
      checkout_token: word,
      additional_info: { name: word },
      order_summary: { order_items: [{ product_name: word, quantity: 1, unit_price: 5 }], order_fees: [] },
    },
    payouts: { payee_name: word, beneficiary: word, beneficiary_account_number: `${word}-123` },
  } as const
  for (const [stream, patch] of Object.entries(fields) as Array<[keyof typeof fields, object]>)
    for (const id of own[stream] ?? []) {
      const index = sandbox.indexOf(stream, id)!
      sandbox.patch(stream, index, { ...patch })
      sandbox.touch(stream, index)
    }
}

/** Enough for a customer who has a record in every list, in few pages. */
const PEOPLE = { transactions: 400 }
const account = { pageSize: 100 }

/** The first customer with a payout, and the records that are theirs, marked. */
const withPerson = (privacy: Privacy = KEEP, given?: Bench) =>
  Effect.gen(function* () {
    const read = given ?? (yield* syncedBench(PEOPLE, { account, privacy }))
    const made = { ...read, sync: (settings: SyncOptions = {}) => read.sync({ account, ...settings }) }
    const ids = (statement: string) =>
      Effect.map(made.rows(statement), rows => rows.map(row => Object.values(row)[0]!))
    const [id] = yield* ids(
      `SELECT t.customer_id FROM warehouse.transactions AS t
         JOIN warehouse.payouts AS p ON t.event_id IN (p.payout_id, p.provider_payout_id)
         JOIN warehouse.wallets AS w ON w.customer_id = t.customer_id
         JOIN warehouse.checkouts AS c ON c.customer_id = t.customer_id
         JOIN warehouse.customers AS k ON k.customer_id = t.customer_id
       ORDER BY t.created_at LIMIT 1`,
    )
    const own = {
      customers: [id!],
      wallets: yield* ids(`SELECT wallet_id FROM warehouse.wallets WHERE customer_id = '${id}'`),
      transactions: yield* ids(
        `SELECT transaction_id FROM warehouse.transactions WHERE customer_id = '${id}'`,
      ),
      checkouts: yield* ids(`SELECT checkout_id FROM warehouse.checkouts WHERE customer_id = '${id}'`),
      payouts: yield* ids(
        `SELECT DISTINCT payout_id FROM warehouse.payouts AS p JOIN warehouse.transactions AS t
           ON t.event_id IN (p.payout_id, p.provider_payout_id) WHERE t.customer_id = '${id}'`,
      ),
    }
    mark(made.sandbox, own)
    yield* made.sync({ privacy })
    return { ...made, id: id!, own }
  })

/** The same, with the addresses of its database. */
const withPersonAndUrl = Effect.gen(function* () {
  const urls = yield* testDatabase({ template: synced(PEOPLE, { account }) })
  const sql = yield* connect(urls.ownerUrl)
  const sandbox = yield* start({ ...SMALL, ...PEOPLE })
  return { ...(yield* withPerson(KEEP, benchOf({ sql, sandbox }))), database: urls }
})

const MONEY = [
  "SELECT * FROM analytics.settlement ORDER BY 1, 2, 3, 4",
  "SELECT account, owner_id, currency, transaction_id, kind, movement, balance FROM analytics.balance_history ORDER BY 1, 2, 3, 4, 5",
  "SELECT account, day, currency, status, payout_count, payout_amount FROM analytics.payout_daily ORDER BY 1, 2, 3, 4",
  "SELECT account, day, currency, checkout_count, checkout_amount FROM analytics.checkout_daily ORDER BY 1, 2, 3",
  "SELECT wallet_account_id, actual_balance, currency FROM warehouse.wallet_balance_snapshots ORDER BY 1, 2",
]

const moneyOf = ({ rows }: Pick<Bench, "rows">) => Effect.forEach(MONEY, statement => rows(statement))

describe("erase", () => {
  it.scopedLive("removes the person's data, and leaves the money", () =>
    Effect.gen(function* () {
      const person = yield* withPerson()
      const { sql, id, own, rows, value } = person
      expect(marked(yield* everything(sql)).length).toBeGreaterThan(own.transactions.length)
      const money = yield* moneyOf(person)
      const streams = yield* allStreams
      expect(yield* accountsOfPerson(sql, streams, id)).toEqual(["default"])

      const done = yield* erase(sql, id)
      expect(marked(yield* everything(sql))).toEqual([])
      expect(yield* moneyOf(person)).toEqual(money)
      expect(done).toEqual({
        account: "default",
        deleted: { customers: 1, wallet_readiness: 1, wallet_readiness_history: expect.any(Number) },
        stripped: {
          wallets: own.wallets.length,
          transactions: own.transactions.length,
          checkouts: own.checkouts.length,
          payouts: own.payouts.length,
        },
        rejects: 0,
      })
      for (const table of ["customers", "wallet_readiness", "wallet_readiness_history"])
        expect(yield* value(`SELECT count(*) FROM warehouse.${table} WHERE customer_id = '${id}'`)).toBe("0")
      // Joins still work: the id of who paid is the pseudonym that stays with the payment.
      expect(yield* value(`SELECT count(*) FROM warehouse.transactions WHERE customer_id = '${id}'`)).toBe(
        String(own.transactions.length),
      )
      const tombstones = yield* rows("SELECT * FROM sync.erasures")
      expect(tombstones.filter(({ stream }) => stream === "customers").map(row => row.id_hash)).toEqual([
        idHash(id),
      ])
      expect(JSON.stringify(tombstones)).not.toContain(id)
      expect(yield* erase(sql, id)).toMatchObject({
        deleted: { customers: 0 },
        stripped: { transactions: 0 },
      })
    }),
  )

  it.scopedLive("is not undone by the next sync, by a newer version, or by a record that comes later", () =>
    Effect.gen(function* () {
      const { sql, id, own, sync, sandbox, value, rows } = yield* withPerson()
      yield* erase(sql, id)
      const before = yield* footprint(sql, "transactions")
      const next = yield* sync()
      for (const { stream, erased, inserted, updated } of next.streams)
        expect([stream, erased, inserted, updated]).toEqual([stream, stream === "customers" ? 1 : 0, 0, 0])
      const { extracted, unchanged } = streamOf(next, "customers")
      expect(extracted).toBe(unchanged + 1)
      expect(yield* footprint(sql, "transactions")).toEqual(before)

      mark(sandbox, own)
      // A payment of another customer turns out to be this person's, and leads to a payout that was not linked before.
      const [other] = yield* rows(
        `SELECT transaction_id AS id FROM warehouse.transactions WHERE customer_id IS DISTINCT FROM '${id}' ORDER BY 1 LIMIT 1`,
      )
      const [payout] = yield* rows(
        `SELECT payout_id AS id FROM warehouse.payouts WHERE payout_id <> ALL ('{${own.payouts.join(",")}}')
           AND NOT EXISTS (SELECT FROM warehouse.transactions WHERE event_id IN (payout_id, provider_payout_id)) ORDER BY 1 LIMIT 1`,
      )
      mark(sandbox, { transactions: [other!.id!], payouts: [payout!.id!] })
      sandbox.patch("transactions", sandbox.indexOf("transactions", other!.id!)!, {
        customer_id: id,
        event_id: payout!.id!,
      })
      expect((yield* sync()).status).toBe("complete")
      // Payouts may have been read before the payment that leads to one: then the pass after it takes it away.
      yield* sync()
      expect(marked(yield* everything(sql))).toEqual([])
      expect(yield* value(`SELECT count(*) FROM warehouse.customers WHERE customer_id = '${id}'`)).toBe("0")
      expect(yield* value("SELECT count(*) FROM warehouse.customers WHERE removed_at IS NOT NULL")).toBe("0")
    }),
  )

  slow(() => {
    it.scopedLive("deletes rejects that name the person, and stores later ones without their text", () =>
      Effect.gen(function* () {
        const { sql, id, own, sync, sandbox, rows } = yield* withPerson()
        const bad = sandbox.indexOf("transactions", own.transactions[0]!)!
        sandbox.patch("transactions", bad, { amount: "not a number", event_description: MARK })
        sandbox.patch("customers", sandbox.indexOf("customers", id)!, { is_active: "yes", description: MARK })
        yield* sync()
        expect((yield* rows("SELECT 1 FROM sync.rejects")).length).toBe(2)
        expect(yield* erase(sql, id)).toMatchObject({ rejects: 2 })
        expect(marked(yield* everything(sql))).toEqual([])
        const summary = yield* sync()
        expect(streamOf(summary, "customers")).toMatchObject({ erased: 1, rejected: 0 })
        expect(streamOf(summary, "transactions")).toMatchObject({ erased: 0, rejected: 1 })
        expect(marked(yield* everything(sql))).toEqual([])
      }),
    )
  })

  slow(() => {
    it.scopedLive("holds in each mode, through a change of mode and a rebuild", () =>
      Effect.gen(function* () {
        const { sql, id, sync, value } = yield* withPerson(HASH)
        yield* erase(sql, id)
        const hashed = `SELECT count(*) FROM warehouse.transactions WHERE customer_id = '${id}' AND event_description IS NOT NULL`
        expect(yield* value(hashed)).toBe("0")
        yield* sync({ privacy: HASH })
        expect(yield* value(hashed)).toBe("0")
        yield* sync({ privacy: KEEP })
        expect(yield* value(hashed)).toBe("0")
        const { leases } = yield* acquire(sql, {
          streams: [{ account: "default", stream: "transactions" }],
          runId: "00000000-0000-4000-8000-000000000001",
          holder: "test",
          leaseSeconds: 30,
        })
        const transactions = (yield* allStreams).find(({ name }) => name === "transactions")!
        expect(yield* rewriteRecords(sql, leases[0]!, transactions, record => record)).toMatchObject({
          counts: { updated: 0 },
        })
        expect(marked(yield* everything(sql))).toEqual([])
      }),
    )
  })

  slow(() => {
    it.scopedLive.each([
      ["the warehouse that it replaces", "replaced"],
      ["a new warehouse that holds the tombstones only", "tombstones"],
      ["a later backup", "file"],
    ] as const)("is applied again to an older backup, known from %s", ([, from]) =>
      Effect.gen(function* () {
        const { database: own, ...person } = yield* withPersonAndUrl
        const { sql, id } = person
        // Rejects that name the person: one by its id, and one within its text only.
        yield* Effect.promise(() =>
          sql.unsafe(
            `INSERT INTO sync.rejects (account, stream, record_id, reason, raw, content_hash, read_at, first_seen_at, run_id)
           SELECT 'default', v.stream, v.record_id, 'x', v.raw, v.raw, now(), now(), gen_random_uuid() FROM (VALUES
             ('customers', '${id}', '{"n":"${MARK} 1"}'), ('checkouts', NULL, '{"of":{"customer_id":"${id}"},"n":"${MARK} 2"}'),
             ('checkouts', NULL, '{"customer_id":"another","n":"stays"}')) AS v (stream, record_id, raw)`,
          ),
        )
        const directory = yield* temporaryDirectory
        const [older, later] = [join(directory, "older"), join(directory, "later")]
        const streams = yield* allStreams
        const money = yield* moneyOf(person)
        const rejects = Number(yield* person.value("SELECT count(*) FROM sync.rejects"))
        yield* backup(own.ownerUrl, older)
        expect(marked(yield* everything(sql))).not.toEqual([])
        yield* erase(sql, id)
        yield* backup(own.ownerUrl, later)

        const target = from === "replaced" ? own : yield* testDatabase({ template: MIGRATED })
        if (from === "tombstones") {
          const tombstones = yield* Effect.promise(
            () => sql`SELECT account, stream, id_hash, erased_at FROM sync.erasures`,
          )
          const to = yield* connect(target.ownerUrl)
          for (const row of tombstones) yield* Effect.promise(() => to`INSERT INTO sync.erasures ${to(row)}`)
        }
        const restored = yield* restore(target.ownerUrl, older, {
          streams,
          isReplacing: from === "replaced",
          ...(from === "file" ? { erasuresFrom: later } : {}),
        })
        expect(restored).toMatchObject({ erasedAgain: 1 })
        const to = yield* connect(target.ownerUrl)
        expect(marked(yield* everything(to))).toEqual([])
        expect(yield* accountsOfPerson(to, streams, id)).toEqual(["default"])
        const rows = (statement: string) => printed(to, statement)
        expect(yield* moneyOf({ rows })).toEqual(money)
        expect(yield* rows("SELECT count(*) AS n FROM sync.rejects")).toEqual([{ n: String(rejects - 2) }])
        // And the next sync does not bring them back.
        yield* syncOnce(to, person.sandbox, { full: true })
        expect(marked(yield* everything(to))).toEqual([])
      }),
    )
  })

  slow(() => {
    it.scopedLive(
      "is applied again to a backup with data of the person but no row that names the person",
      () =>
        Effect.gen(function* () {
          const { database: own, sql, id, sync } = yield* withPersonAndUrl
          const directory = yield* temporaryDirectory
          const [older, later] = [join(directory, "older"), join(directory, "later")]
          // The backup was made before the transactions came that lead to the person's payouts.
          yield* Effect.promise(() =>
            sql
              .unsafe(
                `DELETE FROM warehouse.transactions; DELETE FROM warehouse.settlement_history; DELETE FROM warehouse.customers;
             DELETE FROM warehouse.wallets; DELETE FROM warehouse.wallet_accounts; DELETE FROM warehouse.wallet_balance_snapshots;
             DELETE FROM warehouse.checkouts; DELETE FROM warehouse.checkout_items; DELETE FROM warehouse.checkout_fees;
             DELETE FROM warehouse.wallet_readiness; DELETE FROM warehouse.wallet_readiness_history;
             INSERT INTO sync.rejects (account, stream, reason, raw, content_hash, read_at, first_seen_at, run_id)
             SELECT 'default', 'checkouts', 'x', '{"customer_id":"${id}","n":"${MARK}"}', 'h', now(), now(), gen_random_uuid()`,
              )
              .simple(),
          )
          yield* backup(own.ownerUrl, older)
          const kinds = marked(yield* everything(sql))
          expect(kinds.length).toBeGreaterThan(1)
          yield* sync({ full: true })
          yield* erase(sql, id)
          yield* backup(own.ownerUrl, later)
          const target = yield* testDatabase({ template: MIGRATED })
          yield* restore(target.ownerUrl, older, { streams: yield* allStreams, erasuresFrom: later })
          expect(marked(yield* everything(yield* connect(target.ownerUrl)))).toEqual([])
        }),
    )
  })

  slow(() => {
    it.scopedLive("is not known to a restore without a tombstone", () =>
      Effect.gen(function* () {
        const { database: own, sql, id } = yield* withPersonAndUrl
        const file = join(yield* temporaryDirectory, "older")
        yield* backup(own.ownerUrl, file)
        yield* erase(sql, id)
        const target = yield* testDatabase({ template: MIGRATED })
        const restored = yield* restore(target.ownerUrl, file, { streams: yield* allStreams })
        expect(restored).toMatchObject({ knownErasures: 0, erasedAgain: 0 })
        expect(marked(yield* everything(yield* connect(target.ownerUrl)))).not.toEqual([])
      }),
    )
  })

  slow(() => {
    it.scopedLive("is in a backup, and in the restored warehouse", () =>
      Effect.gen(function* () {
        const from = yield* testDatabase({ template: synced() })
        const to = yield* testDatabase({ template: MIGRATED })
        const sql = yield* connect(from.ownerUrl)
        const sandbox = yield* start(SMALL)
        const [{ id } = { id: null }] = yield* printed(
          sql,
          "SELECT min(customer_id) AS id FROM warehouse.customers",
        )
        yield* erase(sql, id!)
        const file = join(yield* temporaryDirectory, "backup")
        yield* backup(from.ownerUrl, file)
        yield* restore(to.ownerUrl, file)
        const restored = yield* connect(to.ownerUrl)
        expect(streamOf(yield* syncOnce(restored, sandbox), "customers")).toMatchObject({
          erased: 1,
          inserted: 0,
        })
        const left = yield* printed(
          restored,
          `SELECT count(*) FROM warehouse.customers WHERE customer_id = '${id}'`,
        )
        expect(left).toEqual([{ count: "0" }])
      }),
    )
  })

  it.scopedLive("does nothing while a run holds a lease of the account", () =>
    Effect.gen(function* () {
      const { sql, value } = yield* syncedBench({}, { only: ["customers"] })
      const id = (yield* value("SELECT min(customer_id) FROM warehouse.customers"))!
      yield* acquire(sql, {
        streams: [{ account: "default", stream: "wallets" }],
        runId: "00000000-0000-4000-8000-000000000002",
        holder: "another host:7",
        leaseSeconds: 30,
      })
      const refused = yield* Effect.flip(erase(sql, id))
      expect(refused).toMatchObject({ _tag: "LeaseError", reason: "held" })
      expect(refused.message).toContain("another host:7")
      expect(yield* value("SELECT count(*) FROM sync.erasures")).toBe("0")
      // The leases that it did get are free again.
      expect(yield* value("SELECT count(*) FROM sync.leases WHERE expires_at > clock_timestamp()")).toBe("1")
    }),
  )

  slow(() => {
    it.scopedLive("also removes possibly personal data from a record that no longer decodes", () =>
      Effect.gen(function* () {
        const { sql, id, own, value } = yield* withPerson()
        const broken = [own.transactions.at(-1)!, own.checkouts[0]!] as const
        yield* Effect.promise(
          () =>
            sql`UPDATE warehouse.transactions SET raw = raw - 'amount' WHERE transaction_id = ${broken[0]}`,
        )
        yield* Effect.promise(
          () => sql`UPDATE warehouse.checkouts SET raw = raw - 'currency' WHERE checkout_id = ${broken[1]}`,
        )
        const { stripped } = yield* erase(sql, id)
        expect(stripped.transactions).toBe(own.transactions.length)
        expect(marked(yield* everything(sql))).toEqual([])
        expect(
          yield* value(`SELECT count(amount) FROM warehouse.transactions WHERE customer_id = '${id}'`),
        ).toBe(String(own.transactions.length))
      }),
    )
  })
})
