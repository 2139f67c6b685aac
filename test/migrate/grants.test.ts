import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import type postgres from "postgres"
import { connect } from "../../src/postgres/connect.ts"
import { embeddedPostgres } from "../../src/postgres/embedded/embeddedPostgres.ts"
import { migrate, pendingMigrations } from "../../src/warehouse/schema/migrator.ts"
import { type PostgresVersion, resolveFrom, runSql, temporaryDirectory } from "../support/postgres.ts"
import { slowUnless } from "../support/slow.ts"
import { printed, testWarehouse } from "../support/warehouse.ts"
import { identities, laterVersion, run, touched, UP_TO_DATE } from "./support.ts"

/** Rights of others than the owner, as text. */
const grants = (sql: postgres.Sql, view: string) =>
  Effect.promise(async () => {
    const rows = await sql<Array<{ held: string }>>`
      SELECT concat_ws(' ', acl.privilege_type, item.column_name,
        CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END, acl.is_grantable) AS held
      FROM pg_class c
      CROSS JOIN LATERAL (
        SELECT NULL AS column_name, c.relacl AS list
        UNION ALL SELECT attname, attacl FROM pg_attribute WHERE attrelid = c.oid
      ) item
      CROSS JOIN LATERAL aclexplode(item.list) acl
      WHERE c.oid = ${`analytics.${view}`}::regclass AND acl.grantee <> c.relowner ORDER BY 1`
    return rows.map(row => row.held)
  })

