import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { AccountSettings } from "../../src/config/config.ts"
import type { SandboxOptions } from "../../src/sandbox/sandbox.ts"
import { verdictsOf } from "../../src/warehouse/read/verdict.ts"
import { bench, streamOf, syncedBench } from "../support/warehouse.ts"

/** Tests the effect of a by-id endpoint's answer on records that the list no longer shows. */

const BY_ID = "/api/v1/checkout/retrieve/"
const only = ["checkouts"]
/** The note of a run without any finding. */
const SHORT = "Read whole: the list has fewer than 3 pages."

const setup = (options: Partial<SandboxOptions> = {}, account: Partial<AccountSettings> = {}) =>
  Effect.gen(function* () {
    const given = yield* syncedBench(options, { only, account })
    const { sandbox } = given
    const idsWhere = (condition: string) =>
      Effect.map(given.rows(`SELECT checkout_id AS id FROM warehouse.checkouts WHERE ${condition}`), rows =>
        rows.map(({ id }) => id),
      )
    return {
      ...given,
      ids: (...indices: ReadonlyArray<number>) => indices.map(index => sandbox.idOf("checkouts", index)),
      removed: idsWhere("removed_at IS NOT NULL"),
      idsWhere,
      pass: Effect.map(given.sync({ only, account }), summary => streamOf(summary, "checkouts")),
      byIdRequests: Effect.sync(() => sandbox.requests.recent.filter(({ path }) => path.startsWith(BY_ID))),
    }
  })

describe("a record that the list no longer shows", () => {
  it.scopedLive(
    "and that its by-id endpoint answers with 404 is booked as removed by the first complete pass",
    () =>
      Effect.gen(function* () {
        const { sandbox, pass, removed, ids, byIdRequests } = yield* setup()
        sandbox.remove("checkouts", 5)
        sandbox.resetRequests()
        expect(yield* pass).toMatchObject({ status: "complete", removed: 1, note: SHORT })
        expect(yield* removed).toEqual(ids(5))
        // One listed record before, the missing one, one listed record after.
        expect((yield* byIdRequests).length).toBe(3)
        sandbox.resetRequests()
        expect((yield* pass).removed).toBe(0)
        expect(yield* byIdRequests).toEqual([])
        sandbox.restore("checkouts", 5)
        yield* pass
        expect(yield* removed).toEqual([])
      }),
  )

  it.scopedLive("but that its by-id endpoint answers stays, however often the list leaves it out", () =>
    Effect.gen(function* () {
      const { sandbox, pass, removed, value, ids } = yield* setup()
      sandbox.hide("checkouts", 5)
      for (let n = 0; n < 3; n++) expect(yield* pass).toMatchObject({ status: "complete", removed: 0 })
      expect(yield* removed).toEqual([])
      // Its present version is loaded from there.
      sandbox.touch("checkouts", 5)
      expect((yield* pass).updated).toBe(1)
      const expected = JSON.parse(sandbox.truth.text("checkouts", 5)).updated_at
      expect(
        yield* value(
          `SELECT raw ->> 'updated_at' FROM warehouse.checkouts WHERE checkout_id = '${ids(5)[0]}'`,
        ),
      ).toBe(expected)
      sandbox.remove("checkouts", 5)
      expect((yield* pass).removed).toBe(1)
    }),
  )

  it.scopedLive("and that is answered in another form than the list's stays unchanged", () =>
    Effect.gen(function* () {
      const { sandbox, pass, removed, value, ids } = yield* setup()
      sandbox.hide("checkouts", 5)
      sandbox.touch("checkouts", 5)
      const stored = `SELECT content_hash FROM warehouse.checkouts WHERE checkout_id = '${ids(5)[0]}'`
      const before = yield* value(stored)
      sandbox.setFault(({ path }) =>
        path.startsWith(BY_ID) ? { transform: body => body.replaceAll('"merchant_id"', '"org"') } : undefined,
      )
      for (let n = 0; n < 3; n++) expect(yield* pass).toMatchObject({ removed: 0, updated: 0 })
      expect(yield* removed).toEqual([])
      expect(yield* value(stored)).toBe(before)
    }),
  )

  it.scopedLive("in large numbers is named in the note", () =>
    Effect.gen(function* () {
      const { sandbox, pass } = yield* setup()
      for (const index of [1, 3, 5, 7, 9]) sandbox.hide("checkouts", index)
      expect((yield* pass).note).toContain("5 checkouts exist")
    }),
  )
})

