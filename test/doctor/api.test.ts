import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { SAMPLE_PAGES } from "../../src/doctor/api/probe.ts"
import { type FaultHook, type SandboxOptions, start } from "../../src/sandbox/sandbox.ts"
import { MARK, plantPeople } from "../support/people.ts"
import { slow } from "../support/slow.ts"
import { SMALL } from "../support/warehouse.ts"
import { type Examined, examined, linesOf, reportOf, troubles } from "./support.ts"

/** Tests the examination of an API without a database. */

const TOKEN = "token-Qwertz-0123456789"

const against = (options: Partial<SandboxOptions> = {}, given: Examined & { fault?: FaultHook } = {}) =>
  Effect.gen(function* () {
    const sandbox = yield* start({ ...SMALL, token: TOKEN, ...options })
    if (given.fault !== undefined) sandbox.setFault(given.fault)
    return { sandbox, examination: yield* examined(sandbox, given) }
  })

describe.concurrent("a healthy API", () => {
  it.scopedLive("passes every check, by GET alone, and its requests are counted to the last", () =>
    Effect.gen(function* () {
      const { sandbox, examination } = yield* against()
      expect(troubles(examination)).toEqual([
        expect.stringMatching(/^warn transactions directions: rules are applied to stored transactions/),
      ])
      expect(examination).toMatchObject({ level: "warn", isConfigured: true })
      expect(linesOf(examination, "token")).toEqual([
        `pass is accepted: it reads ${[...sandbox.lists].sort().join(", ")}.`,
      ])
      expect([...sandbox.requests.byMethod.keys()]).toEqual(["GET"])
      expect(examination.requests).toBe(sandbox.requests.total)
      expect(linesOf(examination, "requests")).toEqual([
        `pass ${sandbox.requests.total} requests sent, all of them GET.`,
      ])
    }),
  )

  slow(() => {
    it.scopedLive("with a wrong address behind the host is suspected as a whole, before any path", () =>
      Effect.gen(function* () {
        const sandbox = yield* start(SMALL)
        const examination = yield* examined(sandbox, { account: { baseUrl: `${sandbox.url}/v9` } })
        expect(linesOf(examination, "API").at(-1)).toMatch(
          new RegExp(
            `^warn none of the ${sandbox.lists.length} lists is there under .*/v9: check PAYCOMBAT_BASE_URL`,
          ),
        )
        // An endpoint that does not answer may exist.
        sandbox.setFault(({ path }) => (path.includes("ready") ? undefined : { status: 503, body: {} }))
        const away = yield* examined(sandbox, {})
        expect(linesOf(away, "API").filter(line => line.includes("none of the"))).toEqual([])
      }),
    )
  })

  it.scopedLive("reports how each list is read", () =>
    Effect.gen(function* () {
      const { examination } = yield* against({
        envelope: "double.named",
        totals: "meta",
        listPaths: { transactions: "/api/v1/transaction/list" },
        pagingNames: ["offset", "limit"],
        maxPageSize: 15,
        order: "newest-first",
        detailPaths: { transactions: "/api/v1/transaction/retrieve/{id}" },
      })
      const { list, requests } = reportOf(examination, "transactions")
      expect(list).toMatchObject({
        contract: {
          path: "/api/v1/transaction/list",
          at: "data.data.transactions",
          pageParam: "offset",
          sizeParam: "limit",
          pageSize: 15,
          pagingProven: true,
          verified: true,
        },
        total: 120,
        pages: SAMPLE_PAGES,
        isWhole: false,
        order: { seen: "newest first", by: "created" },
        byId: { endpoint: "/api/v1/transaction/retrieve/{id}", isNeeded: false },
      })
      expect(linesOf(examination, "list", "transactions")).toEqual([
        `pass /api/v1/transaction/list, paged by offset,limit, counted in records, 15 per page where 20 were asked for (its cap, or all there are); records in data.data.transactions; a total of 120 stated; ${requests} requests.`,
      ])
      expect(linesOf(examination, "order", "transactions")[0]).toMatch(
        /^pass newest first by creation on the 5 pages read/,
      )
    }),
  )

  slow(() => {
    it.scopedLive("reports an order that is not newest-first", () =>
      Effect.gen(function* () {
        for (const [order, seen] of [
          ["oldest-first", "oldest first"],
          ["shuffled", "neither"],
        ] as const) {
          const { examination } = yield* against({ order }, { only: ["transactions"] })
          expect(reportOf(examination, "transactions").list!.order).toMatchObject({ seen })
        }
      }),
    )
  })

  slow(() => {
    it.scopedLive("with long lists needs only a bounded sample", () =>
      Effect.gen(function* () {
        const { examination, sandbox } = yield* against(
          { transactions: 50_000 },
          {
            only: ["transactions"],
            account: { pageSize: 1_000 },
          },
        )
        const { drift } = reportOf(examination, "transactions")
        expect(drift!.records).toBe(500)
        expect(sandbox.requests.total).toBeLessThan(60)
      }),
    )
  })

  slow(() => {
    it.scopedLive(
      "is asked by id for the parts that its list leaves out, so that the sample has complete records",
      () =>
        Effect.gen(function* () {
          const { examination } = yield* against({ walletListHasBalances: false }, { only: ["wallets"] })
          const { list, drift } = reportOf(examination, "wallets")
          expect(list!.byId).toMatchObject({
            endpoint: "/api/v1/wallet/{id}",
            isNeeded: true,
            onlyById: ["wallet_account"],
          })
          expect(drift).toMatchObject({ records: 5, rejects: [] })
          const without = yield* against(
            { walletListHasBalances: false, detailPaths: { wallets: null } },
            { only: ["wallets"] },
          )
          expect(linesOf(without.examination, "by id")[0]).toMatch(/^fail the list leaves out a part/)
          expect(without.examination.level).toBe("fail")
        }),
    )
  })
})

