import { type AddressInfo, createServer, type Socket } from "node:net"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import type postgres from "postgres"
import { openPool } from "../../src/postgres/pool.ts"
import { runSql, testDatabase } from "../support/postgres.ts"

/** Tests faults of the driver when connections end in the middle of work. They must not reach a warehouse. */

/** Twice as long as a slow machine needs for anything here. */
const CONNECT_TIMEOUT_MILLIS = 120_000

const setup = Effect.gen(function* () {
  const { ownerUrl } = yield* testDatabase()
  const sql = yield* Effect.acquireRelease(
    Effect.sync(() =>
      openPool(Redacted.value(ownerUrl), {
        max: 4,
        prepare: false,
        fetch_types: false,
        connect_timeout: CONNECT_TIMEOUT_MILLIS / 1_000,
      }),
    ),
    opened => Effect.promise(() => opened.end({ timeout: 0 })),
  )
  const end = (where = "true") =>
    runSql(
      ownerUrl,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid() AND ${where}`,
    )
  /** Waits until a statement with this text is at work: before, there is nothing to end. */
  const underWay = async (text: string) => {
    while ((await runSql(ownerUrl, `SELECT 1 FROM pg_stat_activity WHERE ${isAt(text)}`)).length === 0)
      await sleep(20)
  }
  yield* Effect.promise(() => sql`CREATE TABLE public.written (what text)`)
  return { sql, end, underWay, ownerUrl }
})

/** Condition on `pg_stat_activity` for sessions at such a statement. */
const isAt = (text: string) =>
  `datname = current_database() AND pid <> pg_backend_pid() AND state = 'active' AND query LIKE '%${text}%'`

/** A signal that one side gives and the other waits for. */
const signal = () => {
  let give = () => {}
  const given = new Promise<void>(resolve => {
    give = resolve
  })
  return { give: () => give(), given }
}

const sleep = (millis: number) => new Promise<void>(resolve => setTimeout(resolve, millis))

const outcome = (work: Promise<unknown>) =>
  work.then(
    () => "committed",
    error => (error as { code?: string }).code ?? String(error),
  )

type Tx = postgres.TransactionSql

const insert = (tx: Tx, what: string) => tx`INSERT INTO public.written (what) VALUES (${what})`

/** A statement that takes longer than anybody waits for it here. */
const ENDLESS = "SELECT pg_sleep(3600)"
/** Longest time of an immediate result on a slow machine. With the fault it would take for ever. */
const AT_ONCE = "40 seconds"

/** Errors of a transaction whose connection was ended. */
const LOSSES = ["committed", "CONNECTION_CLOSED", "57P01", "ECONNRESET", "EPIPE"]

const written = (sql: postgres.Sql) =>
  sql<Array<{ what: string }>>`SELECT what FROM public.written`.then(rows => rows.map(({ what }) => what))

describe("a transaction whose connection ends", () => {
  it.scopedLive("in a statement: fails, and leaves the process and the pool alive", () =>
    Effect.gen(function* () {
      const { sql, end, underWay } = yield* setup
      const results = yield* Effect.promise(async () => {
        const lost = outcome(
          sql.begin(async tx => {
            await insert(tx, "before")
            await tx.unsafe(ENDLESS)
          }),
        )
        await underWay("pg_sleep")
        await end()
        return [await lost, await outcome(sql.begin(tx => insert(tx, "after"))), await written(sql)]
      })
      expect(results).toEqual(["CONNECTION_CLOSED", "committed", ["after"]])
    }),
  )

  it.scopedLive("between statements: later statements of its function run nowhere", () =>
    Effect.gen(function* () {
      const { sql, end } = yield* setup
      const { fate, rows, went } = yield* Effect.promise(async () => {
        const went: Array<string> = []
        const between = signal()
        const over = signal()
        const lost = outcome(
          sql.begin(async tx => {
            await insert(tx, "before")
            between.give()
            await over.given
            went.push("on")
            await insert(tx, "outside")
            went.push("further")
            await tx.savepoint(inner => insert(inner, "outside, too"))
          }),
        )
        await between.given
        await end()
        await Promise.all([1, 2, 3, 4].map(() => sql`SELECT 1`))
        const fate = await lost
        over.give()
        // Time for what must not be done.
        await sleep(600)
        await sql.begin(tx => insert(tx, "after"))
        return { fate, rows: await written(sql), went }
      })
      expect(fate).toBe("CONNECTION_CLOSED")
      expect(went).toEqual(["on"])
      expect(rows).toEqual(["after"])
    }),
  )

  it.scopedLive("in a savepoint whose errors are caught: does not continue either", () =>
    Effect.gen(function* () {
      const { sql, end, underWay } = yield* setup
      const results = yield* Effect.promise(async () => {
        const lost = outcome(
          sql.begin(async tx => {
            await tx.savepoint(inner => inner.unsafe(ENDLESS)).catch(() => undefined)
            await insert(tx, "outside")
          }),
        )
        await underWay("pg_sleep")
        await end()
        return [await lost, await sleep(200), await written(sql)]
      })
      expect(results).toEqual(["CONNECTION_CLOSED", undefined, []])
    }),
  )

  it.scopedLive("errors of statements stay the same: caught or rolled back", () =>
    Effect.gen(function* () {
      const { sql } = yield* setup
      const results = yield* Effect.promise(async () => [
        await outcome(
          sql.begin(async tx => {
            await insert(tx, "kept")
            await tx.savepoint(inner => inner`SELECT 1 / 0`).catch(() => undefined)
            await tx.unsafe("SELECT 'x'::int").catch(() => undefined)
          }),
        ),
        await outcome(
          sql.begin(async tx => {
            await insert(tx, "kept")
            await tx.savepoint(inner => inner`SELECT 1 / 0`).catch(() => undefined)
          }),
        ),
        await outcome(
          sql.begin(async tx => {
            await insert(tx, "undone")
            throw Object.assign(new Error("ours"), { code: "ours" })
          }),
        ),
        await written(sql),
      ])
      expect(results).toEqual(["22P02", "committed", "ours", ["kept"]])
    }),
  )
})

describe("a pool whose connections all end again and again", () => {
  it.scopedLive("answers queries in between", () =>
    Effect.gen(function* () {
      const { sql, end } = yield* setup
      const outcomes = new Map<string, number>()
      const slowest = yield* Effect.promise(async () => {
        let slowestMillis = 0
        let isEnding = true
        const until = Date.now() + 4_000
        const isAnyLost = () => [...outcomes.keys()].some(kind => kind !== "committed")
        const client = async () => {
          while (isEnding || !outcomes.has("committed")) {
            const from = performance.now()
            const kind = await outcome(
              sql.begin(async tx => {
                await tx`SELECT 1`
                await Promise.all([tx`SELECT 2`, tx`SELECT 3`])
              }),
            )
            await outcome(sql`SELECT 4`)
            slowestMillis = Math.max(slowestMillis, performance.now() - from)
            outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1)
          }
        }
        const enemy = async () => {
          while (Date.now() < until || !isAnyLost()) {
            await sleep(60)
            await end("application_name <> 'x'")
          }
          isEnding = false
        }
        await Promise.all([enemy(), ...Array.from({ length: 8 }, client)])
        return slowestMillis
      })
      expect([...outcomes.keys()]).toContain("committed")
      expect([...outcomes.keys()].filter(kind => !LOSSES.includes(kind))).toEqual([])
      expect(outcomes.size).toBeGreaterThan(1)
      // A connection to a silent server would take the connect time-out.
      expect(slowest).toBeLessThan(CONNECT_TIMEOUT_MILLIS / 2)
      expect(yield* Effect.promise(() => written(sql))).toEqual([])
    }),
  )
})

describe("a pool of which a connection closes because it was idle", () => {
  it.scopedLive("lets the statement on another one take its time", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase()
      const sql = yield* Effect.acquireRelease(
        Effect.sync(() =>
          openPool(
            Redacted.value(ownerUrl),
            { max: 2, prepare: false, fetch_types: false, idle_timeout: 1 },
            100,
          ),
        ),
        opened => Effect.promise(() => opened.end({ timeout: 0 })),
      )
      const results = yield* Effect.promise(async () => {
        const long = outcome(sql`SELECT pg_sleep(3)`.execute())
        await outcome(sql`SELECT 1`.execute())
        return [await long, await outcome(sql`SELECT 1`.execute())]
      })
      expect(results).toEqual(["committed", "committed"])
    }),
  )
})

describe("a pool that lost a connection in the middle of a statement", () => {
  const losing = (retireAfterMillis: number) =>
    Effect.gen(function* () {
      const { ownerUrl, end, underWay } = yield* setup
      const sql = openPool(
        Redacted.value(ownerUrl),
        { max: 2, prepare: false, fetch_types: false },
        retireAfterMillis,
      )
      yield* Effect.promise(async () => {
        const lost = outcome(sql.unsafe(ENDLESS).execute())
        await underWay("pg_sleep")
        await end()
        expect(LOSSES).toContain(await lost)
        expect(await outcome(sql`SELECT 1`.execute())).toBe("committed")
      })
      return sql
    })
  const closing = (sql: postgres.Sql) =>
    Effect.promise(() => sql.end({ timeout: 3_600 })).pipe(Effect.timeout(AT_ONCE))

  it.scopedLive("closes at once when it is told to, before that connection is given up", () =>
    Effect.flatMap(losing(60_000), closing),
  )

  it.scopedLive("and after", () =>
    Effect.gen(function* () {
      const sql = yield* losing(50)
      yield* Effect.sleep("300 millis")
      yield* closing(sql)
    }),
  )

  it.scopedLive("waits for work on another connection, within the given time", () =>
    Effect.gen(function* () {
      const { ownerUrl, end, underWay } = yield* setup
      const sql = openPool(Redacted.value(ownerUrl), { max: 2, prepare: false, fetch_types: false }, 50)
      const { fate, millis } = yield* Effect.promise(async () => {
        const kept = outcome(sql.unsafe(`${ENDLESS}, 'kept'`).execute())
        const lost = outcome(sql.unsafe(`${ENDLESS}, 'lost'`).execute())
        await underWay("kept")
        await underWay("lost")
        await end("query LIKE '%lost%'")
        await lost
        await sleep(200)
        const from = performance.now()
        await sql.end({ timeout: 1 })
        return { fate: await kept, millis: performance.now() - from }
      })
      expect(fate).toBe("CONNECTION_DESTROYED")
      expect(millis).toBeGreaterThan(900)
      expect(millis).toBeLessThan(40_000)
    }),
  )
})

describe("a server that closes each connection", () => {
  const AUTHENTICATION_OK = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0])
  const WAYS: Readonly<Record<string, (client: Socket) => void>> = {
    "before it says a word": client => client.end(),
    "when it has read who comes": client => client.once("data", () => client.end()),
    "when it has taken the password": client => client.once("data", () => client.end(AUTHENTICATION_OK)),
  }
  it.scopedLive.each(Object.keys(WAYS))("%s fails what is asked, and is not asked a thousand times", way =>
    Effect.gen(function* () {
      let connections = 0
      const listener = createServer(client => {
        connections += 1
        // The driver may give up first.
        client.on("error", () => undefined)
        WAYS[way]!(client)
      })
      yield* Effect.acquireRelease(
        Effect.promise(() => new Promise<void>(resolve => listener.listen(0, "127.0.0.1", resolve))),
        () => Effect.sync(() => listener.close()),
      )
      const { port } = listener.address() as AddressInfo
      const sql = openPool(`postgres://nobody:secret@127.0.0.1:${port}/nowhere`, { max: 2, prepare: false })
      const fates = yield* Effect.promise(() =>
        Promise.all([outcome(sql`SELECT 1`.execute()), outcome(sql.begin(tx => insert(tx, "never")))]),
      ).pipe(Effect.timeout(AT_ONCE))
      expect(fates).toEqual(["ECONNRESET", "ECONNRESET"])
      expect(connections).toBeLessThan(100)
      yield* Effect.promise(() => sql.end({ timeout: 3_600 })).pipe(Effect.timeout(AT_ONCE))
    }),
  )
})