describe("a 404 proves nothing", () => {
  it.scopedLive("if no listed record is answered either: a wrong path", () =>
    Effect.gen(function* () {
      const { sandbox, pass, removed, ids } = yield* setup()
      sandbox.remove("checkouts", 5)
      sandbox.setFault(({ path }) => (path.startsWith(BY_ID) ? { status: 404, body: {} } : undefined))
      for (let n = 0; n < 2; n++)
        expect(yield* pass).toMatchObject({ status: "complete", removed: 0, unconfirmed: 1 })
      expect(yield* removed).toEqual([])
      // Then three passes decide.
      expect((yield* pass).removed).toBe(1)
      expect(yield* removed).toEqual(ids(5))
    }),
  )

  it.scopedLive("if the route goes away while it is asked", () =>
    Effect.gen(function* () {
      const { sandbox, pass, removed } = yield* setup()
      for (const index of [2, 5]) sandbox.remove("checkouts", index)
      sandbox.resetRequests()
      sandbox.setFault(({ path, nth }) =>
        path.startsWith(BY_ID) && nth > 1 ? { status: 404, body: {} } : undefined,
      )
      expect(yield* pass).toMatchObject({ status: "complete", removed: 0 })
      expect(yield* removed).toEqual([])
    }),
  )

  it.scopedLive.each([
    ["403", { status: 403, body: {} }],
    ["a 404 that is not the API's own", { status: 404, body: "<html>404 Not Found</html>" }],
    ["a gateway's 404", { status: 404, body: { message: "no Route matched with those values" } }],
    ["410", { status: 410, body: {} }],
    ["a record of another id", { body: { status: true, data: { id: "other", checkout_token: "t" } } }],
    ["an empty answer", { body: { status: true, data: null } }],
    ["a failure under HTTP 200", { body: { status: false, message: "not found" } }],
  ] as const)("nor does %s, in however many passes: the endpoint is there to tell", ([, fault]) =>
    Effect.gen(function* () {
      const { sandbox, pass, removed, ids } = yield* setup()
      sandbox.remove("checkouts", 5)
      sandbox.setFault(({ path }) => (path === `${BY_ID}${ids(5)[0]}` ? fault : undefined))
      for (let n = 0; n < 4; n++) {
        const booked = yield* pass
        expect(booked).toMatchObject({ status: "complete", removed: 0, unconfirmed: 1 })
        expect(booked.note).toContain("their by-id endpoint did not answer 404 for them")
      }
      expect(yield* removed).toEqual([])
      sandbox.setFault(null)
      expect((yield* pass).removed).toBe(1)
    }),
  )

  it.scopedLive("if the endpoint that answered before refuses listed records now", () =>
    Effect.gen(function* () {
      const { sandbox, pass, removed, ids } = yield* setup()
      sandbox.remove("checkouts", 4)
      expect((yield* pass).removed).toBe(1)
      sandbox.remove("checkouts", 5)
      sandbox.setFault(({ path }) => (path.startsWith(BY_ID) ? { status: 403, body: {} } : undefined))
      for (let n = 0; n < 4; n++) expect(yield* pass).toMatchObject({ removed: 0, unconfirmed: 1 })
      expect(yield* removed).toEqual(ids(4))
    }),
  )

  it.scopedLive("and a pass whose by-id endpoint was away does not count, also if none ever answered", () =>
    Effect.gen(function* () {
      const { sandbox, pass } = yield* setup()
      sandbox.remove("checkouts", 5)
      const answering = (status: number) =>
        sandbox.setFault(({ path }) => (path.startsWith(BY_ID) ? { status, body: {} } : undefined))
      answering(404)
      for (let n = 0; n < 2; n++) expect((yield* pass).removed).toBe(0)
      answering(503)
      expect(yield* pass).toMatchObject({ status: "complete", removed: 0, unconfirmed: 1 })
      answering(404)
      expect((yield* pass).removed).toBe(1)
    }),
  )

  it.scopedLive("about a large part of the list from one pass alone", () =>
    Effect.gen(function* () {
      const { sandbox, pass, removed } = yield* setup({ checkouts: 60 })
      for (let index = 0; index < 30; index++) sandbox.remove("checkouts", index)
      const first = yield* pass
      expect(first).toMatchObject({ status: "complete", removed: 0 })
      expect(first.note).toContain("30 checkouts are gone all at once")
      expect((yield* removed).length).toBe(0)
      expect((yield* pass).removed).toBe(30)
    }),
  )
})

