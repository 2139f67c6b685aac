import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect } from "../../src/postgres/connect.ts"
import { migrate } from "../../src/warehouse/schema/migrator.ts"
import { testDatabase } from "../support/postgres.ts"
import { printed } from "../support/warehouse.ts"
import { earlierVersion, run } from "./support.ts"

/** Rejects that earlier versions of the program kept. */

interface Old {
  readonly kind?: string
  readonly stream?: string
  readonly field?: string
  readonly reason?: string
}

const insert = (
  hash: string,
  { kind, stream = "payouts", field = "amount", reason = "amount: is null" }: Old,
) =>
  `INSERT INTO sync.rejects (account, stream, run_id, record_id, field, reason, raw, content_hash, read_at, first_seen_at
     ${kind === undefined ? "" : ", kind"})
   VALUES ('default', '${stream}', gen_random_uuid(), '${hash}', '${field}', '${reason}', '{}', '${hash}', now(), now()
     ${kind === undefined ? "" : `, '${kind}'`})`

const migratedFrom = (tag: string, olds: ReadonlyArray<readonly [hash: string, old: Old]>, column: string) =>
  Effect.gen(function* () {
    const sql = yield* connect((yield* testDatabase({})).ownerUrl)
    yield* migrate(sql, yield* earlierVersion(tag))
    yield* run(sql, olds.map(([hash, old]) => insert(hash, old)).join(";"))
    yield* migrate(sql)
    return (yield* printed(sql, `SELECT ${column} AS value FROM sync.rejects ORDER BY content_hash`)).map(
      ({ value }) => value,
    )
  })

describe("a migration of old rejects", () => {
  it.scopedLive("removes the refused value from their reasons, also from truncated ones", () =>
    Effect.gen(function* () {
      const value = 'invalid input syntax for type numeric: "Ana Anders (of Oslo)"'
      const reasons = yield* migratedFrom(
        "0006_verdict_fields",
        [
          ["a", { reason: `record: Postgres refused it: ${value} (22P02)` }],
          ["b", { reason: `record: Postgres refused it: ${value}` }],
          ["c", { reason: `record: Postgres refused it: ${value} (22P` }],
          ["d", { reason: `record: Postgres refused it: ${value}\nin two lines` }],
          ["e", { reason: "record: Postgres refused it (22P02)" }],
          ["f", { reason: "amount: Expected a number, actual Ana" }],
          ["g", { reason: "amount: is null" }],
        ],
        "reason",
      )
      expect(reasons).toEqual([
        "record: Postgres refused it (22P02)",
        "record: Postgres refused it",
        "record: Postgres refused it",
        "record: Postgres refused it",
        "record: Postgres refused it (22P02)",
        "amount: Expected a number",
        "amount: is null",
      ])
    }),
  )

  it.scopedLive("tells items of lists from fields", () =>
    Effect.gen(function* () {
      const kinds = yield* migratedFrom(
        "0008_lease",
        [
          ["a", { kind: "field", field: "due_date" }],
          ["b", { kind: "field", stream: "wallets", field: "wallet_account.3" }],
          ["c", { kind: "field", stream: "wallets", field: "wallet_account.3.is_active" }],
          ["d", { kind: "field", stream: "checkouts", field: "order_summary.order_fees" }],
          ["e", { kind: "merchant" }],
          ["f", { kind: "record" }],
        ],
        "kind",
      )
      expect(kinds).toEqual(["field", "item", "field", "item", "merchant", "record"])
    }),
  )
})
