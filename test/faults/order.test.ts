import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import type postgres from "postgres"
import { contentHash, type Json, type JsonObject } from "../../src/core/json.ts"
import { KEEP } from "../../src/core/privacy.ts"
import { type Guarded, isList, type ListStream, redacting } from "../../src/core/stream.ts"
import { shapeOf } from "../../src/postgres/shape.ts"
import { allStreams } from "../../src/registry.ts"
import { prepareBatch, writeBatch } from "../../src/warehouse/load/loader.ts"
import type { PreparedBatch } from "../../src/warehouse/load/prepare.ts"
import { settleItems } from "../../src/warehouse/load/settleItems.ts"
import { recordOf } from "../support/badRecords.ts"
import { fixtureOf, tablesOf } from "../support/conformance.ts"
import { fuzz, fuzzMillis } from "../support/fuzz.ts"
import { type Loading, listStream, loading, printed, warehouseForFile } from "../support/warehouse.ts"

/** One read of a record: what the source says about its time, and which of a few contents it had. */
interface Read {
  readonly id: string
  /** Hour of the source's time, or null where it says none. */
  readonly source: number | null
  readonly content: number
  readonly isBad: boolean
}

/** Records that were read at one moment. */
type Page = ReadonlyArray<Read>

/** Mostly none: then nothing but the order of reads tells two versions apart. */
const comingAndGoing = fc.constantFrom(null, null, null, 0, 1)

const reads = (
  contents: number,
  bad: number,
  source: fc.Arbitrary<number | null> = comingAndGoing,
): fc.Arbitrary<Read> =>
  fc.record({
    id: fc.constantFrom("a", "b"),
    source,
    content: fc.integer({ min: 0, max: contents - 1 }),
    isBad: fc.integer({ min: 0, max: 9 }).map(n => n < bad),
  })

/** One record that goes back and forth, with no word from the source about when. */
const restless: fc.Arbitrary<ReadonlyArray<Page>> = fc.array(
  fc.integer({ min: 0, max: 1 }).map(content => [{ id: "a", source: null, content, isBad: false }]),
  { minLength: 3, maxLength: 6 },
)

const pagesOf = (read: fc.Arbitrary<Read>): fc.Arbitrary<ReadonlyArray<Page>> =>
  fc.array(fc.array(read, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 12, size: "max" })

/** Cuts pages into batches: how many pages each holds. */
const cuts = fc.array(fc.constantFrom(1, 1, 2, 5), { minLength: 6, maxLength: 6 })

const hour = (n: number) => new Date(Date.UTC(2026, 0, 1, n)).toISOString()

/** The fixture with as many items in its lists as the content says, each with ids and names of its own. */
const withItems = (value: Json, content: number): Json => {
  if (Array.isArray(value))
    return Array.from({ length: content % 3 }, (_, k) => renamed(value[0]!, `/${content}/${k}`))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value as JsonObject).map(([key, item]) => [key, withItems(item, content)]),
  )
}

/** Items of two records, or of two contents of one, are never the same; ids beyond `_id` and names are left alone. */
const renamed = (item: Json, suffix: string): Json =>
  Object.fromEntries(
    Object.entries(item as JsonObject).map(([key, value]) => [
      key,
      typeof value === "string" && /_id$|_name$/.test(key) ? `${value}${suffix.slice(-2)}` : value,
    ]),
  )

const recordFor = (stream: ListStream, { id, source, content, isBad }: Read): JsonObject => {
  const record = {
    ...(withItems(recordOf(stream, id), content) as JsonObject),
    odd: `${content}`,
    created_at: hour(0),
    updated_at: source === null ? null : hour(source + 1),
  }
  if ("status" in record) Object.assign(record, { status: `STATUS ${content}` })
  if ("wallet_account" in record)
    Object.assign(record, {
      wallet_account: [
        { wallet_account_id: `account of ${id}`, currency: "AUD", actual_balance: content % 4 },
        ...(content % 2 === 0
          ? [{ wallet_account_id: `other of ${id}`, currency: "EUR", actual_balance: 1 }]
          : []),
      ],
    })
  return isBad ? { ...record, odd: `${content}\u0000` } : record
}

/** A read with its place in the order of versions. */
interface Ranked extends Read {
  readonly at: number
  readonly hash: string
}

const rankedOf = (stream: ListStream, pages: ReadonlyArray<Page>): ReadonlyArray<Ranked> =>
  pages.flatMap((page, at) =>
    page.map(read => ({ ...read, at, hash: contentHash(recordFor(stream, read), stream.version) })),
  )

/** In the order of reading; of one moment by content. */
const byReading = (one: Ranked, other: Ranked): number =>
  one.at - other.at || (one.hash < other.hash ? -1 : one.hash > other.hash ? 1 : 0)

/** True if the version that was read later is older all the same: only where both say when they changed. */
const isStale = (later: Ranked, before: Ranked): boolean =>
  later.source !== null && before.source !== null && later.source < before.source

