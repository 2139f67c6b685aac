import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect } from "../src/postgres/connect.ts"
import { mayAlter } from "../src/postgres/interference.ts"
import { shapeOf, type Transaction } from "../src/postgres/shape.ts"
import { allStreams } from "../src/registry.ts"
import { start } from "../src/sandbox/sandbox.ts"
import { runSql, testDatabase } from "./support/postgres.ts"
import { slowUnless } from "./support/slow.ts"
import {
  bench,
  benchOf,
  MIGRATED,
  SMALL,
  statusesOf,
  streamOf,
  syncedBench,
  testWarehouse,
} from "./support/warehouse.ts"

/** Tests that records that were read are stored as they were read, or the stream fails, whatever is in the database. */

const trigger = (when: string, body: string, table = "warehouse.transactions", each = "ROW") => `
  CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} END $$;
  CREATE TRIGGER meddle ${when} ON ${table} FOR EACH ${each} EXECUTE FUNCTION public.meddle()`

/** A part of the records, by the last character of their id. */
const SOME = (row: string, column: string) => `right(${row}.${column}, 1) < '6'`

const withParents = (stream: string) => (stream === "wallet_readiness" ? ["customers", stream] : [stream])

type Case = readonly [title: string, statement: string, stream: string]

/** Refused by name, before a row is written. */
const REFUSED: ReadonlyArray<Case> = [
  [
    "a trigger that keeps rows out",
    trigger("BEFORE INSERT", `IF ${SOME("NEW", "transaction_id")} THEN RETURN NULL; END IF; RETURN NEW;`),
    "transactions",
  ],
  [
    "a trigger that changes rows that are new",
    trigger("BEFORE INSERT", "NEW.amount := 0; NEW.raw := '{}'; RETURN NEW;"),
    "transactions",
  ],
  ["a rule", "CREATE RULE meddle AS ON INSERT TO warehouse.transactions DO INSTEAD NOTHING", "transactions"],
  [
    "a rule on updates",
    "CREATE RULE meddle AS ON UPDATE TO warehouse.transactions DO INSTEAD NOTHING",
    "transactions",
  ],
  ["a trigger on children", trigger("BEFORE INSERT", "RETURN NULL;", "warehouse.wallet_accounts"), "wallets"],
  [
    "a trigger on history",
    trigger("BEFORE INSERT", "RETURN NULL;", "warehouse.wallet_balance_snapshots"),
    "wallets",
  ],
  [
    "a trigger on answers",
    trigger("BEFORE INSERT", "RETURN NULL;", "warehouse.wallet_readiness"),
    "wallet_readiness",
  ],
  [
    "a rule on what a pass has seen",
    "CREATE RULE meddle AS ON INSERT TO sync.seen_keys DO INSTEAD NOTHING",
    "payouts",
  ],
  [
    "row-level security",
    `ALTER TABLE warehouse.payouts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
     CREATE POLICY meddle ON warehouse.payouts USING (true) WITH CHECK (true)`,
    "payouts",
  ],
]

