import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { ConfigurationError, WarehouseError } from "../../src/core/errors.ts"
import { connect } from "../../src/postgres/connect.ts"
import { migrate, pendingMigrations } from "../../src/warehouse/schema/migrator.ts"
import { type PostgresVersion, testDatabase } from "../support/postgres.ts"
import { slow, slowUnless } from "../support/slow.ts"
import { testWarehouse } from "../support/warehouse.ts"
import { identities, laterVersion, run, touched } from "./support.ts"

/** Together: one of them waits for a lock that it does not get, as long as a migration does. */
for (const version of ["18", "14"] as const) slowUnless(version === "18", () => refusesOn(version))

function refusesOn(version: PostgresVersion) {
  describe.concurrent(`a migration that must not go on on Postgres ${version}`, () => {
    const warehouse = testWarehouse(version)

    it.scopedLive.each([
      {
        kind: "view",
        statement: "CREATE VIEW mine.report AS SELECT lag FROM analytics.freshness",
        name: "mine.report",
      },
      {
        kind: "materialized view",
        statement: "CREATE MATERIALIZED VIEW mine.copy AS SELECT lag FROM analytics.freshness",
        name: "mine.copy",
      },
      {
        kind: "view in analytics",
        statement: "CREATE VIEW analytics.mine AS SELECT lag FROM analytics.freshness",
        name: "analytics.mine",
      },
      {
        kind: "function",
        statement:
          "CREATE FUNCTION mine.all() RETURNS SETOF analytics.freshness LANGUAGE sql AS 'TABLE analytics.freshness'",
        name: "function mine",
      },
      {
        kind: "rule",
        statement: "CREATE RULE keep AS ON DELETE TO analytics.freshness DO INSTEAD NOTHING",
        name: "rule keep on view analytics.freshness",
      },
      {
        kind: "column of the view's type",
        statement: "CREATE TABLE mine.kept (row analytics.freshness)",
        name: "mine.kept",
      },
    ])("names another role's $kind that needs a view, and changes nothing", ({ statement, name }) =>
      Effect.gen(function* () {
        const sql = yield* warehouse
        const later = yield* laterVersion
        yield* run(sql, `CREATE SCHEMA mine; ${statement}`)
        const before = yield* identities(sql)
        // A view without dependents is no obstacle.
        yield* Effect.promise(() => later.editView("payout_daily", touched))
        expect((yield* migrate(sql, later)).views).toEqual(["payout_daily"])
        yield* Effect.promise(() => later.editView("checkout_daily", touched))
        yield* Effect.promise(() => later.editView("freshness", touched))
        const error = yield* Effect.flip(migrate(sql, later))
        expect(error).toBeInstanceOf(ConfigurationError)
        expect(error.message).toContain(name)
        expect(yield* identities(sql)).toMatchObject({
          freshness: before.freshness,
          checkout_daily: before.checkout_daily,
        })
      }),
    )

    it.scopedLive("refuses a database that a newer version migrated", () =>
      Effect.gen(function* () {
        const sql = yield* warehouse
        const later = yield* laterVersion
        yield* Effect.promise(() => later.addMigration("9000_later", "SELECT 1"))
        yield* migrate(sql, later)
        const errors = [yield* Effect.flip(migrate(sql)), yield* Effect.flip(pendingMigrations(sql))]
        for (const error of errors) {
          expect(error).toBeInstanceOf(ConfigurationError)
          expect(error.message).toContain("update the program")
        }
      }),
    )

    it.scopedLive.each([
      { what: "the warehouse", statement: "CREATE SCHEMA warehouse", name: "warehouse" },
      { what: "the schema of the views", statement: "CREATE SCHEMA analytics", name: "analytics" },
    ])("refuses a database where $what belongs to another program", ({ statement, name }) =>
      Effect.gen(function* () {
        const sql = yield* connect((yield* testDatabase({ version })).ownerUrl)
        yield* run(sql, statement)
        const error = yield* Effect.flip(migrate(sql))
        expect(error).toBeInstanceOf(ConfigurationError)
        expect(error.message).toContain(name)
        expect(error.message).toContain("a database of its own")
      }),
    )

    it.scopedLive("refuses to replace another owner's view in analytics", () =>
      Effect.gen(function* () {
        const sql = yield* warehouse
        const later = yield* laterVersion
        yield* run(sql, "CREATE VIEW analytics.later AS SELECT 1 AS one")
        yield* Effect.promise(() =>
          later.editView("later", () => "CREATE VIEW analytics.later AS SELECT 2 AS one"),
        )
        const error = yield* Effect.flip(migrate(sql, later))
        expect(error).toBeInstanceOf(ConfigurationError)
        expect(error.message).toContain("analytics.later")
      }),
    )

    it.scopedLive("refuses a login without the rights, and says which", () =>
      Effect.gen(function* () {
        const empty = yield* testDatabase({ version })
        const noRight = yield* Effect.flip(migrate(yield* connect(empty.readerUrl)))
        expect(noRight).toBeInstanceOf(ConfigurationError)
        expect(noRight.message).toMatch(/CREATE on the database|nothing can be written/)
        yield* migrate(yield* connect(empty.ownerUrl))
        const notOwner = yield* Effect.flip(migrate(yield* connect(empty.readerUrl)))
        expect(notOwner).toBeInstanceOf(ConfigurationError)
        expect(notOwner.message).toMatch(/owns the warehouse|run migrate as paycombat/)
      }),
    )

    slow(() => {
      it.scopedLive("gives up behind a query that holds a view, and names its session", () =>
        Effect.gen(function* () {
          const database = yield* testDatabase({ version })
          const sql = yield* connect(database.ownerUrl)
          const dashboard = yield* connect(database.ownerUrl)
          yield* migrate(sql)
          const later = yield* laterVersion
          yield* Effect.promise(() => later.editView("freshness", touched))
          const session = yield* Effect.acquireRelease(
            Effect.promise(() => dashboard.reserve()),
            reserved => Effect.sync(() => reserved.release()),
          )
          const [row] = yield* Effect.promise(async () => {
            await session`BEGIN`
            await session`SELECT * FROM analytics.freshness`
            return session<Array<{ pid: string }>>`SELECT pg_backend_pid()::text AS pid`
          })
          const error = yield* Effect.flip(migrate(sql, later))
          expect(error).toBeInstanceOf(WarehouseError)
          expect(error.message).toContain(`session ${row?.pid} of paycombat`)
          yield* Effect.promise(() => session`COMMIT`)
          expect((yield* migrate(sql, later)).views).toEqual(["freshness"])
        }),
      )
    })
  })
}
