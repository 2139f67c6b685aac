import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { READINESS_PATH } from "../../src/sandbox/streams/wallet_readiness.ts"
import { slowUnless } from "../support/slow.ts"
import { bench, streamOf } from "../support/warehouse.ts"

const [HEAD = ""] = READINESS_PATH.split("{id}")
const html = { status: 200, headers: { "content-type": "text/html" }, body: "<html>maintenance</html>" }

describe("look-ups", () => {
  it.scopedLive("without a proper answer are not green, and each is recorded on its row", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value } = yield* bench({})
      const only = ["customers", "wallet_readiness"]
      sandbox.setFault(({ path }) => (path.startsWith(HEAD) ? html : undefined))
      const broken = yield* sync({ only })
      expect(broken.status).toBe("failed")
      expect(streamOf(broken, "wallet_readiness").error).toContain("got no proper answer")
      expect(
        yield* value("SELECT count(*) FROM warehouse.wallet_readiness WHERE check_error IS NOT NULL"),
      ).toBe(String(sandbox.truth.count("customers")))
      sandbox.setFault(null)
      expect((yield* sync({ only })).status).toBe("complete")
    }),
  )
})

describe("a wallet", () => {
  it.scopedLive("that its by-id endpoint refuses affects no other wallet", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value } = yield* bench({ walletListHasBalances: false })
      const bad = sandbox.idOf("wallets", 13)
      sandbox.setFault(({ path }) => (path.endsWith(bad) ? { status: 400 } : undefined))
      const run = yield* sync({ only: ["wallets"] })
      expect(streamOf(run, "wallets")).toMatchObject({ status: "complete_with_rejects", rejected: 1 })
      expect(yield* value("SELECT count(*) FROM warehouse.wallets")).toBe(
        String(sandbox.truth.count("wallets") - 1),
      )
      expect(yield* value("SELECT record_id || ' ' || field FROM sync.rejects")).toBe(`${bad} wallet_account`)
    }),
  )

  it.scopedLive(
    "that no longer lists its most recently changed account does not count as an older version",
    () =>
      Effect.gen(function* () {
        const { sandbox, sync, rows } = yield* bench({})
        const account = (id: string, updated_at: string) => ({
          wallet_account_id: id,
          currency: "EUR",
          actual_balance: 5,
          updated_at,
        })
        const older = account("older", "2025-02-01T00:00:00.000Z")
        const newer = account("newer", "2025-03-05T00:00:00.000Z")
        sandbox.patch("wallets", 3, {
          updated_at: "2025-01-01T00:00:00.000Z",
          wallet_account: [older, newer],
        })
        yield* sync({ only: ["wallets"] })
        sandbox.patch("wallets", 3, { wallet_account: [older] })
        const second = yield* sync({ only: ["wallets"] })
        expect(streamOf(second, "wallets")).toMatchObject({ updated: 1, stale: 0 })
        expect(
          yield* rows(`
          SELECT wallet_account_id AS id, removed_at IS NOT NULL AS removed FROM warehouse.wallet_accounts
          WHERE wallet_account_id IN ('older', 'newer') ORDER BY 1`),
        ).toEqual([
          { id: "newer", removed: "true" },
          { id: "older", removed: "false" },
        ])
      }),
  )
})

describe("an empty text", () => {
  it.scopedLive("is no customer, no settlement and no currency", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows } = yield* bench({})
      sandbox.patch("transactions", 5, { customer_id: "", settlement_id: "", fees_currency: "" })
      yield* sync({ only: ["transactions"] })
      expect(
        yield* rows(`
          SELECT customer_id, settlement_id, fees_currency, owner_id = org_id AS is_organizations
          FROM warehouse.transactions WHERE transaction_id = '${sandbox.idOf("transactions", 5)}'`),
      ).toEqual([{ customer_id: null, settlement_id: null, fees_currency: null, is_organizations: "true" }])
    }),
  )
})

describe("a checkout that comes without its order", () => {
  it.scopedLive("keeps the items that are stored", () =>
    Effect.gen(function* () {
      const { sandbox, sync, value } = yield* bench({})
      const items = value(
        `SELECT count(*) FROM warehouse.checkout_items WHERE checkout_id = '${sandbox.idOf("checkouts", 0)}'`,
      )
      yield* sync({ only: ["checkouts"] })
      const before = yield* items
      expect(Number(before)).toBeGreaterThan(0)
      sandbox.patch("checkouts", 0, { order_summary: undefined, updated_at: "2026-01-01T00:00:00.000Z" })
      const second = yield* sync({ only: ["checkouts"] })
      expect(streamOf(second, "checkouts").updated).toBe(1)
      expect(yield* items).toBe(before)
    }),
  )
})

describe("a record near the front whose id Postgres cannot hold", () => {
  /** More than a batch waits for its next page. */
  const LATE_MILLIS = 3_000
  for (const [index, given] of ["a\\u0000b", "a\\ud800b"].entries())
    slowUnless(index === 0, () => {
      it.scopedLive.each([given])("affects no other record of a list in several batches: %s", id =>
        Effect.gen(function* () {
          const { sandbox, sync } = yield* bench({})
          sandbox.replace("customers", 3, `{"customer_id":"${id}","is_wallet_ready":true}`)
          sandbox.setFault(({ query }) =>
            query.get("page") === "3" ? { delayMillis: LATE_MILLIS } : undefined,
          )
          const run = yield* sync({ only: ["customers"] })
          expect(streamOf(run, "customers")).toMatchObject({
            status: "complete_with_rejects",
            rejected: 1,
            inserted: sandbox.truth.count("customers") - 1,
          })
        }),
      )
    })
})