/** Found when what a batch stored is read again. */
const COMPARED: ReadonlyArray<Case> = [
  [
    "a trigger that deletes what was stored",
    trigger(
      "AFTER INSERT",
      `DELETE FROM warehouse.transactions WHERE transaction_id = NEW.transaction_id AND ${SOME("NEW", "transaction_id")}; RETURN NULL;`,
    ),
    "transactions",
  ],
  [
    "a trigger that changes what was stored",
    trigger(
      "AFTER INSERT",
      "UPDATE warehouse.payouts SET status = 'PENDING' WHERE payout_id = NEW.payout_id; RETURN NULL;",
      "warehouse.payouts",
    ),
    "payouts",
  ],
  [
    "a trigger that changes what was stored, once for a statement",
    trigger(
      "AFTER INSERT",
      "UPDATE warehouse.payouts SET fee_taken = 0; RETURN NULL;",
      "warehouse.payouts",
      "STATEMENT",
    ),
    "payouts",
  ],
  [
    "a trigger that waits for the commit",
    `CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       UPDATE warehouse.payouts SET amount = 0 WHERE payout_id = NEW.payout_id AND amount <> 0; RETURN NULL; END $$;
     CREATE CONSTRAINT TRIGGER meddle AFTER INSERT ON warehouse.payouts DEFERRABLE INITIALLY DEFERRED
       FOR EACH ROW EXECUTE FUNCTION public.meddle()`,
    "payouts",
  ],
  [
    "a trigger that changes children",
    trigger(
      "AFTER INSERT",
      "UPDATE warehouse.wallet_accounts SET available_balance = 0 WHERE wallet_account_id = NEW.wallet_account_id; RETURN NULL;",
      "warehouse.wallet_accounts",
    ),
    "wallets",
  ],
  [
    "a trigger that deletes states of payouts",
    trigger(
      "AFTER INSERT",
      "DELETE FROM warehouse.payout_status_history WHERE payout_id = NEW.payout_id; RETURN NULL;",
      "warehouse.payout_status_history",
    ),
    "payouts",
  ],
  [
    "a trigger that changes recorded balances",
    trigger(
      "AFTER INSERT",
      "UPDATE warehouse.wallet_balance_snapshots SET actual_balance = 0; RETURN NULL;",
      "warehouse.wallet_balance_snapshots",
      "STATEMENT",
    ),
    "wallets",
  ],
  [
    "a trigger that deletes the history of answers",
    trigger(
      "AFTER INSERT",
      "DELETE FROM warehouse.wallet_readiness_history; RETURN NULL;",
      "warehouse.wallet_readiness_history",
      "STATEMENT",
    ),
    "wallet_readiness",
  ],
  [
    "a trigger that changes answers",
    trigger(
      "AFTER INSERT",
      "UPDATE warehouse.wallet_readiness SET is_wallet_ready = true, missing_fields = '{}'; RETURN NULL;",
      "warehouse.wallet_readiness",
      "STATEMENT",
    ),
    "wallet_readiness",
  ],
  [
    "a column of another type, which rounds",
    "DROP VIEW analytics.wallet CASCADE; ALTER TABLE warehouse.wallets ALTER COLUMN created_at TYPE date",
    "wallets",
  ],
]