describe.concurrent("lists that are not as they might be", () => {
  it.scopedLive("one that is not found fails with the variable to set, and the others are examined", () =>
    Effect.gen(function* () {
      const { examination } = yield* against({ listPaths: { payouts: "/somewhere/else" } })
      expect(linesOf(examination, "list", "payouts")[0]).toMatch(
        /^fail no list found .*PAYCOMBAT_PATH_PAYOUTS/,
      )
      expect(reportOf(examination, "payouts")).toMatchObject({ list: null, drift: null })
      expect(linesOf(examination, "list", "transactions")[0]).toMatch(/^pass /)
      const found = yield* against(
        { listPaths: { payouts: "/somewhere/else" } },
        { account: { paths: { payouts: "/somewhere/else" } }, only: ["payouts"] },
      )
      expect(linesOf(found.examination, "list")[0]).toMatch(/^pass \/somewhere\/else/)
    }),
  )

  it.scopedLive("one that is empty proves nothing", () =>
    Effect.gen(function* () {
      const { examination } = yield* against({ checkouts: 0 }, { only: ["checkouts"] })
      expect(linesOf(examination, "list")[0]).toMatch(
        /^warn \/api\/v1\/checkout\/get-all lists nothing .*set PAYCOMBAT_PATH_CHECKOUTS=/,
      )
      expect(linesOf(examination, "token")[0]).toMatch(/^warn no record was read/)
    }),
  )

  it.scopedLive(
    "a list with unknown paging fails with the variable, and one whose size is ignored is not trusted",
    () =>
      Effect.gen(function* () {
        const names = ["seite", "anzahl"] as const
        const { examination } = yield* against({ pagingNames: names }, { only: ["transactions"] })
        expect(linesOf(examination, "list")[0]).toMatch(/^fail .*PAYCOMBAT_PAGING/)
        const sizeless = yield* against({ pagingNames: ["page", "anzahl"] }, { only: ["transactions"] })
        expect(linesOf(sizeless.examination, "list")[0]).toMatch(/^warn .*PAYCOMBAT_PAGING/)
      }),
  )

  slow(() => {
    it.scopedLive("one that is never there costs a bounded number of requests", () =>
      Effect.gen(function* () {
        const { sandbox, examination } = yield* against(
          {},
          {
            only: ["transactions"],
            fault: ({ path }) => (path.includes("/transaction") ? { status: 503, body: {} } : undefined),
          },
        )
        expect(linesOf(examination, "list")[0]).toMatch(/^fail .*HTTP 503/)
        expect(sandbox.requests.total).toBeLessThan(10)
      }),
    )
  })
})

