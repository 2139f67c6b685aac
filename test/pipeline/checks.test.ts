import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import type { Sandbox } from "../../src/sandbox/sandbox.ts"
import { READINESS_PATH } from "../../src/sandbox/streams/wallet_readiness.ts"
import { verdictsOf } from "../../src/warehouse/read/verdict.ts"
import { slowUnless } from "../support/slow.ts"
import { bench, type SyncOptions, streamOf } from "../support/warehouse.ts"

/** Look-ups that are refused, or answered in another shape: how many of them a run may have. */

const [HEAD = ""] = READINESS_PATH.split("{id}")
const BOTH = { only: ["customers", "wallet_readiness"] }
const ALL_AGAIN = { only: ["wallet_readiness"], readyRecheck: Duration.zero }

const SHAPES = {
  "a refusal (400)": { status: 400, body: { message: "no" } },
  "a refusal (404)": { status: 404, body: { message: "no" } },
  "a failure under 200": { body: { status: false, message: "no", data: null } },
  "another shape": { body: { status: true, data: { wallet_ready: true } } },
} as const

const setup = (customers: number) =>
  Effect.gen(function* () {
    const { sandbox, sync, sql } = yield* bench({ customers })
    const check = (options: SyncOptions) =>
      Effect.map(sync(options), summary => streamOf(summary, "wallet_readiness"))
    const findings = Effect.map(
      verdictsOf(sql, { streams: ["customers", "wallet_readiness"] }),
      ([verdict]) => ({
        level: verdict!.level,
        checks: verdict!.findings.flatMap(({ kind, level }) => (kind === "check_failed" ? [level] : [])),
      }),
    )
    /** Answers so about the first customers. */
    const answer = (fault: object, count: number) => {
      const ids = new Set(Array.from({ length: count }, (_, index) => sandbox.idOf("customers", index)))
      sandbox.setFault(({ path }) =>
        path.startsWith(HEAD) && ids.has(path.slice(HEAD.length)) ? fault : undefined,
      )
    }
    return { sandbox, check, findings, answer }
  })

describe("failed checks", () => {
  for (const [index, given] of Object.entries(SHAPES).entries())
    slowUnless(index === 3, () => {
      it.scopedLive.each([given])("for all customers fail the stream: %s", ([, fault]) =>
        Effect.gen(function* () {
          const { sandbox, check, findings, answer } = yield* setup(6)
          answer(fault, 6)
          const first = yield* check(BOTH)
          expect(first).toMatchObject({ status: "failed", extracted: 6, unanswered: 0 })
          expect(first.error).toContain("6 of 6 checks failed (100%), and PAYCOMBAT_REJECTS_MAX allows 5%")
          expect(yield* findings).toEqual({ level: "bad", checks: ["attention"] })
          sandbox.setFault(null)
          expect(yield* check(ALL_AGAIN)).toMatchObject({ status: "complete", note: null })
          expect(yield* findings).toEqual({ level: "good", checks: [] })
          // Answers are stored by now: the endpoint has changed since.
          answer(fault, 6)
          expect(yield* check(ALL_AGAIN)).toMatchObject({ status: "failed", extracted: 6 })
        }),
      )
    })

  it.scopedLive("fail it beyond the bound, as long as they are stored, and are an exception below it", () =>
    Effect.gen(function* () {
      const { sandbox, check, findings, answer } = yield* setup(40)
      for (let index = 0; index < 40; index++) sandbox.makeReady(index)
      answer(SHAPES["another shape"], 10)
      expect(yield* check(BOTH)).toMatchObject({ status: "complete" })
      expect(yield* findings).toEqual({ level: "attention", checks: ["attention"] })
      answer(SHAPES["another shape"], 11)
      const many = yield* check({ ...ALL_AGAIN, rejectsMax: 0.2 })
      expect(many.status).toBe("failed")
      expect(many.error).toContain("11 of 40 customers have a latest check that failed (27.5%)")
      // Only those that failed are asked again: none of them fails for the first time, and they are as many as before.
      expect(yield* check({ only: ["wallet_readiness"] })).toMatchObject({ status: "failed", extracted: 11 })
      expect((yield* findings).level).toBe("bad")
      // Few of all: the same ones, asked again without the others, are no outage.
      expect(yield* check({ only: ["wallet_readiness"], rejectsMax: 0.3 })).toMatchObject({
        status: "complete",
        extracted: 11,
      })
      expect(yield* findings).toEqual({ level: "attention", checks: ["attention"] })
    }),
  )
})

