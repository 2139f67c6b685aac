import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import type postgres from "postgres"
import { connect } from "../../src/postgres/connect.ts"
import { start } from "../../src/sandbox/sandbox.ts"
import { migrate } from "../../src/warehouse/schema/migrator.ts"
import { expectWhole, pageReference } from "../support/crash.ts"
import { STREAM_NAMES } from "../support/lists.ts"
import { testDatabase } from "../support/postgres.ts"
import { MIGRATED, printed, SMALL, statusesOf, streamOf, syncOnce } from "../support/warehouse.ts"

/** A Postgres that answers, but does not do what is asked: what a run makes of it, and what the next one does. */

const setup = Effect.gen(function* () {
  const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
  const sandbox = yield* start(SMALL)
  // Looked at from a connection of its own: what is done to the database must not get in the way of looking.
  const direct = yield* connect(ownerUrl)
  const run = (statement: string) => Effect.promise(() => direct.unsafe(statement))
  return {
    sandbox,
    ownerUrl,
    direct,
    run,
    /** A program that was started now, as settings of a database hold for new connections only. */
    sync: Effect.scoped(Effect.flatMap(connect(ownerUrl), sql => syncOnce(sql, sandbox))),
    reference: yield* pageReference(sandbox, {}),
    database: new URL(Redacted.value(ownerUrl)).pathname.slice(1),
  }
})

/** A trigger on transactions that does this. */
const trigger = (body: string) => `
  CREATE SEQUENCE public.tries;
  CREATE FUNCTION public.in_the_way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} RETURN NEW; END $$;
  CREATE TRIGGER in_the_way BEFORE INSERT ON warehouse.transactions FOR EACH STATEMENT EXECUTE FUNCTION public.in_the_way();
  GRANT ALL ON SEQUENCE public.tries TO public`

const NOTHING_OF_IT = `
  SELECT 'rows' AS what, count(*) FROM warehouse.transactions
  UNION ALL SELECT 'history', count(*) FROM warehouse.settlement_history
  UNION ALL SELECT 'counted', extracted + pages FROM sync.stream_runs WHERE stream = 'transactions'
  UNION ALL SELECT 'position', count(*) FROM sync.checkpoints WHERE stream = 'transactions' AND position IS NOT NULL
  UNION ALL SELECT 'rejects', count(*) FROM sync.rejects`

describe.concurrent("Postgres refuses the writes of a stream", () => {
  for (const [what, body, message] of [
    [
      "its disk is full",
      "RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100';",
      /53100.*free some space/,
    ],
    ["a statement takes too long", "PERFORM pg_sleep(600);", /57014.*raise statement_timeout/],
    [
      "a right is missing",
      "RAISE EXCEPTION 'permission denied' USING ERRCODE = '42501';",
      /42501.*role that owns/,
    ],
  ] as const)
    it.scopedLive(`${what}: that stream fails in one line, nothing is half-written, the next run heals`, () =>
      Effect.gen(function* () {
        const { direct, run, sync, reference, database } = yield* setup
        yield* run(trigger(body))
        // Long enough for each of the other statements, however slow the machine.
        if (body.includes("pg_sleep")) yield* run(`ALTER DATABASE ${database} SET statement_timeout = '15s'`)
        const summary = yield* sync
        expect(statusesOf(summary)).toEqual({
          ...Object.fromEntries(STREAM_NAMES.map(name => [name, "complete"])),
          transactions: "failed",
        })
        const { error } = streamOf(summary, "transactions")
        expect(error).toMatch(message)
        expect(error).not.toContain("\n")
        const left = yield* printed(direct, NOTHING_OF_IT)
        expect(left.filter(({ count }) => count !== "0")).toEqual([])

        yield* run("DROP TRIGGER in_the_way ON warehouse.transactions")
        yield* run(`ALTER DATABASE ${database} RESET statement_timeout`)
        expect((yield* sync).status).toBe("complete")
        yield* expectWhole(direct, reference, what)
      }),
    )

  it.scopedLive("out of memory for a moment: the write is tried again", () =>
    Effect.gen(function* () {
      const { direct, run, sync, reference } = yield* setup
      yield* run(
        trigger(`IF nextval('public.tries') < 3 THEN
          RAISE EXCEPTION 'out of memory' USING ERRCODE = '53200'; END IF;`),
      )
      expect((yield* sync).status).toBe("complete")
      yield* expectWhole(direct, reference, "out of memory")
    }),
  )
})

