import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { start } from "../src/sandbox/Sandbox.ts"
import { connect } from "../src/warehouse/Database.ts"
import { runSql, testDatabase } from "./support/postgres.ts"
import { bench, benchOf, MIGRATED, SMALL, streamOf } from "./support/warehouse.ts"

/** What was read is stored, or the stream fails: whatever somebody put into the database. */

const trigger = (when: string, returns: string, table = "transactions") => `
  CREATE FUNCTION public.swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${returns} END $$;
  CREATE TRIGGER swallow ${when} ON warehouse.${table} FOR EACH ROW EXECUTE FUNCTION public.swallow()`

/** A third of the records, by the last character of their id. */
const SOME = (row: string, column: string) => `right(${row}.${column}, 1) < '6'`

const cases: ReadonlyArray<readonly [title: string, statement: string, stream: string]> = [
  [
    "a trigger that returns nothing",
    trigger("BEFORE INSERT", `IF ${SOME("NEW", "transaction_id")} THEN RETURN NULL; END IF; RETURN NEW;`),
    "transactions",
  ],
  [
    "a trigger that deletes what was stored",
    trigger(
      "AFTER INSERT",
      `DELETE FROM warehouse.transactions WHERE transaction_id = NEW.transaction_id AND ${SOME("NEW", "transaction_id")}; RETURN NULL;`,
    ),
    "transactions",
  ],
  ["a rule", "CREATE RULE swallow AS ON INSERT TO warehouse.transactions DO INSTEAD NOTHING", "transactions"],
  ["a trigger on children", trigger("BEFORE INSERT", "RETURN NULL;", "wallet_accounts"), "wallets"],
  ["a trigger on answers", trigger("BEFORE INSERT", "RETURN NULL;", "wallet_readiness"), "wallet_readiness"],
]

describe.concurrent("rows that Postgres does not keep", () => {
  for (const [title, statement, stream] of cases)
    it.scopedLive(`fail the stream: ${title}`, () =>
      Effect.gen(function* () {
        const { sql, sync } = yield* bench()
        yield* Effect.promise(() => sql.unsafe(statement).simple())
        const ended = streamOf(yield* sync(), stream)
        expect([ended.status, ended.error]).toEqual(["failed", expect.stringMatching(/rule|keep/)])
      }),
    )

  it.scopedLive("fail the stream where only an update is swallowed, and older versions do not", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync } = yield* bench({ transactions: 20 })
      yield* sync({ only: ["transactions"] })
      yield* Effect.promise(() => sql.unsafe(trigger("BEFORE UPDATE", "RETURN NULL;")).simple())
      sandbox.touch("transactions", 3)
      const ended = streamOf(yield* sync({ only: ["transactions"], full: true }), "transactions")
      expect([ended.status, ended.error]).toEqual(["failed", expect.stringContaining("did not keep")])
    }),
  )

  it.scopedLive("are the same where array_nulls is off for the database", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
      const off =
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET array_nulls = off', current_database()); END $$"
      yield* Effect.promise(() => runSql(ownerUrl, off))
      // Connections that were made before would keep their own setting.
      const { sync, value } = benchOf({
        sql: yield* connect(ownerUrl),
        sandbox: yield* start({ ...SMALL, transactions: 20 }),
      })
      const { status } = streamOf(yield* sync({ only: ["transactions"] }), "transactions")
      expect(status).toBe("complete")
      expect(
        yield* value(
          "SELECT count(*) FROM warehouse.transactions WHERE settlement_id = 'NULL' OR customer_id = 'NULL'",
        ),
      ).toBe("0")
    }),
  )
})
