import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Redacted } from "effect"
import postgres from "postgres"
import { ConfigurationError, WarehouseError } from "../src/core/errors.ts"
import { embeddedPostgres } from "../src/postgres/embedded/embeddedPostgres.ts"
import { QUERY_LIMITS, runQuery } from "../src/warehouse/read/query.ts"
import {
  databaseForFile,
  type PostgresVersion,
  runSql,
  type TestDatabase,
  temporaryDirectory,
  testDatabase,
} from "./support/postgres.ts"
import { slowUnless } from "./support/slow.ts"

/** A minimal warehouse: one secret table, and one view with the columns that may be read. */
const TEMPLATE = {
  name: "query",
  prepare: (ownerUrl: Redacted.Redacted) =>
    runSql(
      ownerUrl,
      `CREATE SCHEMA warehouse; CREATE TABLE warehouse.customers (customer_id text, email text, amount numeric, at timestamptz);
       INSERT INTO warehouse.customers VALUES ('c1', 'jane@example.com', 9007199254740993.1000, '2026-01-31 23:59:59.123456+00'), ('c2', NULL, NULL, NULL);
       CREATE SCHEMA analytics; GRANT USAGE ON SCHEMA analytics TO paycombat_reader;
       CREATE VIEW analytics.settlement AS SELECT customer_id, amount, at FROM warehouse.customers ORDER BY 1;
       GRANT SELECT ON analytics.settlement TO paycombat_reader`,
    ),
}

const failure = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(Effect.flip(effect))