describe.concurrent("real records that differ", () => {
  it.scopedLive("are reported by field and type, never by value", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...SMALL, token: TOKEN })
      for (let n = 0; n < 120; n++)
        sandbox.patch("transactions", n, { risk_score: n, scope: undefined, is_settled: "maybe-so" })
      sandbox.patch("transactions", 5, { amount: "a lot of money" })
      sandbox.patch("payouts", 2, { status: "ON_HOLD" })
      const examination = yield* examined(sandbox)
      const lines = (check: string, stream = "transactions") => linesOf(examination, check, stream)
      expect(lines("new fields")).toEqual([
        expect.stringMatching(/^warn not documented: risk_score \(number\)\. .* kept in raw.*ask PayCombat/),
      ])
      expect(lines("missing fields")).toEqual([
        expect.stringMatching(/^warn documented, but in no record of the sample: scope\. .*ask PayCombat/),
      ])
      expect(lines("types")[0]).toMatch(
        /^warn other than documented: is_settled \(string instead of boolean\)\. .*ask PayCombat/,
      )
      expect(lines("rejects")[0]).toMatch(
        /^fail 100 of 100 records would be rejects: is_settled is in the way/,
      )
      expect(lines("values", "payouts")).toEqual([
        expect.stringMatching(
          /^warn status holds ON_HOLD \(1\), beside the documented PENDING, SUCCESS, FAILED, RETURNED/,
        ),
      ])
      expect(JSON.stringify(examination)).not.toMatch(/maybe-so|a lot of money/)
    }),
  )

  it.scopedLive("show money that does not add up, and unknown events", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...SMALL, token: TOKEN })
      for (let n = 0; n < 100; n += 10)
        sandbox.patch("transactions", n, { event_type: "TOPUP", net_amount: 1.01, fees_including_tax: 7 })
      const examination = yield* examined(sandbox, { only: ["transactions"] })
      expect(linesOf(examination, "fees")[0]).toMatch(
        /^warn fees_including_tax = fees_without_tax \+ tax_on_fees in 90 of 100/,
      )
      expect(linesOf(examination, "money")).toContainEqual(
        expect.stringMatching(
          /^warn TOPUP, 10 records: .*; no rule explains the net amount in 0 of \d+, \d+ with a fee; ask PayCombat/,
        ),
      )
      expect(reportOf(examination, "transactions").money!.events.map(({ eventType }) => eventType)).toContain(
        "TOPUP",
      )
    }),
  )

  it.scopedLive("show no name, address, token or credential, whatever is in which field", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...SMALL, token: TOKEN })
      plantPeople(sandbox, 20)
      const examination = yield* examined(sandbox)
      expect(reportOf(examination, "customers").drift!.undocumented.map(({ field }) => field)).toContain(
        "nick_name",
      )
      const text = JSON.stringify(examination)
      for (const secret of [TOKEN, MARK]) expect(text).not.toContain(secret)
      // Nor a key of what is answered by id, which may be data itself.
      const fault: FaultHook = ({ path }) => {
        const id = /\/wallet\/(wallet_\w+)$/.exec(path)?.[1]
        const data = { wallet_id: id, wallet_account: [], [`${MARK}@example.com`]: 1 }
        return id === undefined ? undefined : { body: { status: true, data } }
      }
      const byId = yield* against({ walletListHasBalances: false }, { only: ["wallets"], fault })
      expect(reportOf(byId.examination, "wallets").list!.byId!.onlyById).toEqual(["wallet_account"])
      expect(JSON.stringify(byId.examination)).not.toContain(MARK)
    }),
  )

  slow(() => {
    it.scopedLive("show nothing of an API that answers with the request, or with unexpected data", () =>
      Effect.gen(function* () {
        const sandbox = yield* start({ ...SMALL, token: TOKEN })
        const echo = `the token ${TOKEN} of ${MARK} ${MARK}@example.com`
        const bodies = [
          echo,
          `<p>${echo}`,
          { status: true, data: [{ [echo]: echo, id: MARK, wire_id: MARK }, echo] },
          { status: false, message: echo, error: { code: echo } },
        ]
        for (const body of bodies)
          for (const status of [200, 400]) {
            const headers = { "content-type": `application/json; ${MARK}` }
            sandbox.setFault(() => ({ status, body, headers }))
            const examination = yield* examined(sandbox, { only: ["payouts", "wallet_readiness"] })
            for (const secret of [TOKEN, MARK]) expect(JSON.stringify(examination)).not.toContain(secret)
          }
      }),
    )
  })

  slow(() => {
    it.scopedLive("describe readiness, also if no missing detail is named", () =>
      Effect.gen(function* () {
        const sandbox = yield* start({ ...SMALL, token: TOKEN })
        for (let n = 0; n < 23; n++) sandbox.setReadiness(n, { ready: false, missing: n % 2 ? ["dob"] : [] })
        const examination = yield* examined(sandbox, { only: ["wallet_readiness"] })
        const { readiness } = reportOf(examination, "wallet_readiness")
        expect(readiness).toMatchObject({ asked: 6, ready: 0 })
        expect(readiness!.unnamed).toBeGreaterThan(0)
        expect(readiness!.named + readiness!.unnamed).toBe(6)
        expect(linesOf(examination, "readiness")[0]).toMatch(
          /^pass 6 customers asked: .*with an empty missing_field: kyc_gap/,
        )
        expect(examination.requests).toBe(sandbox.requests.total)
        sandbox.setFault(({ path }) => (path.includes("ready") ? { status: 403, body: {} } : undefined))
        const refused = yield* examined(sandbox, { only: ["wallet_readiness"] })
        expect(linesOf(refused, "readiness")).toEqual([
          "fail none of 6 customers was answered (HTTP 403): ask PayCombat for access to it.",
        ])
        // As a sync takes it: who is answered about another may have been answered about before, unnoticed.
        const data = { customer_id: sandbox.idOf("customers", 0), is_wallet_ready: true, missing_field: [] }
        sandbox.setFault(({ path }) =>
          path.includes("ready") ? { body: { status: true, data } } : undefined,
        )
        const mistaken = yield* examined(sandbox, { only: ["wallet_readiness"] })
        expect(linesOf(mistaken, "readiness")).toEqual([
          "fail 5 of 6 customers not answered (an answer about another key): a sync fails then; ask PayCombat why.",
        ])
      }),
    )
  })
})

