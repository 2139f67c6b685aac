import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { SandboxOptions } from "../../src/sandbox/sandbox.ts"
import { release } from "../../src/warehouse/ledger/lease.ts"
import { closePass } from "../../src/warehouse/ledger/passes.ts"
import { verdictsOf } from "../../src/warehouse/read/verdict.ts"
import { fixtureOf } from "../support/conformance.ts"
import { slow } from "../support/slow.ts"
import { listStream, loading, printed, streamOf, syncedBench, testWarehouse } from "../support/warehouse.ts"

const checkouts = await Effect.runPromise(listStream("checkouts"))

const only = ["checkouts"]

/** Records of a list that is large enough for its removals to be too many at once. */
const LARGE = 44

/** Without a by-id endpoint: only the list can tell. */
const setupOf = (options: Partial<SandboxOptions>) =>
  Effect.gen(function* () {
    const given = yield* syncedBench({ ...options, detailPaths: { checkouts: null } }, { only })
    const gone = given.sandbox.idOf("checkouts", 5)
    return {
      ...given,
      gone,
      removed: Effect.map(
        given.rows("SELECT checkout_id AS id FROM warehouse.checkouts WHERE removed_at IS NOT NULL"),
        rows => rows.map(({ id }) => id),
      ),
      pass: Effect.map(given.sync({ only }), summary => streamOf(summary, "checkouts")),
      isBooked: given.value(
        `SELECT bool_or(removed_at IS NOT NULL) FROM warehouse.checkouts WHERE checkout_id = '${gone}'`,
      ),
    }
  })

const setup = setupOf({})
const large = setupOf({ checkouts: LARGE })

