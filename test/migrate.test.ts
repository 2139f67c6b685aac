import { readdir } from "node:fs/promises"
import { basename } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { WarehouseError } from "../src/core/errors.ts"
import { connect } from "../src/postgres/connect.ts"
import { migrate, PACKAGED, pendingMigrations } from "../src/warehouse/schema/migrator.ts"
import { identities, laterVersion, run, touched, UP_TO_DATE } from "./migrate/support.ts"
import { type PostgresVersion, testDatabase } from "./support/postgres.ts"
import { testWarehouse } from "./support/warehouse.ts"

const NOTHING = { migrations: [], views: [], grants: [] }

describe.each<PostgresVersion>(["18", "14"])("migrate on Postgres %s", version => {
  const warehouse = testWarehouse(version)

  it.scopedLive("brings an empty database up to date, once", () =>
    Effect.gen(function* () {
      const sql = yield* connect((yield* testDatabase({ version })).ownerUrl)
      const files = (yield* Effect.promise(() => readdir(PACKAGED.views, { recursive: true })))
        .filter(file => file.endsWith(".sql"))
        .map(file => basename(file, ".sql"))
      const pending = yield* pendingMigrations(sql)
      const report = yield* migrate(sql)
      expect(report.applied).toContain("0000_warehouse")
      expect([...report.views].sort()).toEqual(files.sort())
      expect(pending).toEqual({ migrations: report.applied, views: report.views, grants: [] })
      expect(report.notes).toEqual([])
      const before = yield* identities(sql)
      expect(yield* pendingMigrations(sql)).toEqual(NOTHING)
      expect(yield* migrate(sql)).toEqual(UP_TO_DATE)
      expect(yield* identities(sql)).toEqual(before)
    }),
  )

  it.scopedLive("queues two migrators: one does the work, the other finds it done", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase({ version })
      const both = [yield* connect(ownerUrl), yield* connect(ownerUrl)]
      const reports = yield* Effect.all(
        both.map(sql => migrate(sql)),
        { concurrency: 2 },
      )
      expect(reports.map(report => report.applied.length > 0).sort()).toEqual([false, true])
      expect(reports).toContainEqual(UP_TO_DATE)
    }),
  )

  it.scopedLive("re-creates a changed view and ours on top of it, and no other", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const later = yield* laterVersion
      const before = yield* identities(sql)
      yield* Effect.promise(() => later.editView("kyc_gap", touched))
      expect((yield* pendingMigrations(sql, later)).views).toHaveLength(5)
      const report = yield* migrate(sql, later)
      expect(report.views).toEqual([
        "kyc_gap",
        "kyc_ageing",
        "kyc_gap_field",
        "kyc_gap_summary",
        "kyc_gap_volume",
      ])
      const after = yield* identities(sql)
      const changed = Object.keys(after).filter(name => after[name] !== before[name])
      expect(changed.sort()).toEqual([...report.views].sort())
      expect(yield* migrate(sql, later)).toEqual(UP_TO_DATE)
    }),
  )

  it.scopedLive("re-creates a view that was dropped or altered by hand", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      yield* run(
        sql,
        `DROP VIEW analytics.payout_daily;
         CREATE OR REPLACE VIEW analytics.kyc_gap_history AS
           SELECT account, customer_id, is_wallet_ready, missing_fields, valid_from, valid_to, NULL::timestamptz AS removed_at,
             NULL::text AS customer_type, NULL::boolean AS is_active FROM warehouse.wallet_readiness_history`,
      )
      const damaged = ["kyc_gap_history", "payout_daily"]
      expect(yield* pendingMigrations(sql)).toEqual({ ...NOTHING, views: damaged })
      expect(yield* migrate(sql)).toEqual({ applied: [], views: damaged, notes: [] })
      expect(yield* pendingMigrations(sql)).toEqual(NOTHING)
    }),
  )

  it.scopedLive("brings back the schema of the views with all of them", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const before = Object.keys(yield* identities(sql))
      yield* run(sql, "DROP SCHEMA analytics CASCADE")
      expect([...(yield* pendingMigrations(sql)).views].sort()).toEqual(before)
      expect((yield* migrate(sql)).views).toHaveLength(before.length)
      expect(yield* pendingMigrations(sql)).toEqual(NOTHING)
    }),
  )

  it.scopedLive("alters a column that views read, and re-creates the views", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const later = yield* laterVersion
      yield* Effect.promise(() =>
        later.addMigration("9000_status", "ALTER TABLE warehouse.payouts ALTER status TYPE varchar(60)"),
      )
      expect(yield* migrate(sql, later)).toMatchObject({ applied: ["9000_status"], notes: [] })
      expect(yield* migrate(sql, later)).toEqual(UP_TO_DATE)
    }),
  )

  it.scopedLive("leaves views alone if a migration only adds, whatever depends on them", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const later = yield* laterVersion
      const before = yield* identities(sql)
      yield* run(sql, "CREATE SCHEMA mine; CREATE VIEW mine.report AS SELECT lag FROM analytics.freshness")
      yield* Effect.promise(() =>
        later.addMigration("9000_note", "ALTER TABLE warehouse.payouts ADD note text"),
      )
      expect(yield* migrate(sql, later)).toEqual({ applied: ["9000_note"], views: [], notes: [] })
      expect(yield* identities(sql)).toEqual(before)
    }),
  )

  it.scopedLive("undoes all of a migration that fails", () =>
    Effect.gen(function* () {
      const sql = yield* warehouse
      const later = yield* laterVersion
      const before = yield* identities(sql)
      yield* Effect.promise(() => later.addMigration("9000_good", "DROP TABLE warehouse.payouts CASCADE"))
      yield* Effect.promise(() => later.addMigration("9001_bad", "SELECT 1 / 0"))
      expect(yield* Effect.flip(migrate(sql, later))).toBeInstanceOf(WarehouseError)
      expect(yield* identities(sql)).toEqual(before)
      expect(yield* migrate(sql)).toEqual(UP_TO_DATE)
    }),
  )
})
