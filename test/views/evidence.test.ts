import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { READINESS_PATH } from "../../src/sandbox/streams/wallet_readiness.ts"
import { streamOf, syncedBench } from "../support/warehouse.ts"
import { lines } from "./rows.ts"

const only = ["wallet_readiness"]
const [HEAD = ""] = READINESS_PATH.split("{id}")

describe("the evidence of readiness", () => {
  it.scopedLive("has the first and the last answer of each state, with their runs", () =>
    Effect.gen(function* () {
      const { sandbox, sql, sync, rows } = yield* syncedBench({}, { only: ["customers"] })
      const id = sandbox.idOf("customers", 5)
      const run = Effect.gen(function* () {
        const { runId, streams } = yield* sync({ only })
        const [state] = yield* rows(
          `SELECT checked_at, check_error FROM warehouse.wallet_readiness WHERE customer_id = '${id}'`,
        )
        return { runId, status: streams[0]!.status, at: state!.checked_at, error: state!.check_error }
      })
      const evidence = rows(
        `SELECT is_wallet_ready, missing_fields, first_asked_at, first_run_id, first_answer, last_asked_at, last_run_id,
           last_asked_at_is_lower_bound AS is_bound, changed_seen_at
         FROM analytics.kyc_evidence WHERE customer_id = '${id}' ORDER BY first_asked_at`,
      )
      sandbox.setReadiness(5, { ready: false, missing: ["phone_number", "dob"] })
      const first = yield* run
      const state = {
        is_wallet_ready: "false",
        missing_fields: '["dob", "phone_number"]',
        first_asked_at: first.at,
        first_run_id: first.runId,
        first_answer: '{"missing_field": ["phone_number", "dob"], "is_wallet_ready": false}',
        is_bound: "false",
      }
      const asked = (last: typeof first, changed: string | null | undefined) => ({
        ...state,
        last_asked_at: last.at,
        last_run_id: last.runId,
        changed_seen_at: changed ?? null,
      })
      expect(yield* evidence).toEqual([asked(first, null)])
      // An answer that says the same writes no row of history.
      const places = rows("SELECT ctid, xmin FROM warehouse.wallet_readiness_history ORDER BY customer_id")
      const before = yield* places
      const second = yield* run
      expect(yield* places).toEqual(before)
      expect(yield* evidence).toEqual([asked(second, null)])
      // A check that fails is no answer.
      sandbox.setFault(({ path }) => (path === HEAD + id ? { status: 400, body: "{}" } : undefined))
      const third = yield* run
      expect(third.error).not.toBeNull()
      expect(yield* evidence).toEqual([asked(second, null)])
      sandbox.setFault(null)
      sandbox.makeReady(5)
      const fourth = yield* run
      const ready = {
        ...{ is_wallet_ready: "true", missing_fields: "[]", is_bound: "false", changed_seen_at: null },
        ...{ first_asked_at: fourth.at, first_run_id: fourth.runId },
        ...{ last_asked_at: fourth.at, last_run_id: fourth.runId },
      }
      const found = yield* evidence
      expect(found).toEqual([asked(second, fourth.at), expect.objectContaining(ready)])
      const [stored] = yield* rows(
        `SELECT last_confirmed_at, last_run_id FROM warehouse.wallet_readiness_history
         WHERE customer_id = '${id}' AND valid_to IS NOT NULL`,
      )
      expect(stored).toEqual({ last_confirmed_at: second.at, last_run_id: second.runId })
      expect(yield* lines(sql, "count(*)", `kyc_evidence WHERE customer_id = '${id}'`)).toEqual(["2"])
    }),
  )

  it.scopedLive("holds no field that may be personal, in whatever mode answers are kept", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows } = yield* syncedBench({}, { only: ["customers"] })
      const id = sandbox.idOf("customers", 5)
      sandbox.setFault(({ path }) =>
        path === HEAD + id
          ? {
              status: 200,
              body: JSON.stringify({
                status: true,
                data: { is_wallet_ready: false, missing_field: ["dob"], checked_by: "Ana Anders" },
              }),
            }
          : undefined,
      )
      expect(streamOf(yield* sync({ only }), "wallet_readiness").status).toBe("complete")
      const own = `customer_id = '${id}'`
      const [state] = yield* rows(`SELECT raw FROM warehouse.wallet_readiness WHERE ${own}`)
      expect(state!.raw).toContain("Ana Anders")
      const [history] = yield* rows(
        `SELECT to_jsonb(h)::text AS text FROM warehouse.wallet_readiness_history h WHERE ${own}`,
      )
      expect(history!.text).toContain('"missing_field": ["dob"]')
      expect(history!.text).not.toContain("Ana")
    }),
  )
})
