import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { connect } from "../../src/postgres/connect.ts"
import { interferences } from "../../src/postgres/interference.ts"
import { start } from "../../src/sandbox/sandbox.ts"
import { cli, sandboxEnvironment } from "../support/cli.ts"
import { givenServer } from "../support/givenServer.ts"
import { runSql } from "../support/postgres.ts"
import { SMALL } from "../support/warehouse.ts"

/** Code that a reader puts where the owner's statements run it, and rights that would let it. */

const OWNER = "given_paycombat"
const READER = "given_paycombat_query"
/** Longest time that the look at the catalogue may take in each transaction, on a slow machine. */
const LOOK_MILLIS_MAX = 10
const LOOKS = 20

const as = (url: Redacted.Redacted, statements: string) => Effect.promise(() => runSql(url, statements))

const setup = Effect.gen(function* () {
  const server = yield* givenServer("18")
  const sandbox = yield* start(SMALL)
  const program = yield* cli({
    ...sandboxEnvironment(sandbox),
    DATABASE_URL: Redacted.value(server.ownerUrl),
    PAYCOMBAT_READER_URL: Redacted.value(server.readerUrl),
  })
  return { server, ...program }
})

/** The commands among what was printed that undo what is wrong. */
const remediesOf = (text: string, command: RegExp) => text.match(new RegExp(command, "g")) ?? []

describe("default privileges that give others rights on new objects", () => {
  it.scopedLive(
    "are refused with the commands that undo them, and nothing is made",
    () =>
      Effect.gen(function* () {
        const { server, run } = yield* setup
        for (const granted of [
          "ALL ON SCHEMAS TO PUBLIC;ALL ON TABLES TO PUBLIC",
          "SELECT, TRIGGER ON TABLES TO paycombat_reader;USAGE ON SCHEMAS TO paycombat_reader",
          `SELECT ON TABLES TO ${READER};USAGE ON SCHEMAS TO PUBLIC`,
        ]) {
          for (const part of granted.split(";"))
            yield* as(server.ownerUrl, `ALTER DEFAULT PRIVILEGES FOR ROLE ${OWNER} GRANT ${part}`)
          const refused = yield* run(["migrate"])
          expect([granted, refused.code]).toEqual([granted, 2])
          const [made] = yield* as(server.ownerUrl, "SELECT to_regnamespace('sync') AS made")
          expect(made!.made).toBe(null)
          for (const remedy of remediesOf(refused.stderr, /ALTER DEFAULT PRIVILEGES [^;.]*?FROM \w+/))
            yield* as(server.ownerUrl, remedy)
          expect([granted, (yield* run(["migrate", "--check"])).stderr]).toEqual([
            granted,
            expect.not.stringContaining("DEFAULT PRIVILEGES"),
          ])
        }
        yield* as(
          server.ownerUrl,
          `ALTER DEFAULT PRIVILEGES FOR ROLE ${OWNER} REVOKE ALL ON SCHEMAS FROM PUBLIC`,
        )
        const migrated = yield* run(["migrate"])
        expect(migrated.code, migrated.stderr).toBe(0)
      }),
    200_000,
  )
})

