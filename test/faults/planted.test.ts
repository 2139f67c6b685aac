import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { start } from "../../src/sandbox/sandbox.ts"
import { type Cli, cli, sandboxEnvironment } from "../support/cli.ts"
import { type GivenServer, givenServer } from "../support/givenServer.ts"
import { runSql, temporaryDirectory } from "../support/postgres.ts"
import { postgresProxy } from "../support/postgresProxy.ts"
import { SMALL } from "../support/warehouse.ts"

/**
 * Operators and functions that the reader's login creates, on the oldest Postgres, where every login may create in schema
 * `public`. Each grants the warehouse to the reader as soon as the owner runs it.
 */

/**
 * For each operator and each pair of types that Postgres itself has no such operator for; and for each function that
 * Postgres only has for any type, or for any number of values. Those of this login match better than Postgres' own.
 */
const PLANT = `
BEGIN READ WRITE;
CREATE FUNCTION public.take() RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    IF current_user = 'given_paycombat' THEN
      EXECUTE 'GRANT USAGE ON SCHEMA warehouse TO given_paycombat_query';
    END IF;
  END $$;
DO $$
  DECLARE operator record; made record;
  BEGIN
    FOR operator IN
      SELECT o.name, l.type AS l, r.type AS r, row_number() OVER () AS number
      FROM unnest('{=,<>,<,<=,>,>=,+,-,*,/,||,->>}'::text[]) o (name),
        unnest('{text,varchar,name,int4,int8,float8,numeric,bool,timestamptz,date,interval,jsonb}'::text[]) l (type),
        unnest('{text,varchar,name,int4,int8,float8,numeric,bool,timestamptz,date,interval,jsonb}'::text[]) r (type)
      WHERE NOT EXISTS (SELECT FROM pg_operator WHERE oprname = o.name
        AND oprleft = l.type::regtype AND oprright = r.type::regtype)
    LOOP
      EXECUTE format('CREATE FUNCTION public.operate%4$s(%1$s, %2$s) RETURNS %3$s LANGUAGE plpgsql AS
        ''BEGIN PERFORM public.take(); RETURN NULL; END''', operator.l, operator.r,
        CASE WHEN operator.name IN ('+', '-', '*', '/') THEN operator.l
          WHEN operator.name IN ('||', '->>') THEN 'text' ELSE 'bool' END, operator.number);
      EXECUTE format('CREATE OPERATOR public.%1$s (LEFTARG = %2$s, RIGHTARG = %3$s, FUNCTION = public.operate%4$s)',
        operator.name, operator.l, operator.r, operator.number);
    END LOOP;
    FOR made IN
      SELECT f.name, t.type
      FROM unnest('{count,to_jsonb,array_agg,format,concat,jsonb_build_object,num_nulls,unnest,array_length}'::text[]) f (name),
        unnest('{text,uuid,int4,int8,numeric,timestamptz,jsonb,"text,text","text,int4","text[]"}'::text[]) t (type)
    LOOP
      EXECUTE format('CREATE FUNCTION public.%1$s(%2$s) RETURNS text LANGUAGE plpgsql AS
        ''BEGIN PERFORM public.take(); RETURN NULL; END''', made.name, made.type);
    END LOOP;
    CREATE FUNCTION public.now(text DEFAULT NULL) RETURNS timestamptz LANGUAGE plpgsql AS
      'BEGIN PERFORM public.take(); RETURN NULL; END';
  END $$;
COMMIT`

const GRANT_PUBLIC = "GRANT CREATE ON SCHEMA public TO PUBLIC"
const REVOKE_PUBLIC = "REVOKE CREATE ON SCHEMA public FROM PUBLIC"

const as = (url: Redacted.Redacted, statements: string) => Effect.promise(() => runSql(url, statements))

/** A migrated warehouse whose owner finds what the reader planted in its path. */
const planted = (server: GivenServer, program: Cli) =>
  Effect.gen(function* () {
    const migrated = yield* program.run(["migrate"])
    expect(migrated.code, migrated.stderr).toBe(0)
    // As a server that was set up by an earlier version of the script.
    yield* as(server.adminUrl, "ALTER ROLE given_paycombat IN DATABASE given_warehouse RESET search_path")
    yield* as(server.adminUrl, GRANT_PUBLIC)
    yield* as(server.readerUrl, PLANT)
  })

/** The reader's login holds what it was granted, by the planted functions or otherwise. */
const hasTaken = (server: GivenServer) =>
  Effect.map(
    as(server.readerUrl, "SELECT has_schema_privilege('warehouse', 'USAGE') AS taken"),
    ([row]) => row!.taken,
  )