describe.concurrent("Postgres refuses everything", () => {
  it.scopedLive("because it is read-only: one clear error, nothing recorded; the next run heals", () =>
    Effect.gen(function* () {
      const { direct, run, sync, reference, database } = yield* setup
      yield* run(`ALTER DATABASE ${database} SET default_transaction_read_only = on`)
      const error = yield* Effect.flip(sync)
      expect(error.message).toMatch(/25006.*connect to the primary/)
      yield* run(`ALTER DATABASE ${database} RESET default_transaction_read_only`)
      expect(yield* printed(direct, "SELECT 1 AS one FROM sync.runs")).toEqual([])
      expect((yield* sync).status).toBe("complete")
      yield* expectWhole(direct, reference, "read-only")
    }),
  )

  it.scopedLive("more connections than a few, for a while: the run waits for them", () =>
    Effect.gen(function* () {
      const { direct, run, ownerUrl, sandbox, reference, database } = yield* setup
      const sql = yield* connect(ownerUrl)
      yield* run(`ALTER DATABASE ${database} CONNECTION LIMIT 2`)
      const running = yield* Effect.fork(syncOnce(sql, sandbox))
      yield* Effect.sleep("1500 millis")
      yield* run(`ALTER DATABASE ${database} CONNECTION LIMIT -1`)
      const { streams } = yield* Fiber.join(running)
      expect(streams.map(({ stream, error }) => [stream, error])).toEqual(
        streams.map(({ stream }) => [stream, null]),
      )
      yield* expectWhole(direct, reference, "too many connections")
    }),
  )
})

describe.concurrent("a long query on a view", () => {
  /** A dashboard that has asked about settlements, and holds what it asked until it is let go. */
  const dashboard = (sql: postgres.Sql) =>
    Effect.promise(async () => {
      const connection = await sql.reserve()
      await connection`BEGIN`
      await connection`SELECT count(*) FROM analytics.settlement`
      return Effect.promise(async () => {
        await connection`ROLLBACK`
        connection.release()
      })
    })

  /** Waits until so many wait for a lock on what the dashboard holds. */
  const untilWaiting = (sql: postgres.Sql, count: number) =>
    printed(
      sql,
      `SELECT pid FROM pg_locks WHERE NOT granted AND locktype = 'relation'
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    ).pipe(Effect.delay("20 millis"), Effect.repeat({ until: waiting => waiting.length === count }))

  it.scopedLive("does not keep a sync waiting", () =>
    Effect.gen(function* () {
      const { direct, sync, reference } = yield* setup
      const letGo = yield* dashboard(direct)
      expect((yield* sync).status).toBe("complete")
      yield* letGo
      yield* expectWhole(direct, reference, "beside a long query")
    }),
  )

  it.scopedLive("keeps a migration waiting, which tries again a few times", () =>
    Effect.gen(function* () {
      const { direct, run, ownerUrl } = yield* setup
      const sql = yield* connect(ownerUrl)
      // As after an update of the program: the view's text is another.
      yield* run("UPDATE sync.views SET definition_hash = 'older' WHERE name = 'settlement'")
      const letGo = yield* dashboard(direct)
      const migrating = yield* Effect.fork(migrate(sql))
      yield* untilWaiting(direct, 1)
      yield* untilWaiting(direct, 0)
      expect(yield* Fiber.poll(migrating)).toMatchObject({ _tag: "None" })
      yield* letGo
      expect((yield* Fiber.join(migrating)).views).toContain("settlement")
    }),
  )
})