/** A closed port of this machine, which the system does not assign either. `fetch` refuses port 1. */
const CLOSED_PORT = 2

describe.concurrent("an API that cannot be asked", () => {
  it.scopedLive("for a wrong token: one request, and the variable to set", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...SMALL, token: TOKEN })
      const examination = yield* examined(
        { url: sandbox.url, token: "wrong-token" },
        { account: { name: "eu" } },
      )
      expect(linesOf(examination, "token")).toEqual([
        expect.stringMatching(/^fail .*401.*PAYCOMBAT_TOKEN_EU\.$/),
      ])
      expect(linesOf(examination, "API")[0]).toMatch(/^pass /)
      expect([examination.level, examination.streams, sandbox.requests.total]).toEqual(["fail", [], 1])
      expect(JSON.stringify(examination)).not.toContain("wrong-token")
    }),
  )

  it.scopedLive("for a token that no header can carry: nothing is sent", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...SMALL, token: TOKEN })
      const examination = yield* examined({ url: sandbox.url, token: "two words" })
      expect(linesOf(examination, "token")).toEqual([
        expect.stringMatching(/^fail PAYCOMBAT_TOKEN holds a space/),
      ])
      expect(sandbox.requests.total).toBe(0)
      expect(JSON.stringify(examination)).not.toContain("two words")
    }),
  )

  const web = { headers: { "content-type": "text/html; charset=utf-8" }, body: `<html>${MARK}</html>` }
  const CASES: ReadonlyArray<readonly [string, FaultHook, RegExp]> = [
    ["a web page", () => web, /^fail answers text\/html where the API answers JSON.*PAYCOMBAT_BASE_URL/],
    [
      "a redirect",
      () => ({ status: 302, headers: { location: "https://example.com/" }, body: "" }),
      /^fail answers with a redirect \(302\)/,
    ],
    ["a broken connection", () => ({ reset: true }), /^fail .*connection failed/],
  ]
  it.scopedLive.each([...CASES])("for %s: reported once, and no list is looked for", ([, fault, words]) =>
    Effect.gen(function* () {
      const { examination, sandbox } = yield* against({}, { fault })
      expect(linesOf(examination, "API")).toEqual([expect.stringMatching(words)])
      expect([examination.level, examination.streams]).toEqual(["fail", []])
      expect(sandbox.requests.total).toBeLessThanOrEqual(2)
      expect(JSON.stringify(examination)).not.toContain(MARK)
    }),
  )

  it.scopedLive("for a firewall's page: a warning, and the lists are still looked for", () =>
    Effect.gen(function* () {
      const { examination } = yield* against(
        {},
        {
          only: ["checkouts"],
          fault: ({ path }) => (path.includes("ready") ? { ...web, status: 403 } : undefined),
        },
      )
      expect(linesOf(examination, "API")).toEqual([
        expect.stringMatching(/^warn answers HTTP 403 with text\/html/),
      ])
      expect(linesOf(examination, "list")[0]).toMatch(/^pass /)
    }),
  )

  it.scopedLive("because no server listens, or its name is unknown", () =>
    Effect.gen(function* () {
      const url = `http://127.0.0.1:${CLOSED_PORT}`
      const closed = yield* examined({ url, token: TOKEN })
      expect(linesOf(closed, "API")).toEqual([
        expect.stringMatching(/^fail .*ECONNREFUSED.*no server listens there/),
      ])
      const unknown = yield* examined({ url: "https://api.paycombat.invalid", token: TOKEN })
      expect(linesOf(unknown, "API")).toEqual([
        expect.stringMatching(/^fail .*(ENOTFOUND|EAI_AGAIN).*its name is not known/),
      ])
      expect(unknown.checks.filter(({ check }) => check === "address")).toEqual([])
    }),
  )

  it.scopedLive("because it does not speak TLS", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...SMALL, token: TOKEN })
      const examination = yield* examined({ url: sandbox.url.replace("http:", "https:"), token: TOKEN })
      expect(linesOf(examination, "API")).toEqual([expect.stringMatching(/^fail .*TLS failed/)])
    }),
  )

  it.scopedLive("over a network without TLS gets a warning", () =>
    Effect.gen(function* () {
      const examination = yield* examined({ url: "http://api.paycombat.invalid", token: TOKEN })
      expect(linesOf(examination, "address")[0]).toMatch(/^warn .*in clear/)
    }),
  )
})

describe.concurrent("the API's clock", () => {
  const at =
    (seconds: number): FaultHook =>
    () => ({
      status: 404,
      body: { success: false },
      headers: { date: new Date(Date.now() + 1_000 * seconds).toUTCString() },
    })
  it.scopedLive.each([
    // The time of the transfer does not count as a difference of the clocks.
    [3_600, /^warn PayCombat is 3(5\d\d|600) s ahead/],
    [-7_200, /^warn PayCombat is 7(1\d\d|200) s behind/],
    [0, /^pass PayCombat and this machine agree/],
  ] as const)("is %s s away", ([seconds, words]) =>
    Effect.gen(function* () {
      const { examination } = yield* against({}, { fault: at(seconds), only: [] })
      expect(linesOf(examination, "API clock")).toEqual([expect.stringMatching(words)])
    }),
  )
})
