import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import type { Json, JsonObject } from "../../src/core/json.ts"
import { prepareBatch, writeBatch } from "../../src/warehouse/load/loader.ts"
import { settleItems } from "../../src/warehouse/load/settleItems.ts"
import { fixtureOf } from "../support/conformance.ts"
import { fuzz, fuzzMillis } from "../support/fuzz.ts"
import type { PostgresVersion } from "../support/postgres.ts"
import { slowUnless } from "../support/slow.ts"
import { listStream, loading, printed, testWarehouse, warehouseForFile } from "../support/warehouse.ts"

/** One read of a record: what the source says about its time, when it was read, and what it held. */
interface DecodedRecord {
  readonly id: string
  /** Hour of the source's time, or null where it says none. */
  readonly source: number | null
  /**
   * Hour of the reading. No two versions of a record share it, and each holds it: an unchanged version is not written
   * again, so a later commit of an earlier reading does not know of it.
   */
  readonly read: number
}

const hour = (n: number) => new Date(Date.UTC(2026, 0, 1, n)).toISOString()

const versionsOf = (source: fc.Arbitrary<number | null>): fc.Arbitrary<Array<DecodedRecord>> =>
  fc.uniqueArray(
    fc.record({ id: fc.constantFrom("a", "b"), source, read: fc.integer({ min: 0, max: 23 }) }),
    { minLength: 1, maxLength: 9, selector: ({ id, read }) => `${id}${read}` },
  )
const hours = fc.integer({ min: 0, max: 2 })
const sizes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 18, maxLength: 18 })
const byReading = (one: DecodedRecord, other: DecodedRecord) => one.read - other.read

/** Hour of a time of change that lies far after each reading. It says as little as none. */
const AHEAD = 24 * 365

/** Versions of a few records that all say when they changed, or never do: committed in any order, and some twice. */
const inAnyOrder = fc
  .oneof(versionsOf(hours), versionsOf(fc.constantFrom(null, AHEAD)))
  .chain(versions =>
    fc
      .tuple(fc.shuffledSubarray(versions, { minLength: versions.length }), fc.subarray(versions))
      .map(([order, repeated]) => [...order, ...repeated]),
  )

/** Versions whose time of change goes away or ahead and comes back, committed as they were read. */
const asRead = versionsOf(fc.oneof(hours, fc.constantFrom(null, AHEAD))).map(versions =>
  [...versions].sort(byReading),
)

/** Either, cut into batches anywhere. */
const batches: fc.Arbitrary<ReadonlyArray<ReadonlyArray<DecodedRecord>>> = fc
  .tuple(fc.oneof(inAnyOrder, asRead), sizes)
  .map(([versions, given]) => cut(versions, given))

const cut = <A>(
  items: ReadonlyArray<A>,
  [size = 1, ...sizes]: ReadonlyArray<number>,
): ReadonlyArray<ReadonlyArray<A>> =>
  items.length === 0 ? [] : [items.slice(0, size), ...cut(items.slice(size), sizes)]

/** The version that must stay: of two that both say when they changed the one that changed later, else the later read. */
const newestOf = (versions: ReadonlyArray<DecodedRecord>): ReadonlyMap<string, DecodedRecord> => {
  const newest = new Map<string, DecodedRecord>()
  const timed = versions.map(version => ({
    ...version,
    source: version.source === AHEAD ? null : version.source,
  }))
  for (const version of timed.sort(byReading)) {
    const before = newest.get(version.id)
    const isStale =
      before !== undefined &&
      before.source !== null &&
      version.source !== null &&
      version.source < before.source
    if (!isStale) newest.set(version.id, version)
  }
  return newest
}

/** Generated cases on the newest Postgres. The oldest one, in the slow suite, gets more. */
const QUICK_RUNS = 8
const SLOW_RUNS = 20

