import { spawn } from "node:child_process"
import { chmod, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { ConfigProvider, Duration, Effect, Layer, Logger, Option, Redacted } from "effect"
import type postgres from "postgres"
import * as App from "../src/app.ts"
import * as Config from "../src/config/config.ts"
import { Warehouse } from "../src/postgres/connect.ts"
import { streamsNamed } from "../src/registry.ts"

/**
 * Rows per second of a first and of an unchanged sync, end to end: sandbox in a process of its own → HTTP →
 * decode → load into the embedded Postgres with fsync on. The base of the ratios is an INSERT … SELECT of the
 * same rows into an equal table with equal indexes, in the same run.
 *
 *   npm run bench:sync -- 200000
 */
const TRANSACTIONS = Number(process.argv[2] ?? 200_000)
const PAGE_SIZE = 1_000

interface Serving {
  readonly url: string
  readonly token: string
  readonly stop: () => void
}

const sandbox = Effect.acquireRelease(
  Effect.async<Serving>(resume => {
    const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))
    const size = ["--transactions", String(TRANSACTIONS), "--customers", "20000"]
    const args = ["--import", "tsx", main, "sandbox", "--port", "0", "--json", ...size]
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })
    child.once("exit", code => resume(Effect.dieMessage(`the sandbox ended with ${code}`)))
    let text = ""
    child.stdout.on("data", chunk => {
      text += chunk
      if (text.trimEnd().endsWith("}")) {
        resume(Effect.succeed({ ...JSON.parse(text), stop: () => child.kill() }))
      }
    })
  }),
  ({ stop }) => Effect.sync(stop),
)

/** Bytes of write-ahead log so far. */
const walBytes = (sql: postgres.Sql) =>
  Effect.promise(async () => {
    const [row] = await sql<Array<{ bytes: string }>>`SELECT pg_current_wal_lsn() - '0/0'::pg_lsn AS bytes`
    return Number(row?.bytes)
  })

/** Size of the stored transactions with their raw records and indexes, in bytes. */
const diskBytes = (sql: postgres.Sql) =>
  Effect.promise(async () => {
    const [row] = await sql<
      Array<{ bytes: string }>
    >`SELECT pg_total_relation_size('warehouse.transactions')::text AS bytes`
    return Number(row?.bytes)
  })

/**
 * Seconds that Postgres alone takes to write the same rows into a table with the same columns and indexes:
 * no HTTP, no client, no parsing. Nothing that loads row by row can be faster.
 */
const floorSeconds = (sql: postgres.Sql) =>
  Effect.promise(async () => {
    await sql`CREATE TABLE warehouse.floor (LIKE warehouse.transactions INCLUDING ALL)`
    const [{ columns }] = await sql<[{ columns: string }]>`
      SELECT string_agg(quote_ident(attname), ', ') AS columns FROM pg_attribute
      WHERE attrelid = 'warehouse.transactions'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''`
    const startedAt = performance.now()
    await sql.unsafe(`INSERT INTO warehouse.floor (${columns}) SELECT ${columns} FROM warehouse.transactions`)
    return (performance.now() - startedAt) / 1000
  })

const bench = Effect.gen(function* () {
  const { url, token } = yield* sandbox
  const { sql } = yield* Warehouse
  const account: Config.AccountSettings = {
    name: "bench",
    token: Redacted.make(token),
    baseUrl: url,
    pageSize: PAGE_SIZE,
    ratePerSecond: 10_000,
    concurrency: 8,
    timeout: Duration.seconds(30),
    paths: {},
    paging: undefined,
  }
  const streams = yield* streamsNamed(["transactions"])
  const settings = { ...(yield* Config.run), full: true, accounts: [account], streams }
  yield* App.upToDate(true)
  const timed = (name: string) =>
    Effect.gen(function* () {
      const before = yield* walBytes(sql)
      const [duration, { streams, status }] = yield* Effect.timed(App.syncWith(settings))
      const { extracted = 0, inserted = 0, updated = 0, unchanged = 0 } = streams[0] ?? {}
      const wal = (yield* walBytes(sql)) - before
      return {
        name,
        status,
        seconds: Duration.toSeconds(duration),
        extracted,
        inserted,
        updated,
        unchanged,
        wal,
      }
    })
  const first = yield* timed("first sync")
  const again = yield* timed("unchanged sync")
  const disk = yield* diskBytes(sql)
  const floor = yield* floorSeconds(sql)
  console.log(`${TRANSACTIONS} transactions, pages of ${PAGE_SIZE}, Node ${process.version}`)
  for (const { name, seconds, extracted, wal, ...run } of [first, again]) {
    console.log(
      `${name.padEnd(15)} ${seconds.toFixed(1).padStart(6)} s ${Math.round(extracted / seconds)} rows/s,` +
        ` ${(floor / seconds).toFixed(2)}x INSERT … SELECT, ${(wal / 2 ** 20).toFixed(1)} MiB of write-ahead log` +
        ` (${run.status}: ${run.inserted} new, ${run.updated} changed, ${run.unchanged} unchanged)`,
    )
  }
  console.log(`INSERT … SELECT ${floor.toFixed(1).padStart(6)} s ${Math.round(TRANSACTIONS / floor)} rows/s`)
  console.log(`on disk ${((disk / TRANSACTIONS) * (1e6 / 2 ** 30)).toFixed(2)} GiB per million transactions`)
  console.log(`peak memory of the syncing process: ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB`)
})

const directory = await mkdtemp(join(tmpdir(), "paycombat-bench-"))
// Postgres runs as another account when this runs as root.
await chmod(directory, 0o755)
const database: Config.DatabaseSettings = { url: Option.none(), dataDir: directory, readerUrl: Option.none() }
await Effect.runPromise(
  bench.pipe(
    Effect.provide(Layer.merge(App.warehouse(database), App.http)),
    Effect.scoped,
    Effect.provide(Logger.remove(Logger.defaultLogger)),
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map())),
  ),
).finally(() => rm(directory, { recursive: true, force: true }))