for (const given of ["18", "14"] as const)
  slowUnless(given === "18", () => {
    describe.each<PostgresVersion>([given])("query on Postgres %s", version => {
      const db: TestDatabase = databaseForFile({ version, template: TEMPLATE })
      const ask = (statement: string) => runQuery(db.readerUrl, statement)

      it.live("returns the text that Postgres prints, with every digit", () =>
        Effect.gen(function* () {
          const answer = yield* ask(
            "SELECT *, amount * 0.1 AS amount, ARRAY[1,2] AS list, '{\"a\":1.0}'::jsonb AS j FROM settlement",
          )
          expect(answer.columns).toEqual(["customer_id", "amount", "at", "amount", "list", "j"])
          expect(answer.rows).toEqual([
            [
              "c1",
              "9007199254740993.1000",
              "2026-01-31 23:59:59.123456+00",
              "900719925474099.31000",
              "{1,2}",
              '{"a": 1.0}',
            ],
            ["c2", null, null, null, "{1,2}", '{"a": 1.0}'],
          ])
        }),
      )

      it.live("returns all rows of several batches, and of an empty answer", () =>
        Effect.gen(function* () {
          const many = yield* ask("SELECT n FROM generate_series(1, 2500) n")
          expect(many.rows.map(([n]) => Number(n))).toEqual(
            Array.from({ length: 2500 }, (_, index) => index + 1),
          )
          expect((yield* ask("SELECT n FROM generate_series(1, 2000) n;")).rows).toHaveLength(2000)
          expect(yield* ask("SELECT 1 AS one WHERE false")).toEqual({
            columns: ["one"],
            types: [{ kind: "integer" }],
            rows: [],
          })
        }),
      )

      it.live("accepts statements without a row count in their tag", () =>
        Effect.gen(function* () {
          expect((yield* ask("SHOW TimeZone")).rows).toEqual([["UTC"]])
          expect((yield* ask("EXPLAIN SELECT * FROM settlement")).rows.length).toBeGreaterThan(1)
        }),
      )

      it("reports an error in Postgres' words, with its position", async () => {
        const error = await failure(ask("SELECT\n  customer_idd FROM settlement"))
        expect(error).toBeInstanceOf(WarehouseError)
        expect(error).toMatchObject({ code: "42703" })
        expect(error.message).toContain('column "customer_idd" does not exist (line 2, character 3)')
        expect(error.message).toContain("Hint: Perhaps you meant")
      })

      it.each([
        ["two statements", "SELECT 1; SELECT 2"],
        ["a way out of the transaction", "COMMIT"],
        ["a setting", "SET TRANSACTION READ WRITE"],
        ["a code block", "DO $$ BEGIN PERFORM 1; END $$"],
        ["COPY to the client", "COPY analytics.settlement TO STDOUT"],
        ["a program on the server", "COPY (SELECT 1) TO PROGRAM 'true'"],
        ["a program on the server", "COPY (SELECT 1) TO '/tmp/out'"],
        ["a temporary table", "CREATE TEMP TABLE t AS SELECT 1"],
        ["a listener", "LISTEN news"],
        ["nothing", ""],
        ["the tables", "SELECT * FROM warehouse.customers"],
        ["a write", "INSERT INTO warehouse.customers VALUES ('c3') RETURNING 1"],
        ["a write in a WITH", "WITH w AS (DELETE FROM warehouse.customers RETURNING 1) SELECT * FROM w"],
        ["a write through the view", "UPDATE analytics.settlement SET amount = 0 RETURNING 1"],
        ["a file", "SELECT pg_read_file('/etc/passwd')"],
        ["a directory", "SELECT pg_ls_dir('.')"],
        ["passwords", "SELECT * FROM pg_authid"],
        [
          "another role",
          "SELECT set_config('role', 'paycombat', false), (SELECT count(*) FROM warehouse.customers)",
        ],
        ["another transaction mode", "SELECT set_config('transaction_read_only', 'off', false)"],
        ["a large object", "SELECT lo_create(4711)"],
        ["a large object from a file", "SELECT lo_import('/etc/passwd')"],
        ["a lock that a migration waits for", "SELECT pg_advisory_lock(1)"],
        ["another role by name", "SET ROLE paycombat"],
        ["another session", "SET SESSION AUTHORIZATION paycombat"],
        ["what it began with", "RESET ALL"],
        ["a prepared statement", "PREPARE p AS SELECT 1"],
        ["a cursor that outlives it", "DECLARE c CURSOR WITH HOLD FOR SELECT 1"],
        ["two statements and a comment", "SELECT 1 /* ; */ ; DROP VIEW analytics.settlement --"],
        ["a way out in a savepoint", "SAVEPOINT s"],
        ["a program's output", "COPY analytics.settlement FROM PROGRAM 'id'"],
        ["a library", "LOAD 'dblink'"],
        ["an extension", "CREATE EXTENSION dblink"],
        ["a server's setting", "ALTER SYSTEM SET log_statement = 'all'"],
        ["another server", "SELECT * FROM dblink('host=127.0.0.1', 'SELECT 1') AS t (a int)"],
        ["a file's bytes", "SELECT pg_read_binary_file('PG_VERSION')"],
        ["a file's size", "SELECT pg_stat_file('PG_VERSION')"],
        ["the log's directory", "SELECT * FROM pg_ls_logdir()"],
        ["the write-ahead log", "SELECT * FROM pg_ls_waldir()"],
        ["a file made of a large object", "SELECT lo_export(1, '/tmp/out')"],
        ["a large object with content", "SELECT lo_from_bytea(0, 'x')"],
        [
          "the tables through XML",
          "SELECT query_to_xml('SELECT * FROM warehouse.customers', true, false, '')",
        ],
        ["the schema through XML", "SELECT schema_to_xml('warehouse', true, false, '')"],
        ["the tables through a cast", "SELECT count(*) FROM pg_catalog.pg_statistic"],
        ["a function of its own", "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"],
        ["a table of its own", "SELECT * INTO TEMPORARY t FROM settlement"],
        ["a write in an EXPLAIN", "EXPLAIN ANALYZE DELETE FROM warehouse.customers"],
        ["a lock on the view's rows", "SELECT * FROM settlement FOR UPDATE"],
        ["a lock on the view", "LOCK TABLE analytics.settlement IN ACCESS EXCLUSIVE MODE"],
        ["the server's configuration anew", "SELECT pg_reload_conf()"],
        ["a dump of memory", "SELECT pg_log_backend_memory_contexts(pg_backend_pid())"],
      ])("refuses %s: %s", async (_, statement) => {
        const error = await failure(ask(statement))
        expect(error.message).not.toContain("PAYCOMBAT_READER_URL")
        const [left] = await runSql(
          db.ownerUrl,
          "SELECT count(*)::int AS rows, count(amount)::int AS amounts FROM warehouse.customers",
        )
        expect(left).toEqual({ rows: 2, amounts: 1 })
      })

      it.live.each([
        [
          "rows of the tables' statistics",
          "SELECT * FROM pg_stats WHERE schemaname NOT LIKE 'pg\\_%' AND schemaname <> 'information_schema'",
        ],
        [
          "names of the tables' columns",
          "SELECT * FROM information_schema.columns WHERE table_schema IN ('warehouse', 'sync')",
        ],
        [
          "other sessions' statements",
          "SELECT * FROM pg_stat_activity WHERE usename <> current_user AND query <> '<insufficient privilege>'",
        ],
        [
          "other sessions' prepared statements",
          "SELECT * FROM pg_prepared_statements WHERE statement !~ 'pg_prepared_statements'",
        ],
        ["large objects", "SELECT * FROM pg_largeobject_metadata"],
      ] as const)("answers nothing about %s", ([, statement]) =>
        Effect.gen(function* () {
          yield* Effect.promise(() => runSql(db.ownerUrl, "ANALYZE warehouse.customers"))
          expect((yield* ask(statement)).rows).toEqual([])
        }),
      )

      it("cannot stop other sessions", async () => {
        const owner = postgres(Redacted.value(db.ownerUrl), { max: 1 })
        // The other session must still be the same one at the end.
        const own = await owner.begin(async tx => {
          const others =
            "SELECT pid FROM pg_stat_activity WHERE usename = 'paycombat' AND datname = current_database()"
          for (const stop of ["pg_terminate_backend", "pg_cancel_backend"])
            expect(await failure(ask(`SELECT ${stop}(pid) FROM (${others}) AS other`))).toMatchObject({
              code: "42501",
            })
          return tx`SELECT 'let me be' AS mark`
        })
        await owner.end()
        expect(own).toHaveLength(1)
      })

      it("does not let a statement raise its own limits", async () => {
        const limits = { ...QUERY_LIMITS, milliseconds: 200 }
        const statement = "SELECT set_config('statement_timeout', '0', false), pg_sleep(20)"
        expect(await failure(runQuery(db.readerUrl, statement, limits))).toMatchObject({ code: "57014" })
      })

      it("refuses an answer beyond its bounds instead of truncating it", async () => {
        const rows = runQuery(db.readerUrl, "SELECT n FROM generate_series(1, 5000) n", {
          ...QUERY_LIMITS,
          rows: 1500,
        })
        expect((await failure(rows)).message).toContain("larger than 1500 rows")
        const wide = runQuery(db.readerUrl, "SELECT repeat('x', 5000)", { ...QUERY_LIMITS, characters: 4000 })
        expect((await failure(wide)).message).toContain("4000 characters")
        const slow = runQuery(db.readerUrl, "SELECT pg_sleep(20)", { ...QUERY_LIMITS, milliseconds: 100 })
        expect(await failure(slow)).toMatchObject({ code: "57014" })
      })

      it.live("stops the statement on the server when it is interrupted", () =>
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(ask("SELECT pg_sleep(600), 'interrupt me' AS mark"))
          const running = (): Promise<ReadonlyArray<unknown>> =>
            runSql(
              db.readerUrl,
              "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%interrupt me%' AND pid <> pg_backend_pid()",
            )
          yield* Effect.promise(running).pipe(Effect.repeat({ until: rows => rows.length === 1 }))
          expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
          yield* Effect.promise(running).pipe(Effect.repeat({ until: rows => rows.length === 0 }))
        }),
      )
    })
  })