describe("code of a role without the owner's rights", () => {
  it.scopedLive(
    "is not run by sync from a trigger, which is named with the command that removes it; an administrator's audit goes on",
    () =>
      Effect.gen(function* () {
        const { server, run } = yield* setup
        expect((yield* run(["migrate"])).code).toBe(0)
        yield* as(
          server.adminUrl,
          `CREATE TABLE public.audit (what text); GRANT INSERT ON public.audit TO ${OWNER};
           CREATE FUNCTION public.audit() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO public.audit VALUES (TG_TABLE_NAME); RETURN NULL; END';
           GRANT CREATE ON SCHEMA public TO ${READER};
           CREATE TRIGGER audit AFTER INSERT ON sync.runs FOR EACH STATEMENT EXECUTE FUNCTION public.audit()`,
        )
        expect((yield* run(["sync"])).code).toBe(0)
        expect(yield* as(server.adminUrl, "SELECT count(*)::int AS n FROM public.audit")).toEqual([{ n: 1 }])

        const hasTaken = Effect.map(
          as(server.adminUrl, `SELECT pg_has_role('${READER}', '${OWNER}', 'MEMBER') AS taken`),
          ([row]) => row!.taken,
        )
        for (const [table, when] of [
          ["sync.runs", "AFTER INSERT ON sync.runs FOR EACH STATEMENT"],
          ["sync.leases", "AFTER INSERT OR UPDATE ON sync.leases FOR EACH ROW"],
          ["warehouse.customers", "AFTER INSERT OR UPDATE ON warehouse.customers FOR EACH ROW"],
          ["sync.stream_runs", "BEFORE UPDATE ON sync.stream_runs FOR EACH STATEMENT"],
        ] as const) {
          yield* as(
            server.ownerUrl,
            `GRANT USAGE ON SCHEMA sync, warehouse TO ${READER}; GRANT TRIGGER ON ${table} TO ${READER}`,
          )
          yield* as(
            server.readerUrl,
            `BEGIN READ WRITE;
             CREATE OR REPLACE FUNCTION public.take() RETURNS trigger LANGUAGE plpgsql AS
               'BEGIN IF current_user = ''${OWNER}'' THEN GRANT ${OWNER} TO ${READER}; END IF; RETURN NULL; END';
             CREATE TRIGGER "Take it" ${when} EXECUTE FUNCTION public.take(); COMMIT`,
          )
          yield* as(
            server.ownerUrl,
            `REVOKE TRIGGER ON ${table} FROM ${READER}; REVOKE USAGE ON SCHEMA sync, warehouse FROM ${READER}`,
          )
          const remedy = `DROP TRIGGER "Take it" ON ${table}`
          const synced = yield* run(["sync", "--full"])
          expect([table, synced.code]).toEqual([table, 1])
          expect(`${synced.stdout}${synced.stderr}`).toContain(remedy)
          expect([table, yield* hasTaken]).toEqual([table, false])
          const migrated = yield* run(["migrate"])
          expect([migrated.code, migrated.stderr]).toEqual([2, expect.stringContaining(remedy)])
          expect((yield* run(["doctor"])).stdout).toContain(remedy)
          yield* as(server.ownerUrl, remedy)
        }
        expect((yield* run(["sync"])).code).toBe(0)
      }),
    300_000,
  )

  it.scopedLive(
    "is refused by migrate in a default, a check, an index, a domain, an operator, a function or a view",
    () =>
      Effect.gen(function* () {
        const { server, run } = yield* setup
        expect((yield* run(["migrate"])).code).toBe(0)
        yield* as(
          server.adminUrl,
          `CREATE FUNCTION public.same(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1';
           ALTER FUNCTION public.same(text) OWNER TO ${READER};
           CREATE DOMAIN public.word AS text; ALTER DOMAIN public.word OWNER TO ${READER};
           GRANT USAGE ON SCHEMA public TO ${OWNER}`,
        )
        for (const [planted, words, removal] of [
          [
            "ALTER TABLE warehouse.payouts ADD COLUMN extra text DEFAULT public.same('x')",
            "warehouse.payouts uses function public.same(text)",
            "ALTER TABLE warehouse.payouts DROP COLUMN extra",
          ],
          [
            "ALTER TABLE sync.runs ADD CONSTRAINT extra CHECK (public.same(host) <> '')",
            "sync.runs uses function public.same(text)",
            "ALTER TABLE sync.runs DROP CONSTRAINT extra",
          ],
          [
            "CREATE INDEX extra ON warehouse.payouts (public.same(payout_id))",
            "warehouse.payouts uses function public.same(text)",
            "DROP INDEX warehouse.extra",
          ],
          [
            "ALTER TABLE warehouse.payouts ADD COLUMN extra public.word",
            "warehouse.payouts uses type public.word",
            "ALTER TABLE warehouse.payouts DROP COLUMN extra",
          ],
          [
            `CREATE FUNCTION analytics.extra(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
             ALTER FUNCTION analytics.extra(text) OWNER TO ${READER}`,
            "DROP FUNCTION analytics.extra(text) CASCADE",
            "DROP FUNCTION analytics.extra(text)",
          ],
          [
            `CREATE OPERATOR sync.### (LEFTARG = text, FUNCTION = public.same); ALTER OPERATOR sync.### (NONE, text) OWNER TO ${READER}`,
            "DROP OPERATOR sync.###",
            "DROP OPERATOR sync.### (NONE, text)",
          ],
          [
            `CREATE VIEW analytics.extra AS SELECT 1 AS one; ALTER VIEW analytics.extra OWNER TO ${READER}`,
            "DROP VIEW analytics.extra",
            "DROP VIEW analytics.extra",
          ],
        ] as const) {
          yield* as(server.adminUrl, planted.replace("LEFTARG = text", "RIGHTARG = text"))
          const refused = yield* run(["migrate"])
          expect([planted, refused.code, refused.stderr]).toEqual([
            planted,
            2,
            expect.stringContaining(words),
          ])
          yield* as(server.adminUrl, removal)
        }
        const migrated = yield* run(["migrate"])
        expect(migrated.code, migrated.stderr).toBe(0)
      }),
    200_000,
  )

  it.scopedLive(
    "is looked for in each transaction in less than a millisecond, on a quiet machine",
    () =>
      Effect.gen(function* () {
        const { server, run } = yield* setup
        expect((yield* run(["migrate"])).code).toBe(0)
        const sql = yield* connect(server.ownerUrl)
        const millis = yield* Effect.promise(() =>
          sql.begin(async tx => {
            await interferences(tx)
            const from = performance.now()
            for (let look = 0; look < LOOKS; look++) await interferences(tx)
            return (performance.now() - from) / LOOKS
          }),
        )
        expect(millis).toBeLessThan(LOOK_MILLIS_MAX)
      }),
    60_000,
  )
})