describe("a documented field of answers", () => {
  /** Answers as an API that renames the field, or that leaves it out of some answers. */
  const answering = (sandbox: Sandbox, change: (data: Record<string, unknown>) => object) =>
    sandbox.setFault(({ path }) =>
      path.startsWith(HEAD)
        ? {
            transform: text => {
              const { data, ...envelope } = JSON.parse(text)
              return JSON.stringify({ ...envelope, data: change(data) })
            },
          }
        : undefined,
    )
  const renamed = ({ missing_field, ...data }: Record<string, unknown>) => ({
    ...data,
    missing_fields: missing_field,
  })

  it.scopedLive("that is renamed costs the figures their trust until it is sent again", () =>
    Effect.gen(function* () {
      const { sandbox, sync, sql } = yield* bench({ customers: 6 })
      const judged = Effect.map(verdictsOf(sql, { streams: BOTH.only }), ([verdict]) => [
        verdict!.level,
        ...verdict!.findings.flatMap(({ kind, text }) =>
          kind === "missing_field" ? [text.split(" any")[0]] : [],
        ),
      ])
      for (let index = 0; index < 3; index++) sandbox.setReadiness(index, { ready: false, missing: ["dob"] })
      yield* sync(BOTH)
      expect(yield* judged).toEqual(["good"])
      answering(sandbox, renamed)
      for (let n = 0; n < 2; n++) {
        expect((yield* sync(BOTH)).status).toBe("complete")
        expect(yield* judged).toEqual(["bad", "no new or changed record carries `missing_field`"])
      }
      sandbox.setFault(null)
      for (let index = 0; index < 6; index++) sandbox.makeReady(index)
      yield* sync(BOTH)
      expect(yield* judged).toEqual(["good"])
    }),
  )

  it.scopedLive("that settled answers lack is not missed", () =>
    Effect.gen(function* () {
      const { sandbox, sync, sql } = yield* bench({ customers: 6 })
      for (let index = 0; index < 6; index++) sandbox.setReadiness(index, { ready: false, missing: ["dob"] })
      answering(sandbox, ({ is_wallet_ready, missing_field }) => ({
        is_wallet_ready,
        ...(is_wallet_ready === true ? {} : { missing_field }),
      }))
      yield* sync(BOTH)
      for (let index = 0; index < 6; index++) sandbox.makeReady(index)
      yield* sync(BOTH)
      expect((yield* verdictsOf(sql, { streams: BOTH.only }))[0]!.level).toBe("good")
    }),
  )
})

describe("checks of customers that may be missing", () => {
  const END: Readonly<Record<string, string>> = {
    "never read": "DELETE FROM sync.stream_runs WHERE stream = 'customers'",
    "died and not booked": "UPDATE sync.stream_runs SET status = 'running' WHERE stream = 'customers'",
    died: "UPDATE sync.stream_runs SET status = 'dead' WHERE stream = 'customers'",
    "broken off": "UPDATE sync.stream_runs SET status = 'interrupted' WHERE stream = 'customers'",
  }

  it.scopedLive("are not complete until the customers were read to their end", () =>
    Effect.gen(function* () {
      const { sql, sync } = yield* bench({ customers: 3 })
      const only = ["wallet_readiness"]
      const none = streamOf(yield* sync({ only }), "wallet_readiness")
      expect([none.status, none.error]).toEqual([
        "failed",
        expect.stringContaining("customers was never read"),
      ])
      yield* sync({ only: ["customers"] })
      expect(streamOf(yield* sync({ only }), "wallet_readiness").status).toBe("complete")
      for (const [title, statement] of Object.entries(END)) {
        yield* sync({ only: ["customers"], full: true })
        yield* Effect.promise(() => sql.unsafe(statement))
        const ended = streamOf(yield* sync({ only }), "wallet_readiness")
        expect([title, ended.status, ended.error]).toEqual([
          title,
          "failed",
          expect.stringMatching(/customers was (never read|broken off).*Sync customers first/s),
        ])
      }
    }),
  )
})