/** Reads without those that a page shows beside another version of the same record and time of change: these are rejects. */
const withoutConflicts = (ranked: ReadonlyArray<Ranked>): ReadonlyArray<Ranked> => {
  const fine = ranked.filter(({ isBad }) => !isBad)
  return fine.filter(
    ({ id, at, source, hash }) =>
      !fine.some(other => other.id === id && other.at === at && other.source === source && other.hash > hash),
  )
}

const newestOf = (ranked: ReadonlyArray<Ranked>): ReadonlyMap<string, Ranked> => {
  const newest = new Map<string, Ranked>()
  for (const read of [...withoutConflicts(ranked)].sort(byReading)) {
    const before = newest.get(read.id)
    if (before === undefined || !isStale(read, before)) newest.set(read.id, read)
  }
  return newest
}

/** How many batches are prepared before the first of them is written: as many as a run has under way. */
const AHEAD = 3

/** Loads pages as a run does: batch after batch, each prepared while those before it are perhaps not yet written. */
const loadAhead = (
  sql: postgres.Sql,
  stream: Guarded<ListStream>,
  pass: Loading,
  pages: ReadonlyArray<Page>,
  sizes: ReadonlyArray<number>,
  aheads: ReadonlyArray<number>,
) =>
  Effect.gen(function* () {
    const inFlight: Array<PreparedBatch> = []
    const write = Effect.gen(function* () {
      const prepared = inFlight[0]!
      const counts = yield* writeBatch(sql, pass.lease, stream, prepared, {
        passId: pass.passId,
        position: null,
        pages: 1,
        requests: 0,
        retries: 0,
      })
      inFlight.shift()
      const { extracted, ...became } = counts
      expect(Object.values(became).reduce((sum, n) => sum + n, 0)).toBe(extracted)
    })
    let page = 0
    for (let n = 0; page < pages.length; n++) {
      const size = sizes[n % sizes.length]!
      const batch = pages
        .slice(page, page + size)
        .flatMap((reads, k) =>
          reads.map(read => ({ record: recordFor(stream, read), readAt: new Date(hour(page + k)) })),
        )
      page += size
      inFlight.push(yield* prepareBatch(sql, pass.lease, stream, batch, [...inFlight]))
      while (inFlight.length > aheads[n % aheads.length]! % AHEAD) yield* write
    }
    while (inFlight.length > 0) yield* write
  })

const streams = (await Effect.runPromise(allStreams)).filter(isList)
const tables = (stream: ListStream) => [
  ...tablesOf(stream).map(table => shapeOf(table).table),
  ...stream.histories.map(({ table }) => shapeOf(table).table),
]

const shared = warehouseForFile()

const emptied = (stream: ListStream) =>
  Effect.zipRight(
    Effect.promise(() =>
      shared.sql.unsafe(`TRUNCATE ${tables(stream).join()}, sync.rejects, sync.item_doubts`),
    ),
    loading(shared.sql, stream),
  )

const property = (check: Effect.Effect<void, unknown>) => Effect.runPromise(check)