describe.each<PostgresVersion>(["18", "14"])("whatever the order of commits on Postgres %s", version => {
  const shared = warehouseForFile(version)
  const RUNS = version === "18" ? QUICK_RUNS : SLOW_RUNS

  /** Loads versions as records of a stream into empty tables, and hands over what to expect. */
  const converges = (
    name: string,
    tables: string,
    make: (version: DecodedRecord, whole: JsonObject) => Json,
    check: (
      newest: ReadonlyMap<string, DecodedRecord>,
      all: ReadonlyArray<DecodedRecord>,
    ) => Effect.Effect<void>,
  ) =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(batches, given =>
          Effect.runPromise(
            Effect.gen(function* () {
              const stream = yield* listStream(name)
              const whole = fixtureOf(stream).record
              yield* Effect.promise(() =>
                shared.sql.unsafe(`TRUNCATE ${tables}, sync.rejects, sync.item_doubts`),
              )
              const pass = yield* loading(shared.sql, stream)
              for (const batch of given) {
                const counts = yield* pass.load(
                  ...batch.map(version => [make(version, whole), hour(version.read)] as const),
                )
                const { extracted, inserted, updated, unchanged, stale, rejected } = counts
                expect(inserted + updated + unchanged + stale + rejected).toBe(extracted)
                expect(rejected).toBe(0)
              }
              // Lists that became empty, which a few records would not be believed to have done on their own.
              yield* settleItems(shared.sql, pass.lease, stream, true)
              yield* pass.close(false)
              const all = given.flat()
              yield* check(newestOf(all), all)
            }),
          ),
        ),
        fuzz(RUNS),
      ),
    )

  const times = ({ source }: DecodedRecord) => ({
    created_at: null,
    updated_at: source === null ? null : hour(source),
  })

  slowUnless(version === "18", () => {
    it.live(
      "the newest stays, and each status keeps the first time it was seen",
      () => {
        const statusOf = ({ read }: DecodedRecord) => ["PENDING", "SUCCESS", "RETURNED"][read % 3]!
        return converges(
          "payouts",
          "warehouse.payouts, warehouse.payout_status_history",
          (version, whole) => ({
            ...whole,
            ...times(version),
            id: version.id,
            status: statusOf(version),
            wire_id: String(version.read),
          }),
          (newest, all) =>
            Effect.gen(function* () {
              const stored = yield* printed(
                shared.sql,
                "SELECT payout_id AS id, wire_id AS read FROM warehouse.payouts",
              )
              expect(new Map(stored.map(({ id, read }) => [id, Number(read)]))).toEqual(
                new Map([...newest].map(([id, { read }]) => [id, read])),
              )
              const first = new Map<string, number>()
              for (const version of all) {
                const key = `${version.id} ${statusOf(version)}`
                first.set(key, Math.min(first.get(key) ?? Number.POSITIVE_INFINITY, version.read))
              }
              const seen = yield* printed(
                shared.sql,
                "SELECT payout_id || ' ' || status AS key, extract(hour FROM first_seen_at) AS read FROM warehouse.payout_status_history",
              )
              expect(new Map(seen.map(({ key, read }) => [key, Number(read)]))).toEqual(first)
            }),
        )
      },
      fuzzMillis(RUNS),
    )
  })

  it.live(
    "children that are replaced are those of the stored version",
    () => {
      const itemsOf = ({ read }: DecodedRecord) => Array.from({ length: read % 4 }, (_, n) => `${read}/${n}`)
      return converges(
        "checkouts",
        "warehouse.checkouts, warehouse.checkout_items, warehouse.checkout_fees",
        (version, whole) => ({
          ...whole,
          ...times(version),
          id: version.id,
          description: String(version.read),
          order_summary: { order_items: itemsOf(version).map(product_name => ({ product_name })) },
        }),
        newest =>
          Effect.gen(function* () {
            const items = yield* printed(
              shared.sql,
              "SELECT checkout_id AS id, product_name AS name FROM warehouse.checkout_items ORDER BY 1, position",
            )
            for (const [id, version] of newest)
              expect(items.filter(item => item.id === id).map(({ name }) => name)).toEqual(itemsOf(version))
          }),
      )
    },
    fuzzMillis(RUNS),
  )

  slowUnless(version === "18", () => {
    it.live(
      "children that are kept are listed as in the stored version, the others booked as removed",
      () => {
        const accountsOf = ({ read }: DecodedRecord) =>
          ["x", "y", "z"].filter((_, n) => ((read >> n) & 1) === 1)
        return converges(
          "wallets",
          "warehouse.wallets, warehouse.wallet_accounts, warehouse.wallet_balance_snapshots",
          (version, whole) => ({
            ...whole,
            ...times(version),
            wallet_id: version.id,
            wallet_alias: String(version.read),
            wallet_account: accountsOf(version).map(name => ({
              wallet_account_id: `${version.id}${name}`,
              currency: "AUD",
              actual_balance: version.read,
            })),
          }),
          newest =>
            Effect.gen(function* () {
              const listed = yield* printed(
                shared.sql,
                `SELECT wallet_id AS id, wallet_account_id AS account, actual_balance::text AS balance
               FROM warehouse.wallet_accounts WHERE removed_at IS NULL ORDER BY 2`,
              )
              expect(listed).toEqual(
                [...newest]
                  .sort(([one], [other]) => (one < other ? -1 : 1))
                  .flatMap(([id, version]) =>
                    accountsOf(version).map(name => ({
                      id,
                      account: `${id}${name}`,
                      balance: String(version.read),
                    })),
                  ),
              )
            }),
        )
      },
      fuzzMillis(RUNS),
    )
  })
})