/** The look-ups are what these tests are about, not the pages of long lists. */
const FEW_PAGES = { pageSize: 100 }

describe("the look-ups", () => {
  it.scopedLive("are bounded; records that are about to be booked as removed come first", () =>
    Effect.gen(function* () {
      const { sandbox, pass, byIdRequests } = yield* setup({ checkouts: 500 }, FEW_PAGES)
      for (let index = 0; index < 230; index++) sandbox.hide("checkouts", index)
      sandbox.resetRequests()
      expect((yield* pass).removed).toBe(0)
      expect((yield* byIdRequests).length).toBe(201)
      // The 30 that were not asked are missing once; now they are asked before all others.
      expect((yield* pass).removed).toBe(0)
    }),
  )

  it.scopedLive("come to each record in time, however many get answers that prove nothing", () =>
    Effect.gen(function* () {
      const { sandbox, pass, idsWhere, removed } = yield* setup({ checkouts: 1_000 }, FEW_PAGES)
      const stored = [...(yield* idsWhere("true"))].sort()
      const missing = new Set(stored.slice(0, 230))
      for (let index = 0; index < 1_000; index++)
        if (missing.has(sandbox.idOf("checkouts", index))) sandbox.remove("checkouts", index)
      const unclear = new Set(stored.slice(0, 210))
      sandbox.setFault(({ path }) =>
        path.startsWith(BY_ID) && unclear.has(path.slice(BY_ID.length))
          ? { body: { status: false, message: "not found" } }
          : undefined,
      )
      expect((yield* pass).removed).toBe(0)
      expect((yield* pass).removed).toBe(20)
      for (let n = 0; n < 2; n++) expect(yield* pass).toMatchObject({ removed: 0, unconfirmed: 210 })
      expect([...(yield* removed)].sort()).toEqual(stored.slice(210, 230))
    }),
  )

  it.scopedLive("continue after a record that may not be read", () =>
    Effect.gen(function* () {
      const { sandbox, sync, removed } = yield* setup()
      const hidden = [2, 5, 8].map(index => sandbox.idOf("checkouts", index)).sort()
      for (const index of [2, 5, 8]) sandbox.remove("checkouts", index)
      sandbox.setFault(({ path }) =>
        path === `${BY_ID}${hidden[0]}` ? { status: 403, body: {} } : undefined,
      )
      const pass = streamOf(yield* sync({ only, account: { concurrency: 1 } }), "checkouts")
      expect(pass.removed).toBe(2)
      expect([...(yield* removed)].sort()).toEqual(hidden.slice(1))
    }),
  )

  it.scopedLive("find an undocumented endpoint, and remember it", () =>
    Effect.gen(function* () {
      const endpoint = "/finmo/payout-method/retrieve-payout/{id}"
      const { sandbox, sync, rows } = yield* bench({ detailPaths: { payouts: endpoint } })
      const pass = Effect.map(sync({ only: ["payouts"] }), summary => streamOf(summary, "payouts"))
      yield* pass
      sandbox.remove("payouts", 3)
      expect((yield* pass).removed).toBe(1)
      expect(yield* rows("SELECT contract ->> 'byId' AS at FROM sync.contracts")).toEqual([{ at: endpoint }])
      sandbox.remove("payouts", 4)
      sandbox.resetRequests()
      expect((yield* pass).removed).toBe(1)
      const asked = sandbox.requests.recent.filter(({ path }) => !path.endsWith("/get-all"))
      expect(asked.length).toBe(3)
      expect(asked.every(({ path }) => path.startsWith("/finmo/"))).toBe(true)
    }),
  )
})