describe("a login with more rights than reading analytics is refused", () => {
  const refusal = (url: Redacted.Redacted) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(runQuery(url, "SELECT 1"))
      expect(error).toBeInstanceOf(ConfigurationError)
      expect(error.message).not.toContain(new URL(Redacted.value(url)).password)
      return error.message
    })

  it.scopedLive("the owner", () =>
    Effect.gen(function* () {
      const db = yield* testDatabase({ template: TEMPLATE })
      expect(yield* refusal(db.ownerUrl)).toMatch(
        /may create databases; is a member of pg_database_owner; may create schemas in .*; may create objects in/,
      )
    }),
  )

  it.scopedLive.each([
    [
      "a table",
      "GRANT USAGE ON SCHEMA warehouse TO paycombat_reader; GRANT SELECT ON warehouse.customers TO paycombat_reader",
      "may read warehouse.customers",
    ],
    [
      "one column",
      "GRANT USAGE ON SCHEMA warehouse TO paycombat_reader; GRANT SELECT (email) ON warehouse.customers TO paycombat_reader",
      "may read warehouse.customers",
    ],
    [
      "a write through a view",
      "GRANT UPDATE ON analytics.settlement TO paycombat_reader",
      "may change analytics.settlement",
    ],
    ["a schema", "GRANT CREATE ON SCHEMA analytics TO PUBLIC", "may create objects in schema analytics"],
    [
      "the database",
      "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO paycombat_reader', current_database()); END $$",
      "may create schemas in",
    ],
    [
      "a sequence",
      "CREATE SEQUENCE analytics.s; GRANT USAGE ON SEQUENCE analytics.s TO paycombat_reader",
      "may change analytics.s",
    ],
    [
      "its owner's rights",
      "CREATE FUNCTION analytics.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
      "analytics.f, which runs with the rights of its owner",
    ],
    [
      "a large object",
      "CREATE TABLE public.t AS SELECT 1; GRANT USAGE ON SCHEMA public TO PUBLIC; GRANT SELECT ON public.t TO PUBLIC",
      "may read public.t",
    ],
  ] as const)("%s", ([, grant, message]) =>
    Effect.gen(function* () {
      const db = yield* testDatabase({ template: TEMPLATE })
      yield* runQuery(db.readerUrl, "SELECT 1")
      yield* Effect.promise(() => runSql(db.ownerUrl, grant))
      expect(yield* refusal(db.readerUrl)).toContain(message)
    }),
  )
})