for (const given of ["18", "14"] as const)
  slowUnless(given === "18", () => {
    describe.each<PostgresVersion>([given])("rights on views on Postgres %s", version => {
      const warehouse = testWarehouse(version)

      it.scopedLive("gives re-created views the rights they had, no more and no less", () =>
        Effect.gen(function* () {
          const sql = yield* warehouse
          const later = yield* laterVersion
          yield* run(
            sql,
            `ALTER DEFAULT PRIVILEGES IN SCHEMA analytics GRANT SELECT ON TABLES TO paycombat_query;
         GRANT SELECT ON analytics.kyc_gap TO paycombat_query WITH GRANT OPTION;
         GRANT SELECT ON analytics.kyc_gap_field TO PUBLIC;
         GRANT SELECT (customer_id, reason) ON analytics.kyc_gap TO PUBLIC`,
          )
          const before = [yield* grants(sql, "kyc_gap"), yield* grants(sql, "kyc_gap_field")]
          expect(before[0]).toContain("SELECT paycombat_query t")
          expect(before[0]).toContain("SELECT reason PUBLIC f")
          yield* Effect.promise(() => later.editView("kyc_gap", touched))
          expect((yield* migrate(sql, later)).notes).toEqual([])
          expect([yield* grants(sql, "kyc_gap"), yield* grants(sql, "kyc_gap_field")]).toEqual(before)
        }),
      )

      it.scopedLive("names the rights on a column or view that is gone", () =>
        Effect.gen(function* () {
          const sql = yield* warehouse
          const later = yield* laterVersion
          yield* run(
            sql,
            `GRANT SELECT (lag) ON analytics.freshness TO PUBLIC; GRANT SELECT ON analytics.checkout_daily TO PUBLIC`,
          )
          yield* Effect.promise(() => later.editView("freshness", text => text.replaceAll(/\blag\b/g, "age")))
          yield* Effect.promise(() => later.removeView("checkout_daily"))
          expect((yield* pendingMigrations(sql, later)).views).toEqual(["freshness", "checkout_daily"])
          const { views, notes } = yield* migrate(sql, later)
          expect(views).toEqual(["freshness"])
          expect(notes).toContain("PUBLIC had a right on analytics.freshness, column lag, which is no more")
          expect(notes).toContain("PUBLIC had a right on analytics.checkout_daily, which is no more")
          expect(yield* identities(sql)).not.toHaveProperty("checkout_daily")
          expect(yield* migrate(sql, later)).toEqual(UP_TO_DATE)
        }),
      )

      it.scopedLive("that were revoked from the reader role are found by a check, and granted again", () =>
        Effect.gen(function* () {
          const sql = yield* warehouse
          yield* run(sql, "REVOKE SELECT ON analytics.kyc_gap, analytics.freshness FROM paycombat_reader")
          expect(yield* pendingMigrations(sql)).toEqual({
            migrations: [],
            views: [],
            grants: ["freshness", "kyc_gap"],
          })
          expect((yield* migrate(sql)).notes).toEqual([])
          expect((yield* pendingMigrations(sql)).grants).toEqual([])
          yield* run(sql, "REVOKE USAGE ON SCHEMA analytics FROM paycombat_reader")
          expect((yield* pendingMigrations(sql)).grants).toContain("settlement")
          yield* migrate(sql)
          expect((yield* pendingMigrations(sql)).grants).toEqual([])
        }),
      )

      it.scopedLive("keeps rights through a migration that must drop views", () =>
        Effect.gen(function* () {
          const sql = yield* warehouse
          const later = yield* laterVersion
          yield* run(sql, "GRANT SELECT ON analytics.payout_daily TO PUBLIC")
          const before = yield* grants(sql, "payout_daily")
          yield* Effect.promise(() =>
            later.addMigration("9000_status", "ALTER TABLE warehouse.payouts ALTER status TYPE varchar(60)"),
          )
          expect((yield* migrate(sql, later)).views).toContain("payout_daily")
          expect(yield* grants(sql, "payout_daily")).toEqual(before)
        }),
      )

      it.scopedLive(
        "belong to one role, for every migrating login; the reader role is created if that is allowed",
        () =>
          Effect.gen(function* () {
            // A server of its own: roles belong to the server, and here the reader role must be missing.
            const { ownerUrl } = yield* embeddedPostgres(yield* temporaryDirectory, {
              resolveFrom: resolveFrom(version),
              settings: { fsync: "off" },
              bootstrap: [
                "ALTER ROLE paycombat_reader RENAME TO other_reader",
                "ALTER ROLE paycombat CREATEROLE CREATEDB",
                "CREATE ROLE merchant",
                "GRANT merchant TO paycombat",
                // As Postgres has it; of databases made from here on.
                "GRANT EXECUTE ON FUNCTION pg_advisory_xact_lock(bigint) TO PUBLIC",
              ],
            })
            for (const statement of [
              "CREATE DATABASE shop",
              "GRANT CREATE, CONNECT ON DATABASE shop TO merchant",
            ])
              yield* Effect.promise(() => runSql(ownerUrl, statement))
            const shop = Redacted.make(Redacted.value(ownerUrl).replace(/\/paycombat$/, "/shop"))
            const later = yield* laterVersion
            const sql = yield* connect(shop)
            // A role's setting holds for its new sessions.
            yield* run(sql, "ALTER ROLE paycombat IN DATABASE shop SET role = 'merchant'")
            const merchant = yield* connect(shop)
            const first = yield* migrate(merchant)
            expect(first.notes).toEqual([expect.stringContaining("CREATE ROLE paycombat_reader NOLOGIN")])

            yield* Effect.promise(() =>
              later.addMigration("9000_more", "CREATE TABLE warehouse.more (id text)"),
            )
            yield* Effect.promise(() => later.editView("freshness", touched))
            expect(yield* migrate(sql, later)).toEqual({
              applied: ["9000_more"],
              views: ["freshness"],
              notes: [],
            })
            const owners = yield* printed(
              sql,
              `SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class
         WHERE relnamespace IN ('warehouse'::regnamespace, 'analytics'::regnamespace)`,
            )
            expect(owners).toEqual([{ owner: "merchant" }])
            const rights = yield* printed(
              sql,
              `SELECT has_schema_privilege('paycombat_reader', 'analytics', 'USAGE') AS enters,
           bool_and(has_table_privilege('paycombat_reader', format('analytics.%I', name), 'SELECT')) AS reads
         FROM sync.views`,
            )
            expect(rights).toEqual([{ enters: "true", reads: "true" }])

            yield* run(
              merchant,
              "GRANT USAGE ON SCHEMA sync TO PUBLIC; GRANT SELECT ON sync.rejects TO PUBLIC",
            )
            expect((yield* migrate(merchant, later)).notes).toEqual([
              expect.stringContaining("paycombat_reader can also read sync.rejects"),
            ])
          }),
      )
    })
  })
