import { expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { connect } from "../src/postgres/connect.ts"
import { start } from "../src/sandbox/sandbox.ts"
import { testDatabase } from "./support/postgres.ts"
import { slow } from "./support/slow.ts"
import { benchOf, dump, MIGRATED, SMALL, warehouseTables } from "./support/warehouse.ts"

/** Settings that change how values are printed or read; a database or a login may have any of them. */
const ODD: Readonly<Record<string, string>> = {
  datestyle: "'SQL, DMY'",
  intervalstyle: "'sql_standard'",
  timezone: "'Asia/Kathmandu'",
  extra_float_digits: "-15",
  bytea_output: "'escape'",
  array_nulls: "off",
  transform_null_equals: "on",
  quote_all_identifiers: "on",
  standard_conforming_strings: "on",
  lc_monetary: "'C'",
}

slow(() => {
  it.scopedLive(
    "a database with settings of its own for text changes nothing that a run reads, stores or says",
    () =>
      Effect.gen(function* () {
        const sandbox = yield* start(SMALL)
        const world = (settings: Readonly<Record<string, string>>) =>
          Effect.gen(function* () {
            const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
            const admin = yield* connect(ownerUrl)
            const name = new URL(Redacted.value(ownerUrl)).pathname.slice(1)
            for (const [setting, value] of Object.entries(settings))
              yield* Effect.promise(() => admin.unsafe(`ALTER DATABASE ${name} SET ${setting} = ${value}`))
            // A connection that begins with them.
            const sql = yield* connect(ownerUrl)
            const { sync } = benchOf({ sql, sandbox })
            const first = yield* sync()
            const second = yield* sync()
            const tables = yield* warehouseTables(sql)
            // But for the moments of this very run.
            const today = new RegExp(`"${new Date().toISOString().slice(0, 10)}T[^"]*[+]00:00"`, "g")
            const rows = yield* Effect.forEach(tables, table =>
              Effect.map(dump(sql, table), rows => rows.map(row => row.replaceAll(today, "today")).sort()),
            )
            const counts = ({ streams }: typeof first) =>
              streams.map(({ stream, status, note, extracted, inserted, updated, rejected }) => ({
                stream,
                status,
                note,
                extracted,
                inserted,
                updated,
                rejected,
              }))
            const times = yield* Effect.promise(
              () => sql<Array<{ day: string; span: string }>>`
              SELECT '2026-02-01 03:04:05+00'::timestamptz::text AS day, '1 day 2 hours'::interval::text AS span`,
            )
            return {
              rows,
              runs: [counts(first), counts(second)],
              startedAt: Number.isNaN(Date.parse(second.startedAt)),
              times: [...times],
            }
          })
        const plain = yield* world({})
        expect(plain.times).toEqual([{ day: "2026-02-01 03:04:05+00", span: "1 day 02:00:00" }])
        expect(yield* world(ODD)).toEqual(plain)
      }),
  )
})