describe("rights that only a superuser can grant", () => {
  const LOGINS = {
    superuser: ["is a superuser", "ALTER ROLE superuser SUPERUSER"],
    monitor: ["is a member of pg_monitor", "GRANT pg_monitor TO monitor"],
    file_reader: [
      "may execute pg_catalog.pg_read_file",
      "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO file_reader",
    ],
    hash_reader: ["may read pg_catalog.pg_authid", "GRANT SELECT ON pg_authid TO hash_reader"],
    owner_in_waiting: [
      "may create",
      "ALTER ROLE owner_in_waiting NOINHERIT",
      "GRANT paycombat TO owner_in_waiting",
    ],
    traveller: [
      "may execute public.dblink",
      "GRANT USAGE ON SCHEMA public TO traveller",
      "CREATE EXTENSION dblink",
    ],
  } as const

  it.scopedLive("are detected, even if they need SET ROLE", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const hostBasedAuthentication = join(directory, "pg_hba.conf")
      yield* Effect.promise(() =>
        writeFile(hostBasedAuthentication, "host all all 127.0.0.1/32 scram-sha-256\n"),
      )
      const server = yield* embeddedPostgres(directory, {
        settings: { fsync: "off", hba_file: hostBasedAuthentication },
        bootstrap: [
          ...Object.keys(LOGINS).map(
            name => `CREATE ROLE ${name} LOGIN PASSWORD 'secret' IN ROLE paycombat_reader`,
          ),
          // The database was copied from template1 before these statements ran there.
          "DROP DATABASE paycombat",
          ...Object.values(LOGINS).flatMap(([, ...statements]) => statements),
          "CREATE DATABASE paycombat OWNER paycombat",
        ],
      })
      for (const [name, [message]] of Object.entries(LOGINS)) {
        const url = Redacted.make(`postgres://${name}:secret@127.0.0.1:${server.port}/paycombat`)
        const error = yield* Effect.flip(runQuery(url, "SELECT 1"))
        expect(error, name).toBeInstanceOf(ConfigurationError)
        expect(error.message, name).toContain(message)
      }
    }),
  )
})

describe("a reader's URL that does not work is a configuration error", () => {
  const db = databaseForFile()

  const cases: ReadonlyArray<readonly [what: string, url: () => string, message: string]> = [
    ["no URL", () => "nonsense", "PAYCOMBAT_READER_URL must be a postgres://"],
    ["a wrong password", () => good().replace(/:[^:@]*@/, ":hunter2@"), "let the reader's login in (28P01)"],
    ["no such database", () => good().replace(/[^/]*$/, "elsewhere"), "(3D000)"],
    ["no views yet", () => good(), "migrate"],
  ]
  const good = () => Redacted.value(db.readerUrl)

  it.live.each(cases)("%s", ([, url, message]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(runQuery(Redacted.make(url()), "SELECT 1"))
      expect(error).toBeInstanceOf(ConfigurationError)
      expect(error.message).toContain(message)
      expect(error.message).not.toContain("hunter2")
    }),
  )

  it.live("a server that does not answer is a warehouse error", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(runQuery(Redacted.make("postgres://a:b@127.0.0.1:1/c"), "SELECT 1"))
      expect(error).toMatchObject({ _tag: "WarehouseError", code: "ECONNREFUSED" })
    }),
  )
})
