import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type postgres from "postgres"
import { connect } from "../../src/postgres/connect.ts"
import { migrate } from "../../src/warehouse/schema/migrator.ts"
import { testDatabase } from "../support/postgres.ts"
import { printed, syncedBench } from "../support/warehouse.ts"
import { earlierVersion, run } from "./support.ts"

/** A warehouse that an earlier version filled gives the answers of one that this version filled, without a request. */

/** The last migration before totals, days of a zone, and histories of settlements. */
const BEFORE = "0017_rows_proven"

/** Columns of views that depend on the time of the question, or that an earlier version did not record. */
const OTHERWISE: Readonly<Record<string, ReadonlyArray<string>>> = {
  kyc_status: ["answer_age"],
  freshness: ["lag"],
  kyc_evidence: ["first_run_id", "first_answer"],
}

/** Copies the rows of a warehouse into tables of an earlier version, which may lack columns. */
const copyRows = (from: postgres.Sql, to: postgres.Sql) =>
  Effect.promise(async () => {
    const tables = await to<Array<{ name: string; columns: string }>>`
      SELECT format('%I.%I', table_schema, table_name) AS name, string_agg(quote_ident(column_name), ', ') AS columns
      FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
      WHERE table_schema IN ('warehouse', 'sync') AND table_type = 'BASE TABLE' AND is_generated = 'NEVER' AND is_identity = 'NO'
        AND table_name NOT IN ('event_directions', 'migrations', 'views', 'leases')
      GROUP BY 1`
    for (const { name, columns } of tables) {
      const rows = await from.unsafe<Array<{ row: string }>>(
        `SELECT to_jsonb(t)::text AS row FROM ${name} AS t`,
      )
      await to.unsafe(
        `INSERT INTO ${name} (${columns})
         SELECT ${columns} FROM jsonb_populate_recordset(NULL::${name}, $1::text::jsonb)`,
        [`[${rows.map(({ row }) => row).join(",")}]`],
      )
    }
  })

/** The rows of each view that a run does not fill at its end, without the columns that differ by their nature. */
const answers = (sql: postgres.Sql) =>
  Effect.gen(function* () {
    const views = yield* printed(
      sql,
      "SELECT viewname AS name FROM pg_views WHERE schemaname = 'analytics' AND viewname <> 'ledger_check' ORDER BY 1",
    )
    return yield* Effect.forEach(views, ({ name }) =>
      Effect.map(
        printed(
          sql,
          `SELECT (to_jsonb(v) - '{${(OTHERWISE[name!] ?? []).join(",")}}'::text[])::text AS row FROM analytics.${name} AS v`,
        ),
        rows => [name, rows.map(({ row }) => row).sort()] as const,
      ),
    )
  })

describe("a migration of a filled warehouse", () => {
  it.scopedLive("fills totals, days and evidence from the rows: the answers are those of a new sync", () =>
    Effect.gen(function* () {
      const { sql } = yield* syncedBench()
      const older = yield* connect((yield* testDatabase({})).ownerUrl)
      yield* migrate(older, yield* earlierVersion(BEFORE))
      yield* copyRows(sql, older)
      // An earlier version stored codes as they were sent.
      yield* run(
        older,
        "UPDATE warehouse.transactions SET currency = ' ' || lower(currency) WHERE currency = 'EUR'",
      )
      yield* migrate(older)
      const expected = yield* answers(sql)
      expect(yield* answers(older)).toEqual(expected)
      const filled = expected.filter(([, rows]) => rows.length > 0).map(([name]) => name)
      expect(filled).toEqual(
        expect.arrayContaining([
          "settlement",
          "balance_daily",
          "daily_overview",
          "kyc_evidence",
          "wallet_balance",
        ]),
      )
      const evidence =
        "SELECT count(*) FROM analytics.kyc_evidence WHERE last_asked_at IS NULL OR last_run_id IS NULL"
      expect(yield* printed(older, evidence)).toEqual([{ count: "0" }])
    }),
  )
})