describe("a record that is no longer listed", () => {
  it.scopedLive("is unconfirmed, and booked as removed by the third complete pass; its row stays", () =>
    Effect.gen(function* () {
      const { sandbox, sync, removed, pass, gone, value } = yield* setup
      sandbox.remove("checkouts", 5)
      for (let n = 0; n < 2; n++) {
        const booked = yield* pass
        expect(booked).toMatchObject({ status: "complete", removed: 0, unconfirmed: 1, movement: null })
        expect(booked.note).toContain("1 checkouts were not listed, and are not booked as removed")
        expect(yield* removed).toEqual([])
      }
      // A run that reads nothing of the list has it still to say.
      const unavailable = { paths: { checkouts: "/nowhere" } }
      expect(streamOf(yield* sync({ only, account: unavailable }), "checkouts")).toMatchObject({
        status: "failed",
        unconfirmed: 1,
      })
      expect(yield* pass).toMatchObject({ removed: 1, unconfirmed: 0, movement: null })
      expect(yield* removed).toEqual([gone])
      const at = yield* value(`SELECT removed_at FROM warehouse.checkouts WHERE checkout_id = '${gone}'`)
      expect((yield* pass).removed).toBe(0)
      expect(yield* value(`SELECT removed_at FROM warehouse.checkouts WHERE checkout_id = '${gone}'`)).toBe(
        at,
      )
      expect(yield* value("SELECT count(*) FROM warehouse.checkouts")).toBe("12")
    }),
  )

  it.scopedLive(
    "and returns is no longer booked as removed, and the count starts again when it disappears again",
    () =>
      Effect.gen(function* () {
        const { sandbox, removed, pass, gone } = yield* setup
        sandbox.remove("checkouts", 5)
        for (let n = 0; n < 3; n++) yield* pass
        expect(yield* removed).toEqual([gone])
        sandbox.restore("checkouts", 5)
        yield* pass
        expect(yield* removed).toEqual([])
        sandbox.remove("checkouts", 5)
        for (let n = 0; n < 2; n++) yield* pass
        expect(yield* removed).toEqual([])
        yield* pass
        expect(yield* removed).toEqual([gone])
      }),
  )

  slow(() => {
    it.scopedLive("and returns as a reject is no longer booked as removed either", () =>
      Effect.gen(function* () {
        const { sandbox, removed, pass } = yield* setup
        sandbox.remove("checkouts", 5)
        for (let n = 0; n < 3; n++) yield* pass
        sandbox.restore("checkouts", 5)
        sandbox.patch("checkouts", 5, { amount: "much" })
        expect((yield* pass).rejected).toBe(1)
        expect(yield* removed).toEqual([])
      }),
    )
  })

  it.scopedLive("and becomes a reject is not missing: it is listed", () =>
    Effect.gen(function* () {
      const { sandbox, removed, pass } = yield* setup
      sandbox.patch("checkouts", 5, { amount: "much" })
      for (let n = 0; n < 4; n++) yield* pass
      expect(yield* removed).toEqual([])
    }),
  )

  slow(() => {
    it.scopedLive("for two passes only is not booked", () =>
      Effect.gen(function* () {
        const { sandbox, removed, pass } = yield* setup
        for (let n = 0; n < 3; n++) {
          sandbox.remove("checkouts", 5)
          yield* pass
          yield* pass
          sandbox.restore("checkouts", 5)
          yield* pass
        }
        expect(yield* removed).toEqual([])
      }),
    )
  })

  it.scopedLive("is not booked by a pass that failed", () =>
    Effect.gen(function* () {
      const { sandbox, removed, pass } = yield* setup
      sandbox.remove("checkouts", 5)
      yield* pass
      sandbox.setFault(({ path, query }) =>
        path.includes("checkout") && query.get("page") === "2" ? { status: 403 } : undefined,
      )
      for (let n = 0; n < 3; n++) expect((yield* pass).status).toBe("failed")
      expect(yield* removed).toEqual([])
    }),
  )

  slow(() => {
    it.scopedLive.each([
      ["is an object now", { number: 7 }],
      ["is not there any more", null],
    ] as const)("is not booked if it may be one of the listed records whose id %s", ([, id]) =>
      Effect.gen(function* () {
        const { sandbox, removed, pass } = yield* setup
        for (let n = 0; n < 12; n += 2) sandbox.patch("checkouts", n, { id })
        sandbox.remove("checkouts", 5)
        for (let n = 0; n < 3; n++) {
          const booked = yield* pass
          expect(booked).toMatchObject({ status: "complete_with_rejects", removed: 0, unconfirmed: 7 })
          expect(booked.note).toContain("nothing was booked as removed")
        }
        expect(yield* removed).toEqual([])
        for (let n = 0; n < 12; n += 2) sandbox.patch("checkouts", n, { id: sandbox.idOf("checkouts", n) })
        for (let n = 0; n < 2; n++) expect((yield* pass).removed).toBe(0)
        expect((yield* pass).removed).toBe(1)
      }),
    )
  })

  it.scopedLive("is not believed if half of the list is cut off, until a person confirms it", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync, removed, pass, value } = yield* large
      const account = { pageSize: 10 }
      yield* sync({ only, account })
      const verdict = Effect.map(verdictsOf(sql, { streams: only }), ([first]) => first!)
      sandbox.setFault(({ path, query }) =>
        path.includes("checkout") && Number(query.get("page")) * Number(query.get("limit")) > 20
          ? { body: { data: {} } }
          : undefined,
      )
      for (let n = 0; n < 5; n++) {
        const booked = streamOf(yield* sync({ only, account }), "checkouts")
        expect(booked).toMatchObject({ status: "complete", removed: 0, unconfirmed: 24 })
        expect(yield* removed).toEqual([])
        const { level, findings } = yield* verdict
        expect([level, findings[0]!.text]).toEqual(["bad", expect.stringContaining("--confirm-removals")])
      }
      expect(yield* value("SELECT (contract -> 'learned' ->> 'pages')::int > 2 FROM sync.contracts")).toBe(
        "true",
      )
      sandbox.setFault(null)
      expect(yield* pass).toMatchObject({ removed: 0, unconfirmed: 0 })
      expect((yield* verdict).level).toBe("good")
      for (let index = 0; index < LARGE; index += 2) sandbox.remove("checkouts", index)
      for (let n = 0; n < 3; n++) expect(yield* pass).toMatchObject({ removed: 0, unconfirmed: 22 })
      expect(streamOf(yield* sync({ only, confirmsRemovals: true }), "checkouts")).toMatchObject({
        removed: 22,
        unconfirmed: 0,
      })
      expect((yield* verdict).level).toBe("good")
    }),
  )

  it.scopedLive("is not believed if all ids are spelled differently, which is a finding", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync, pass, removed } = yield* large
      sandbox.setFault(({ path }) =>
        path.includes("checkout")
          ? {
              transform: body =>
                body.replaceAll(/"id":"([^"]*)"/g, (_, id: string) => `"id":"${id.toUpperCase()}"`),
            }
          : undefined,
      )
      for (let n = 0; n < 4; n++) {
        expect(yield* pass).toMatchObject({ removed: 0, unconfirmed: LARGE })
        const [verdict] = yield* verdictsOf(sql, { streams: only })
        expect(verdict!.level).toBe("bad")
        expect(verdict!.findings[0]!.text).toContain("ids may have changed")
      }
      yield* sync({ only, confirmsRemovals: true })
      expect(yield* removed).toHaveLength(LARGE)
    }),
  )

  it.scopedLive("is counted in the commit that books it", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const record = fixtureOf(checkouts).record
      const passOver = (...ids: ReadonlyArray<string>) =>
        Effect.gen(function* () {
          const pass = yield* loading(sql, checkouts)
          yield* pass.load(...ids.map(id => [{ ...record, id }, "2026-01-01T00:00:00.000Z"] as const))
          yield* pass.close()
          const [run] = yield* printed(
            sql,
            `SELECT removed FROM sync.stream_runs WHERE run_id = '${pass.lease.runId}'`,
          )
          return run?.removed
        })
      yield* passOver("a", "b")
      expect(yield* passOver("a")).toBe("0")
      expect(yield* passOver("a")).toBe("0")
      // Whatever becomes of the process before it can book its end.
      expect(yield* passOver("a")).toBe("1")
    }),
  )

  it.scopedLive("is not booked by an empty list, which fails instead", () =>
    Effect.gen(function* () {
      const { sandbox, sync, removed, pass, isBooked } = yield* setup
      sandbox.setFault(({ path }) =>
        path.includes("checkout") ? { body: { status: true, message: "OK", data: [] } } : undefined,
      )
      const configured = { paths: { checkouts: "/api/v1/checkout/get-all" } }
      for (let n = 0; n < 3; n++) {
        const booked = yield* pass
        expect(booked.status).toBe("failed")
        expect(booked.error).toContain("PAYCOMBAT_PATH_CHECKOUTS")
        expect(streamOf(yield* sync({ only, account: configured }), "checkouts").status).toBe("failed")
      }
      expect(yield* removed).toEqual([])
      expect(yield* isBooked).toBe("false")
    }),
  )
})