describe("a wallet that is listed without its balances", () => {
  const wallets = (gone: number) =>
    Effect.gen(function* () {
      const given = yield* bench({ walletListHasBalances: false })
      const pass = Effect.map(given.sync({ only: ["wallets"] }), summary => streamOf(summary, "wallets"))
      const removed = given.rows("SELECT wallet_id AS id FROM warehouse.wallets WHERE removed_at IS NOT NULL")
      return { ...given, pass, removed, id: given.sandbox.idOf("wallets", gone) }
    })

  it.scopedLive.each([
    ["a 404 of the API", { status: 404, body: { success: false, error: { code: 404, name: "NOT_FOUND" } } }],
    ["a proxy's page of 404", { status: 404, body: "<html>404</html>" }],
  ] as const)("stays while the list shows it, though it is answered by id with %s", ([, fault]) =>
    Effect.gen(function* () {
      const { sql, sandbox, pass, removed, rows, id } = yield* wallets(4)
      const count = (yield* pass).extracted
      const others = [4, 5].map(index => sandbox.idOf("wallets", index))
      const isAsked = (path: string) => others.some(other => path.endsWith(`/${other}`))
      sandbox.setFault(({ path }) => (isAsked(path) ? fault : undefined))
      for (let n = 0; n < 4; n++) {
        // Each record that was listed is in a counter.
        expect(yield* pass).toMatchObject({
          extracted: count,
          unchanged: count - 2,
          unanswered: 2,
          removed: 0,
        })
        expect(yield* removed).toEqual([])
        const [verdict] = yield* verdictsOf(sql, { streams: ["wallets"] })
        expect(verdict!.level).toBe("attention")
        expect(verdict!.sentence).toContain("wallets (listed, and unknown by id)")
      }
      // It is a proof that it is gone once the list does not show it either.
      sandbox.remove("wallets", 4)
      expect(yield* pass).toMatchObject({ unanswered: 1, removed: fault.body === "<html>404</html>" ? 0 : 1 })
      sandbox.setFault(null)
      expect(yield* pass).toMatchObject({ unanswered: 0 })
      expect(yield* removed).toEqual([{ id }])
      expect(yield* rows("SELECT count(*) FROM sync.missing_keys")).toEqual([{ count: "0" }])
      expect((yield* verdictsOf(sql, { streams: ["wallets"] }))[0]!.level).toBe("good")
    }),
  )

  it.scopedLive("stays unchanged if the route goes away in the middle of the pages", () =>
    Effect.gen(function* () {
      const { sandbox, pass, removed } = yield* wallets(4)
      yield* pass
      for (let n = 0; n < 3; n++) {
        sandbox.resetRequests()
        sandbox.setFault(({ path, nth }) =>
          path.startsWith("/api/v1/wallet/wallet_") && nth > 5 ? { status: 404, body: {} } : undefined,
        )
        expect(yield* pass).toMatchObject({ rejected: 0, removed: 0 })
      }
      expect(yield* removed).toEqual([])
    }),
  )
})