describe.each(streams.map(stream => [stream.name, stream] as const))("versions of %s", (_, stream) => {
  const RUNS = 12

  it.live(
    "that return, are bad in between or share a moment: the newest stays, in any distribution over batches",
    () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(fc.oneof(pagesOf(reads(2, 1)), restless), cuts, cuts, (pages, sizes, aheads) =>
            property(
              Effect.gen(function* () {
                const pass = yield* emptied(stream)
                yield* loadAhead(shared.sql, redacting(stream, KEEP), pass, pages, sizes, aheads)
                yield* pass.close(false)
                const ranked = rankedOf(stream, pages)
                const rows = yield* printed(
                  shared.sql,
                  `SELECT "${stream.idColumn}" AS id, content_hash FROM ${shapeOf(stream.table).table}`,
                )
                expect(new Map(rows.map(({ id, content_hash }) => [id, content_hash]))).toEqual(
                  new Map([...newestOf(ranked)].map(([id, { hash }]) => [id, hash])),
                )
                // Rejects of the latest moment at which the record was read stay open: later reads close the others.
                const last = new Map(ranked.map(({ id, at }) => [id, at]))
                const stored = new Set(withoutConflicts(ranked))
                const open = ranked.filter(read => read.at === last.get(read.id) && !stored.has(read))
                const rejects = yield* printed(shared.sql, "SELECT content_hash FROM sync.rejects")
                expect(new Set(rejects.map(reject => reject.content_hash))).toEqual(
                  new Set(open.map(({ hash }) => hash)),
                )
              }),
            ),
          ),
          fuzz(RUNS),
        ),
      ),
    fuzzMillis(RUNS),
  )

  /** State that must not depend on the order of commits: rows, listed children, first-seen times. */
  const state = Effect.gen(function* () {
    const own = ["run_id", "first_seen_at", "removed_at", ...(stream.children.length > 0 ? ["read_at"] : [])]
    const texts: Array<unknown> = []
    for (const table of tablesOf(stream)) {
      const { table: name, types } = shapeOf(table)
      const listed = types.has("removed_at") ? "WHERE removed_at IS NULL" : ""
      const without = `'{${own}}'::text[]`
      texts.push(
        yield* printed(
          shared.sql,
          `SELECT (to_jsonb(t) - ${without})::text AS row FROM ${name} AS t ${listed} ORDER BY 1`,
        ),
      )
    }
    for (const { table, kind } of stream.histories)
      if (kind === "first_seen")
        texts.push(
          yield* printed(
            shared.sql,
            `SELECT to_jsonb(t)::text AS row FROM ${shapeOf(table).table} AS t ORDER BY 1`,
          ),
        )
    return texts
  })

  /** All of them say when they changed, or none does: with some of each, the order of reading decides. */
  const uniform = fc
    .constantFrom<fc.Arbitrary<number | null>>(fc.constant(null), fc.integer({ min: 0, max: 1 }))
    .chain(source =>
      fc.uniqueArray(reads(12, 0, source), {
        minLength: 1,
        maxLength: 8,
        selector: ({ id, content }) => `${id}${content}`,
      }),
    )

  it.live(
    "that all carry a time of change or none, in any two orders of commits, make the same warehouse",
    () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(
            uniform.chain(versions =>
              fc.tuple(
                // Versions of one moment come on one page, which is never split between batches.
                fc.shuffledSubarray([...versions.keys()], { minLength: versions.length }),
                fc.shuffledSubarray([...versions.keys()], { minLength: versions.length }),
                fc.shuffledSubarray([...versions.keys(), ...versions.keys()], {
                  minLength: versions.length * 2,
                }),
                fc.constant(versions),
              ),
            ),
            cuts,
            cuts,
            ([times, one, other, versions], sizes, others) =>
              property(
                Effect.gen(function* () {
                  const load = (order: ReadonlyArray<number>, cut: ReadonlyArray<number>) =>
                    Effect.gen(function* () {
                      const pass = yield* emptied(stream)
                      for (let n = 0, k = 0; n < order.length; n += cut[k++ % cut.length]!) {
                        const batch = order.slice(n, n + cut[k % cut.length]!)
                        yield* pass.load(
                          ...batch.map(i => [recordFor(stream, versions[i]!), hour(times[i]!)] as const),
                        )
                      }
                      // Lists that became empty, which few records would not be believed to have done on their own.
                      yield* settleItems(shared.sql, pass.lease, stream, true)
                      yield* pass.close(false)
                      return yield* state
                    })
                  expect(yield* load(one, sizes)).toEqual(yield* load(other, others))
                }),
              ),
          ),
          fuzz(RUNS),
        ),
      ),
    fuzzMillis(RUNS),
  )
})

describe("balances of wallets", () => {
  const RUNS = 25

  it.live(
    "are recorded at each change that was read, in any distribution over batches",
    () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(fc.oneof(pagesOf(reads(3, 1)), restless), cuts, cuts, (pages, sizes, aheads) =>
            property(
              Effect.gen(function* () {
                const wallets = yield* listStream("wallets")
                const pass = yield* emptied(wallets)
                yield* loadAhead(shared.sql, wallets, pass, pages, sizes, aheads)
                yield* pass.close(false)
                const fine = withoutConflicts(rankedOf(wallets, pages))
                const current = new Map<string, Ranked>()
                const expected = new Map<string, string>()
                const latest = new Map<string, string>()
                for (const read of [...fine].sort(byReading)) {
                  const before = current.get(read.id)
                  if (before !== undefined && isStale(read, before)) continue
                  current.set(read.id, read)
                  const balance = String(read.content % 4)
                  if (latest.get(read.id) === balance) continue
                  latest.set(read.id, balance)
                  expected.set(`account of ${read.id} ${hour(read.at)}`, balance)
                }
                const stored = yield* printed(
                  shared.sql,
                  `SELECT wallet_account_id || ' ' || to_char(observed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS key,
                     actual_balance AS balance
                   FROM warehouse.wallet_balance_snapshots WHERE wallet_account_id LIKE 'account%'`,
                )
                expect(new Map(stored.map(({ key, balance }) => [key, balance]))).toEqual(expected)
              }),
            ),
          ),
          fuzz(RUNS),
        ),
      ),
    fuzzMillis(RUNS),
  )

  it.scopedLive("in an account that moved to another wallet are the later read's, in either order", () =>
    Effect.gen(function* () {
      const wallets = yield* listStream("wallets")
      const { record } = fixtureOf(wallets)
      const wallet = (id: string, balance: number): Json => ({
        ...record,
        wallet_id: id,
        wallet_account: [{ wallet_account_id: "moved", currency: "AUD", actual_balance: balance }],
      })
      const versions = [[wallet("one", 1), hour(1)] as const, [wallet("two", 2), hour(2)] as const]
      for (const batches of [[[0], [1]], [[1], [0]], [[0, 1]], [[1, 0]]]) {
        const pass = yield* emptied(wallets)
        for (const batch of batches) yield* pass.load(...batch.map(n => versions[n]!))
        yield* pass.close(false)
        expect(
          yield* printed(
            shared.sql,
            "SELECT wallet_id AS id, actual_balance AS balance, removed_at FROM warehouse.wallet_accounts",
          ),
        ).toEqual([{ id: "two", balance: "2", removed_at: null }])
      }
    }),
  )
})