describe("a pass whose seen keys were lost", () => {
  const whole = fixtureOf(checkouts).record

  /** Complete passes over a list of ids, without any HTTP; `lossy` ones lose their keys as in a crash of Postgres. */
  const passes = Effect.map(testWarehouse(), sql => {
    let day = 0
    return {
      sql,
      pass: (ids: ReadonlyArray<string>, isLossy = false) =>
        Effect.gen(function* () {
          const pass = yield* loading(sql, checkouts)
          const readAt = new Date(Date.UTC(2026, 0, ++day)).toISOString()
          yield* pass.load(...ids.map(id => [{ ...whole, id }, readAt] as const))
          if (isLossy) yield* Effect.promise(() => sql`TRUNCATE sync.seen_keys`)
          return yield* pass.close()
        }),
    }
  })

  it.scopedLive("proves no removal, and says so", () =>
    Effect.gen(function* () {
      const { pass } = yield* passes
      yield* pass(["a", "b"])
      yield* pass(["a"])
      const closed = yield* pass(["a"], true)
      expect(closed.removed).toBe(0)
      expect(closed.note).toContain("proves no removal")
    }),
  )

  it.scopedLive("or that read an unverified list, proves no removal either", () =>
    Effect.gen(function* () {
      const { pass, sql } = yield* passes
      yield* pass(["a", "b"])
      for (let n = 0; n < 3; n++) {
        const unverified = yield* loading(sql, checkouts)
        const closed = yield* unverified.close(false)
        expect(closed).toMatchObject({ removed: 0, note: expect.stringContaining("not verified") })
      }
      expect((yield* pass(["a"])).removed).toBe(0)
    }),
  )

  it.scopedLive("or whose list moved, counts neither for nor against a removal", () =>
    Effect.gen(function* () {
      const { pass, sql } = yield* passes
      yield* pass(["a", "b"])
      for (let n = 0; n < 2; n++) {
        yield* pass(["a"])
        yield* pass(["a"], true)
        const moving = yield* loading(sql, checkouts)
        yield* moving.load([{ ...whole, id: "a" }, "2026-01-01T00:00:00.000Z"])
        const movement = "The list moved."
        expect(
          yield* closePass(sql, moving.lease, checkouts, {
            passId: moving.passId,
            provesRemoval: true,
            movement,
          }),
        ).toMatchObject({ removed: 0, unconfirmed: 1 })
        expect(
          yield* printed(sql, "SELECT movement FROM sync.stream_runs WHERE movement IS NOT NULL"),
        ).toHaveLength(n + 1)
        yield* release(sql, [moving.lease])
      }
      expect((yield* pass(["a"])).removed).toBe(1)
    }),
  )

  it.scopedLive("but that saw the record resets the count of earlier passes", () =>
    Effect.gen(function* () {
      const { pass } = yield* passes
      yield* pass(["a", "b"])
      for (let n = 0; n < 2; n++) yield* pass(["a"])
      yield* pass(["a", "b"], true)
      for (let n = 0; n < 2; n++) expect((yield* pass(["a"])).removed).toBe(0)
      expect((yield* pass(["a"])).removed).toBe(1)
    }),
  )
})