describe("versions in one batch", () => {
  const wallet = (balance: number, fields: Readonly<Record<string, Json>> = {}) => ({
    wallet_id: "w",
    wallet_account: [{ wallet_account_id: "a", currency: "AUD", actual_balance: balance }],
    ...fields,
  })

  const setup = Effect.gen(function* () {
    const sql = yield* testWarehouse()
    const pass = yield* loading(sql, yield* listStream("wallets"))
    const balance = Effect.map(
      printed(sql, "SELECT actual_balance AS balance FROM warehouse.wallet_accounts"),
      ([row]) => row!.balance,
    )
    const snapshots = Effect.map(
      printed(
        sql,
        "SELECT actual_balance AS balance FROM warehouse.wallet_balance_snapshots ORDER BY observed_at",
      ),
      rows => rows.map(row => row.balance),
    )
    return { sql, pass, balance, snapshots }
  })

  it.scopedLive("are compared with a stored one, too", () =>
    Effect.gen(function* () {
      const { pass, balance } = yield* setup
      yield* pass.load([wallet(100), hour(1)])
      // Away and back between two pages, with no word from the source about when.
      yield* pass.load([wallet(90), hour(2)], [wallet(100), hour(3)])
      expect(yield* balance).toBe("100")
    }),
  )

  it.scopedLive("that are equal make one snapshot", () =>
    Effect.gen(function* () {
      const { pass, snapshots } = yield* setup
      yield* pass.load([wallet(100), hour(1)], [wallet(100), hour(2)])
      expect(yield* snapshots).toEqual(["100"])
      yield* pass.load([wallet(70), hour(3)], [wallet(70), hour(4)], [wallet(70), hour(5)])
      expect(yield* snapshots).toEqual(["100", "70"])
    }),
  )

  it.scopedLive("and in the next, prepared before the first is written, are recognized as stored", () =>
    Effect.gen(function* () {
      const { sql, pass, balance, snapshots } = yield* setup
      const stream = yield* listStream("wallets")
      const prepared = (n: number, hours: number) =>
        prepareBatch(sql, pass.lease, stream, [{ record: wallet(n), readAt: new Date(hour(hours)) }])
      const batches = [yield* prepared(100, 1), yield* prepared(100, 2), yield* prepared(70, 3)]
      const progress = { passId: pass.passId, position: null, pages: 1, requests: 0, retries: 0 }
      const counts = yield* Effect.forEach(batches, batch =>
        writeBatch(sql, pass.lease, stream, batch, progress),
      )
      expect(counts).toMatchObject([{ inserted: 1 }, { unchanged: 1, updated: 0 }, { updated: 1 }])
      expect(yield* balance).toBe("70")
      expect(yield* snapshots).toEqual(["100", "70"])
    }),
  )

  it.scopedLive("without a part leave its rows unchanged", () =>
    Effect.gen(function* () {
      const { sql, pass, balance } = yield* setup
      yield* pass.load([wallet(100), hour(1)])
      const { wallet_account: _, ...bare } = wallet(0, { wallet_alias: "renamed" })
      expect(yield* pass.load([bare, hour(2)])).toMatchObject({ rejected: 1 })
      expect(yield* balance).toBe("100")
      expect(yield* printed(sql, "SELECT wallet_alias FROM warehouse.wallets")).toEqual([
        { wallet_alias: null },
      ])
    }),
  )
})