describe("a function that a reader plants in the path of the owner", () => {
  it.scopedLive(
    "is run by no command, and is found by the first statement of a client that does not pin its path",
    () =>
      Effect.gen(function* () {
        const server = yield* givenServer("14")
        const sandbox = yield* start(SMALL)
        const directory = yield* temporaryDirectory
        const program = yield* cli({
          ...sandboxEnvironment(sandbox),
          DATABASE_URL: Redacted.value(server.ownerUrl),
          PAYCOMBAT_READER_URL: Redacted.value(server.readerUrl),
        })
        yield* planted(server, program)
        const customer = [...sandbox.truth.ids("customers")][0]!
        const commands = [
          ["sync"],
          ["status"],
          ["rebuild"],
          ["rejects", "replay"],
          ["database", "backup", `${directory}/backup.gz`],
          ["erase", "--customer", customer, "--yes"],
          ["sync", "--full"],
        ]
        for (const command of commands) {
          const ended = yield* program.run(command)
          expect([command, ended.code, ended.stderr]).toEqual([command, 0, expect.anything()])
          expect([command, yield* hasTaken(server)]).toEqual([command, false])
        }
        yield* as(server.ownerUrl, "SELECT 2::float8 * 3::int4")
        expect(yield* hasTaken(server)).toBe(true)
      }),
    120_000,
  )

  it.scopedLive(
    "is run by no command behind a transaction-pooling proxy",
    () =>
      Effect.gen(function* () {
        const server = yield* givenServer("14")
        const sandbox = yield* start(SMALL)
        const { ownerUrl, readerUrl } = server
        const proxy = yield* postgresProxy(ownerUrl, { pool: { size: 3, logins: [ownerUrl, readerUrl] } })
        const program = yield* cli({
          ...sandboxEnvironment(sandbox),
          DATABASE_URL: Redacted.value(proxy.through(ownerUrl)),
          PAYCOMBAT_READER_URL: Redacted.value(proxy.through(readerUrl)),
        })
        yield* planted(server, program)
        for (const command of ["sync", "status", "rebuild"]) {
          expect([command, (yield* program.run([command])).code]).toEqual([command, 0])
          expect([command, yield* hasTaken(server)]).toEqual([command, false])
        }
      }),
    120_000,
  )
})

describe("a database in which others may create", () => {
  it.scopedLive(
    "is refused by migrate and doctor, which name the schema and the command that ends it",
    () =>
      Effect.gen(function* () {
        const server = yield* givenServer("14")
        const program = yield* cli({ DATABASE_URL: Redacted.value(server.ownerUrl) })
        const refused = (statement: string, commands = [["migrate", "--check"]]) =>
          Effect.gen(function* () {
            for (const command of commands) {
              const ended = yield* program.run(command)
              expect([command, ended.code, ended.stderr]).toEqual([
                command,
                2,
                expect.stringContaining(statement),
              ])
            }
          })
        const right = "CREATE ON SCHEMA"
        // The script leaves schema public to the server's administrator.
        expect((yield* program.run(["migrate"])).code).toBe(0)
        yield* as(server.adminUrl, "ALTER ROLE given_paycombat IN DATABASE given_warehouse RESET search_path")
        yield* as(server.adminUrl, GRANT_PUBLIC)
        yield* refused(REVOKE_PUBLIC, [["migrate"], ["migrate", "--check"]])
        expect((yield* program.run(["doctor"])).stdout).toMatch(new RegExp(`✖.*${REVOKE_PUBLIC}`))
        yield* as(server.adminUrl, REVOKE_PUBLIC)
        yield* as(server.ownerUrl, `GRANT ${right} analytics TO paycombat_reader`)
        yield* refused(`REVOKE ${right} analytics FROM paycombat_reader`)
        yield* as(server.ownerUrl, `REVOKE ${right} analytics FROM paycombat_reader`)
        yield* as(server.ownerUrl, "GRANT TRIGGER ON warehouse.payouts TO paycombat_reader")
        yield* refused("REVOKE TRIGGER ON ALL TABLES IN SCHEMA warehouse FROM paycombat_reader")
        yield* as(server.ownerUrl, "REVOKE TRIGGER ON warehouse.payouts FROM paycombat_reader")
        const SCHEMA = 'CREATE SCHEMA "Team" AUTHORIZATION given_paycombat_query'
        yield* as(
          server.adminUrl,
          `${SCHEMA}; ALTER ROLE given_paycombat IN DATABASE given_warehouse SET search_path = "Team", public;
           GRANT USAGE ON SCHEMA "Team" TO given_paycombat`,
        )
        yield* refused('ALTER SCHEMA "Team" OWNER TO')
      }),
    120_000,
  )
})