describe.concurrent("rows that Postgres does not keep as they were sent", () => {
  for (const [index, [title, statement, stream]] of REFUSED.entries())
    slowUnless(index % 3 === 0, () => {
      it.scopedLive(`fail the stream, which names it: ${title}`, () =>
        Effect.gen(function* () {
          const { sql, sync } = yield* bench()
          yield* Effect.promise(() => sql.unsafe(statement).simple())
          const ended = streamOf(yield* sync({ only: withParents(stream) }), stream)
          expect([ended.status, ended.error]).toEqual([
            "failed",
            expect.stringMatching(
              /meddle on (warehouse|sync)\..*DROP (TRIGGER|RULE) meddle ON|row-level security/,
            ),
          ])
        }),
      )
    })

  for (const [index, [title, statement, stream]] of COMPARED.entries())
    slowUnless(index % 3 === 0, () => {
      it.scopedLive(`fail the stream: ${title}`, () =>
        Effect.gen(function* () {
          const { sql, sync, value } = yield* bench()
          yield* Effect.promise(() => sql.unsafe(statement).simple())
          const ended = streamOf(yield* sync({ only: withParents(stream) }), stream)
          expect([ended.status, ended.error]).toEqual(["failed", expect.stringContaining("did not keep")])
          expect(yield* value(`SELECT count(*) FROM warehouse.${stream}`)).toBe("0")
        }),
      )
    })

  const onUpdate: ReadonlyArray<readonly [title: string, statement: string]> = [
    ["returns nothing", trigger("BEFORE UPDATE", "RETURN NULL;")],
    ["returns the old row", trigger("BEFORE UPDATE", "RETURN OLD;")],
    [
      "keeps a column",
      trigger("BEFORE UPDATE", "NEW.event_description := OLD.event_description; RETURN NEW;"),
    ],
    [
      "puts an old value back",
      trigger(
        "AFTER UPDATE",
        `UPDATE warehouse.transactions SET event_description = OLD.event_description
         WHERE transaction_id = NEW.transaction_id AND event_description IS DISTINCT FROM OLD.event_description AND pg_trigger_depth() = 1; RETURN NULL;`,
      ),
    ],
  ]
  for (const [index, [title, statement]] of onUpdate.entries())
    slowUnless(index % 3 === 0, () => {
      it.scopedLive(`fail the stream where a trigger on updates ${title}`, () =>
        Effect.gen(function* () {
          const { sql, sandbox, sync } = yield* syncedBench({ transactions: 20 }, { only: ["transactions"] })
          yield* Effect.promise(() => sql.unsafe(statement).simple())
          sandbox.touch("transactions", 3)
          sandbox.patch("transactions", 3, { event_description: "another" })
          const ended = streamOf(yield* sync({ only: ["transactions"], full: true }), "transactions")
          expect([ended.status, ended.error]).toEqual([
            "failed",
            expect.stringMatching(/meddle|did not keep/),
          ])
        }),
      )
    })

  it.scopedLive("are told apart from an audit, which changes nothing and is left alone", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync, value } = yield* bench()
      yield* Effect.promise(() =>
        sql
          .unsafe(
            `CREATE TABLE public.audit (what text, row jsonb);
             ${trigger("AFTER INSERT OR UPDATE", "INSERT INTO public.audit VALUES (TG_TABLE_NAME, to_jsonb(NEW)); RETURN NULL;")};
             CREATE TRIGGER meddle AFTER INSERT OR UPDATE ON warehouse.wallet_accounts FOR EACH ROW EXECUTE FUNCTION public.meddle();
             CREATE TRIGGER meddle AFTER INSERT OR UPDATE ON warehouse.wallet_readiness FOR EACH ROW EXECUTE FUNCTION public.meddle();
             CREATE TRIGGER meddle AFTER INSERT OR UPDATE ON sync.rejects FOR EACH ROW EXECUTE FUNCTION public.meddle();
             CREATE TRIGGER off BEFORE INSERT ON warehouse.payouts FOR EACH ROW EXECUTE FUNCTION public.meddle();
             ALTER TABLE warehouse.payouts DISABLE TRIGGER off`,
          )
          .simple(),
      )
      expect(new Set(Object.values(statusesOf(yield* sync())))).toEqual(new Set(["complete"]))
      sandbox.touch("transactions", 3)
      sandbox.touch("wallets", 1)
      expect(new Set(Object.values(statusesOf(yield* sync({ full: true }))))).toEqual(new Set(["complete"]))
      expect(Number(yield* value("SELECT count(*) FROM public.audit WHERE what = 'transactions'"))).toBe(
        SMALL.transactions! + 1,
      )
    }),
  )

  it.scopedLive("are not looked for where only our own triggers fire: their rows are read once", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const tables = (yield* allStreams).flatMap(({ table, children }) => [
        table,
        ...children.map(child => child.table),
      ])
      const doubted = yield* Effect.filter(tables, table =>
        Effect.promise(() => mayAlter(sql as unknown as Transaction, shapeOf(table))),
      )
      expect(doubted.map(table => shapeOf(table).table)).toEqual([])
    }),
  )

  const rejected: ReadonlyArray<Case> = [
    ["a rule", "CREATE RULE meddle AS ON INSERT TO sync.rejects DO INSTEAD NOTHING", "meddle"],
    ["a trigger", trigger("BEFORE INSERT", "RETURN NULL;", "sync.rejects"), "meddle"],
    [
      "a trigger that deletes them",
      trigger("AFTER INSERT", "DELETE FROM sync.rejects WHERE kind = 'record'; RETURN NULL;", "sync.rejects"),
      "did not keep",
    ],
  ]
  for (const [index, [title, statement, words]] of rejected.entries())
    slowUnless(index % 3 === 0, () => {
      it.scopedLive(`fail the stream where rejects are not kept: ${title}`, () =>
        Effect.gen(function* () {
          const { sql, sandbox, sync } = yield* syncedBench({ payouts: 40 }, { only: ["payouts"] })
          yield* Effect.promise(() => sql.unsafe(statement).simple())
          for (let index = 0; index < 40; index++)
            sandbox.patch("payouts", index, { fee_taken: "x", ...(index < 4 ? { currency: null } : {}) })
          const ended = streamOf(yield* sync({ only: ["payouts"], full: true }), "payouts")
          expect([ended.status, ended.error]).toEqual(["failed", expect.stringContaining(words)])
        }),
      )
    })

  it.scopedLive("are the same if array_nulls is off for the database", () =>
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
