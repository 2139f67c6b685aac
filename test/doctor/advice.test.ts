import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import type { Examination } from "../../src/doctor/doctor.ts"
import { type FaultHook, type SandboxOptions, start } from "../../src/sandbox/sandbox.ts"
import { runSql, testDatabase } from "../support/postgres.ts"
import { slowUnless } from "../support/slow.ts"
import { MIGRATED, SMALL } from "../support/warehouse.ts"
import { type Examined, examined } from "./support.ts"

/** Every line that is not a pass says what to do, whatever is wrong. */

const TOKEN = "token-Qwertz-0123456789"

/** How the lines begin to say what to do. A line without any of them only complains. */
const ADVICE =
  /\b(ask PayCombat|ask an administrator|ask (its|the) operator|check |set PAYCOMBAT|set [A-Z_]+ to|put |lower PAYCOMBAT|raise PAYCOMBAT|run `?(doctor|paycombat-sync)|Run doctor|try again|turn both on|REVOKE|GRANT|connect (to|as)|create the|[Uu]se (one|a login)|Use https|See |see |Add a row|need a login|nothing to do|set the one that is wrong|free some|make the database)/

interface Case extends Omit<Examined, "database" | "reader"> {
  readonly sandbox?: Partial<SandboxOptions>
  readonly fault?: FaultHook
  /** What is wrong with every record of transactions. */
  readonly patch?: Record<string, unknown>
}

const isReady = (path: string) => path.includes("ready")

const CASES: Readonly<Record<string, Case>> = {
  "a healthy API without a database": {},
  "records that differ": {
    patch: { risk_score: 1, "a key of some kind": 1, scope: undefined, is_reconciled: "maybe", org_id: 7 },
  },
  "money that does not add up": {
    patch: { event_type: "TOPUP", amount: -5, net_amount: 1.01, fees_including_tax: -7, tax_on_fees: 1 },
  },
  "an API that is not there": { account: { baseUrl: "http://127.0.0.1:1" } },
  "an address without a name": { account: { baseUrl: "http://api.paycombat.invalid" } },
  "an address of something else": {
    fault: () => ({ body: "<html>", headers: { "content-type": "text/html" } }),
  },
  "an address that leads elsewhere": { fault: () => ({ status: 302, body: "" }) },
  "a broken connection": { fault: () => ({ reset: true }) },
  "a wrong path behind the host": { account: { baseUrl: "" } },
  "a wrong token": { sandbox: { token: "another" } },
  "an API that fails": { only: ["payouts"], fault: () => ({ status: 503, body: {} }) },
  "an API that is overloaded": { only: ["payouts"], fault: () => ({ status: 429, body: {} }) },
  "lists that fail": {
    only: ["payouts"],
    fault: ({ path }) => (isReady(path) ? undefined : { status: 500, body: {} }),
  },
  "lists that are refused": { fault: ({ path }) => (isReady(path) ? undefined : { status: 403, body: {} }) },
  "lists that are cut off": {
    only: ["payouts"],
    fault: ({ path }) => (isReady(path) ? undefined : { body: '{"data":[' }),
  },
  "lists that say that they failed": {
    fault: ({ path }) => (isReady(path) ? undefined : { body: { status: false } }),
  },
  "a firewall's page": {
    fault: ({ path }) =>
      isReady(path) ? { status: 403, body: "<html>", headers: { "content-type": "text/html" } } : undefined,
  },
  "readiness that is refused": {
    fault: ({ path }) => (isReady(path) ? { status: 403, body: {} } : undefined),
    only: ["wallet_readiness"],
  },
  "nobody to ask about": { sandbox: { customers: 0 }, only: ["customers", "wallet_readiness"] },
  "an empty list, though its path is configured": {
    sandbox: { payouts: 0 },
    account: { paths: { payouts: "/api/v1/payout/get-all" } },
    only: ["payouts"],
  },
  "paging that nobody knows": { sandbox: { pagingNames: ["seite", "anzahl"] }, only: ["transactions"] },
  "pages of any size": { sandbox: { pagingNames: ["page", "anzahl"] }, only: ["transactions"] },
  "a part of each record that is nowhere": {
    sandbox: { walletListHasBalances: false, detailPaths: { wallets: null } },
    only: ["wallets"],
  },
  "a clock that is wrong": {
    fault: () => ({ status: 404, body: {}, headers: { date: "Wed, 01 Jan 2025 00:00:00 GMT" } }),
    only: [],
  },
}

const examinedCase = ({ sandbox: options, fault, patch, account, ...rest }: Case) =>
  Effect.gen(function* () {
    const sandbox = yield* start({ ...SMALL, token: TOKEN, ...options })
    if (fault !== undefined) sandbox.setFault(fault)
    if (patch !== undefined) for (let n = 0; n < 120; n++) sandbox.patch("transactions", n, patch)
    const baseUrl = account?.baseUrl === "" ? `${sandbox.url}/v9` : account?.baseUrl
    return yield* examined(
      { url: sandbox.url, token: TOKEN },
      { ...rest, account: { ...account, ...(baseUrl === undefined ? {} : { baseUrl }) } },
    )
  })

const complaints = ({ checks }: Examination) =>
  checks
    .filter(({ level }) => level !== "pass")
    .map(({ level, check, message }) => `${level} ${check}: ${message}`)

const expectAdvice = (examination: Examination) => {
  const lines = complaints(examination)
  expect(lines.length).toBeGreaterThan(0)
  expect(lines.filter(line => !ADVICE.test(line))).toEqual([])
  for (const line of lines) expect(line).toMatch(/[^.]\.$/)
}

describe.concurrent("each line of doctor's that is not a pass says what to do:", () => {
  it("which is more than what is the matter", () => {
    for (const line of [
      "warn types: other than documented: amount (string instead of number).",
      "warn missing fields: documented, but in no record of the sample: scope.",
      "warn money: 2 further event types not shown: too many.",
      "warn readiness: not asked: no customer is known to ask about.",
      "fail API: GET /x: HTTP 503, still so after 2 attempts.",
    ])
      expect(line).not.toMatch(ADVICE)
  })

  for (const [index, given] of Object.keys(CASES).entries())
    slowUnless(index % 6 === 0, () => {
      it.scopedLive.each([given])("%s", name => Effect.map(examinedCase(CASES[name]!), expectAdvice))
    })

  it.scopedLive("more event types than it tells", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...SMALL, token: TOKEN })
      for (let n = 0; n < 120; n++) sandbox.patch("transactions", n, { event_type: `KIND_${n}` })
      const examination = yield* examined(sandbox, { only: ["transactions"] })
      expect(complaints(examination).join()).toMatch(/further event types not shown/)
      expectAdvice(examination)
    }),
  )

  it.scopedLive("a database that is away, refuses, lacks what it needs, or can be read by too many", () =>
    Effect.gen(function* () {
      const sandbox = yield* start({ ...SMALL, token: TOKEN })
      const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
      const changed = (parts: Partial<URL>) =>
        Redacted.make(Object.assign(new URL(Redacted.value(ownerUrl)), parts).href)
      yield* Effect.promise(() =>
        runSql(ownerUrl, "DROP VIEW analytics.payout_daily; DROP VIEW analytics.checkout_daily"),
      )
      const urls = [
        ownerUrl,
        (yield* testDatabase()).ownerUrl,
        changed({ port: "1" }),
        changed({ password: "wrong" }),
        changed({ pathname: "/nowhere" }),
        changed({ hostname: "db.paycombat.invalid" }),
      ]
      for (const database of urls)
        for (const reader of [undefined, ownerUrl, changed({ password: "wrong" })])
          expectAdvice(
            yield* examined(sandbox, { only: [], database, ...(reader === undefined ? {} : { reader }) }),
          )
    }),
  )
})
