import { describe, expect, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { connect } from "../src/postgres/connect.ts"
import { page } from "../src/report/page.ts"
import { documentOf, figuresOf, freshnessRule } from "../src/report/report.ts"
import { amount, plain } from "../src/report/text.ts"
import { limitsText } from "../src/report/trust.ts"
import { storeReckoning } from "../src/warehouse/ledger/reckoning.ts"
import { storeLimits } from "../src/warehouse/ledger/settings.ts"
import { runQuery } from "../src/warehouse/read/query.ts"
import { grainOf } from "../src/warehouse/report/sql.ts"
import {
  type FreshnessRule,
  LIST_ROWS_MAX,
  PANELS_MAX,
  type ReportData,
  type ReportFilter,
  type Row,
} from "../src/warehouse/report/types.ts"
import { type PostgresVersion, testDatabase } from "./support/postgres.ts"
import { bookRuns, type Filling, fill, HOSTILE, onOneDay } from "./support/report.ts"
import { slowUnless } from "./support/slow.ts"
import { MIGRATED, printed } from "./support/warehouse.ts"
import { given } from "./views/rows.ts"

onOneDay()

/** Judges every account that was ever synced, by the stored limits, as nothing is configured. */
const RULE: FreshnessRule = { accounts: [], limits: {} }

const ALL: ReportFilter = { accounts: [], currencies: [] }

const TWO: Filling = { accounts: ["eu", "apac"], days: 40, currencies: ["USD", "EUR", "JPY"] }

/** Creates a database and the report functions over it. */
const bench = (version: PostgresVersion = "18") =>
  Effect.gen(function* () {
    const database = yield* testDatabase({ version, template: MIGRATED })
    const sql = yield* connect(database.ownerUrl)
    return {
      sql,
      figures: (filter: Partial<ReportFilter> = {}, rule: FreshnessRule = RULE) =>
        figuresOf(database.readerUrl, { ...ALL, ...filter }, { isDemo: false, rule }),
      /** Returns the document for programs, in full and in parts. */
      document: (filter: Partial<ReportFilter> = {}) =>
        Effect.gen(function* () {
          const parts: Array<string> = []
          let rows = 0
          const told = { isDemo: false, rule: RULE }
          const take = async (text: AsyncIterable<string>) => {
            for await (const part of text) parts.push(part)
          }
          yield* documentOf(database.readerUrl, { ...ALL, ...filter }, told, take, seen => {
            rows = seen
          })
          return { parts, rows, data: JSON.parse(parts.join("")) as ReportData }
        }),
      ask: (statement: string) => runQuery(database.readerUrl, statement),
    }
  })

const decoded = (text: string) =>
  text
    .replace(/<[^>]*>/g, "")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&amp;", "&")

/** Reads the tables of a page by caption. Each row is an array of its cells. */
const tablesOf = (html: string) =>
  new Map(
    [...html.matchAll(/<table>\n<caption>(.*?)<\/caption>(.*?)<\/table>/gs)].map(([, caption, rest]) => [
      decoded(caption!),
      [...rest!.matchAll(/<tr>(.*?)<\/tr>/gs)]
        .slice(1)
        .map(([, row]) =>
          [...row!.matchAll(/<t[dh][^>]*>(.*?)<\/t[dh]>/gs)].map(([, cell]) => plain(decoded(cell!))),
        ),
    ]),
  )

/** Normalizes a number, so that equal numbers have equal text. */
const numbers = (texts: ReadonlyArray<string | null | undefined>) =>
  texts.map(text => (text ?? "–").replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, ""))

for (const release of ["18", "14"] as const)
  slowUnless(release === "18", () => {
    describe.each<PostgresVersion>([release])("the report's figures on Postgres %s", version => {
      it.scopedLive("equal the records to the last digit, and the page shows them all", () =>
        Effect.gen(function* () {
          const { sql, figures } = yield* bench(version)
          yield* fill(sql, { ...TWO, days: 20 })
          yield* given(sql, "transactions", {
            account: "eu",
            transaction_id: "long",
            amount: "12345678901234567890.123456789012345678",
            currency: "USD",
            created_at: new Date().toISOString(),
            event_type: "PAYIN",
          })
          const data = yield* figures()
          const tables = tablesOf(page(data))

          // Computes the sums from the records, without any view.
          const counted = yield* printed(
            sql,
            `SELECT account, currency, count(*) AS n,
           coalesce(sum(CASE event_type WHEN 'PAYIN' THEN amount WHEN 'REFUND' THEN -amount END) FILTER (WHERE is_settled), 0) AS settled,
           coalesce(sum(CASE event_type WHEN 'PAYIN' THEN amount WHEN 'REFUND' THEN -amount END) FILTER (WHERE NOT is_settled), 0) AS unsettled
         FROM warehouse.transactions GROUP BY 1, 2 ORDER BY n DESC, 1, 2`,
          )
          const { totals, series, ageing } = data.settlements
          const sums = totals.rows.map(row => [
            row.account,
            row.currency,
            row.transaction_count,
            row.settled_amount,
            row.unsettled_amount,
          ])
          expect(sums).toEqual(
            counted.map(row => [row.account, row.currency, row.n, row.settled, row.unsettled]),
          )
          expect(totals.rows.some(row => /^\d{20}\.\d{18}$/.test(row.unsettled_amount!))).toBe(true)

          const shown = tables.get("Payments of the period, by currency")!
          expect(shown.map(row => numbers(row))).toEqual(
            totals.rows.map(row => [
              `${row.account} · ${row.currency}`,
              ...numbers([
                row.transaction_count,
                row.settled_count,
                row.settled_amount,
                row.unsettled_count,
                row.unsettled_amount,
                row.unmapped_count,
              ]),
              "assumed",
            ]),
          )
          // The assumed rules, with the money that hangs on them and the command that settles it.
          const assumed = tables.get("Counted by a rule that no person has confirmed: it may be wrong")!
          expect(assumed).toHaveLength(data.assumed.total)
          expect(assumed.map(row => row.slice(0, 1).concat(row.slice(4, 5)))).toContainEqual([
            "PAYIN",
            "money in",
          ])
          expect(page(data)).toContain("<code>paycombat-sync directions confirm TYPE</code>")
          yield* Effect.promise(() => sql`UPDATE warehouse.event_directions SET confirmed_at = now()`)
          const confirmed = page(yield* figures())
          expect(confirmed).not.toContain("<em>assumed</em></td>")
          expect(confirmed).not.toContain("no person has confirmed")
          // Each chart has a table of its days, and the days add up to the total.
          const days = tables.get("Settled and unsettled, eu · EUR")!
          expect(days).toHaveLength(
            series.filter(row => row.account === "eu" && row.currency === "EUR").length,
          )
          const cents = days.reduce((sum, row) => sum + Math.round(Number(row[2]) * 100), 0)
          const euros = totals.rows.find(row => row.account === "eu" && row.currency === "EUR")!
          expect(cents).toBe(Math.round(Number(euros.settled_amount) * 100))
          for (const row of ageing.rows)
            expect([0, 1, 2, 3, 4, 5].reduce((sum, i) => sum + Number(row[`count_${i}`]), 0)).toBe(
              Number(row.unsettled_count),
            )
          for (const [view, list] of [
            ["balance_daily_total", data.balances.totals],
            ["balance_reconciliation", data.balances.reconciliation],
          ] as const) {
            const pairs = yield* printed(sql, `SELECT DISTINCT account, currency FROM analytics.${view}`)
            expect(list.total).toBe(pairs.length)
          }
          const closings = yield* printed(
            sql,
            `SELECT account, currency, closing_balance FROM analytics.balance_daily_total
         WHERE day = (now() AT TIME ZONE 'UTC')::date ORDER BY account, currency`,
          )
          const closing = data.balances.totals.rows.map(row => [
            row.account,
            row.currency,
            row.closing_balance,
          ])
          expect(closing.sort()).toEqual(
            closings.map(row => [row.account, row.currency, row.closing_balance]),
          )
        }),
      )

      it.scopedLive("count the gaps now and at the end of each day", () =>
        Effect.gen(function* () {
          const { sql, figures } = yield* bench(version)
          yield* fill(sql, TWO)
          const { gaps, accounts } = yield* figures()
          for (const account of accounts) {
            const [now] = yield* printed(
              sql,
              `SELECT count(*) AS n, count(*) FILTER (WHERE reason IN ('missing_fields', 'unspecified')) AS known
           FROM analytics.kyc_gap WHERE account = '${account}'`,
            )
            const counted = gaps.counts.find(row => row.account === account)!
            expect(counted.customer_count).toBe(now!.n)
            const trend = gaps.trend.filter(row => row.account === account)
            expect(trend.at(-1)!.not_ready_count).toBe(now!.known)
            expect(trend.length).toBeGreaterThan(20)
            const days = yield* printed(
              sql,
              `SELECT day::date, (SELECT count(*) FROM analytics.kyc_gap_history AS h
             WHERE h.account = '${account}' AND NOT is_wallet_ready AND valid_from < day + interval '1 day'
               AND (valid_to IS NULL OR valid_to >= day + interval '1 day')) AS n
           FROM generate_series('${trend[0]!.bucket}'::timestamptz, '${trend.at(-1)!.bucket}', '1 day') AS day ORDER BY 1`,
            )
            expect(trend.map(row => [row.bucket, row.not_ready_count])).toEqual(
              days.map(row => [row.day, row.n]),
            )
          }
        }),
      )
    })
  })

describe("the report", () => {
  it.scopedLive("can be narrowed to accounts, currencies and days, and refuses names without data", () =>
    Effect.gen(function* () {
      const { sql, figures } = yield* bench()
      yield* fill(sql, TWO)
      const today = new Date().toISOString().slice(0, 10)
      const one = yield* figures({ accounts: ["eu"], currencies: ["EUR"], from: today, to: today })
      expect(one.settlements.totals.rows.map(row => [row.account, row.currency])).toEqual([["eu", "EUR"]])
      expect(one.settlements.series.map(row => row.bucket)).toEqual([today])
      expect(one.balances.reconciliation.rows.map(row => row.currency)).toEqual(["EUR"])
      expect(one.gaps.counts.map(row => row.account)).toEqual(["eu"])
      expect(new Set(one.freshness.map(row => row.account))).toEqual(new Set(["eu"]))
      // Unsettled money appears whatever its age.
      const [old] = one.settlements.ageing.rows
      expect(Number(old!.unsettled_count)).toBeGreaterThan(
        Number(one.settlements.totals.rows[0]!.transaction_count),
      )

      const before = yield* figures({ from: "2001-01-01", to: "2001-01-31" })
      expect(before.settlements.totals).toMatchObject({ rows: [], total: 0 })
      expect(page(before)).toContain("no payment was created in the period")
      for (const [filter, words] of [
        [{ accounts: ["us"] }, "account us"],
        [{ currencies: ["eur"] }, "no amount in eur: the currencies of the warehouse are EUR, JPY, USD"],
        [{ from: "2026-02-01", to: "2026-01-01" }, "after --to"],
        [{ from: "2999-01-01" }, "after today"],
        [{ to: "2026-02-30" }, "--to 2026-02-30 is not a day"],
        [{ accounts: ["eu'; DROP TABLE x; --\\"] }, "DROP"],
      ] as const) {
        const error = yield* Effect.flip(figures(filter))
        expect([error._tag, error.message]).toEqual(["ConfigurationError", expect.stringContaining(words)])
      }
    }),
  )

  it.scopedLive("has the days of each account's reporting time zone, and names the zones", () =>
    Effect.gen(function* () {
      const { sql, figures } = yield* bench()
      const zones = { apac: "Asia/Seoul", eu: "America/New_York" }
      for (const [account, reportTimezone] of Object.entries(zones)) {
        yield* bookRuns(sql, account, {})
        const fields = { account, currency: "USD", event_type: "PAYIN", is_settled: true, settlement_id: "s" }
        // 30 minutes after midnight in Seoul, and an afternoon of the day before in New York.
        yield* given(sql, "transactions", {
          ...fields,
          transaction_id: "t",
          amount: 1,
          created_at: "2026-03-31T15:30:00Z",
        })
        yield* storeReckoning(sql, ["warehouse.transactions"], account, { reportTimezone })
      }
      const accounts = (rows: ReadonlyArray<Row>) => rows.map(({ account }) => account)
      for (const [day, account] of [
        ["2026-03-31", "eu"],
        ["2026-04-01", "apac"],
      ] as const) {
        const { settlements, balances } = yield* figures({ from: day, to: day })
        expect(accounts(settlements.totals.rows)).toEqual([account])
        expect(accounts(settlements.states.rows)).toEqual([account])
        expect(balances.totals.rows.find(row => row.account === account)).toMatchObject({
          credit_amount: "1",
        })
      }
      const both = yield* figures()
      expect(both.timeZones).toEqual(zones)
      expect(page(both)).toContain("(apac: Asia/Seoul, eu: America/New_York)")
      expect(page(yield* figures({ accounts: ["apac"] }))).toContain("the reporting time zone Asia/Seoul.")
    }),
  )

  it.scopedLive("cuts long lists, keeps their exact totals, and prints the command for the rest", () =>
    Effect.gen(function* () {
      const { sql, figures, ask, document } = yield* bench()
      const customers = LIST_ROWS_MAX + 150
      const currencies = Array.from({ length: PANELS_MAX + 3 }, (_, i) => `X${String.fromCharCode(65 + i)}`)
      yield* fill(sql, { accounts: ["default"], days: 3, currencies, customers, perDay: 2, isSound: true })
      const data = yield* figures()
      const { rows, total, statement } = data.gaps.customers
      expect(rows).toHaveLength(LIST_ROWS_MAX)
      expect(String(total)).toBe(data.gaps.counts[0]!.customer_count)
      expect((yield* ask(statement)).rows).toHaveLength(total)
      const html = page(data)
      expect(html).toContain(
        `${total - LIST_ROWS_MAX} more: <code>paycombat-sync query &quot;SELECT account, customer_id`,
      )
      expect(data.settlements.totals.total).toBe(PANELS_MAX + 3)
      expect(html.match(/<figcaption>X/g)).toHaveLength(2 * PANELS_MAX)
      for (const list of [
        data.gaps.fields,
        data.gaps.volume,
        data.settlements.ageing,
        data.settlements.states,
        data.balances.totals,
        data.balances.reconciliation,
        data.balances.differences,
        data.unmapped,
        data.assumed,
      ])
        expect((yield* ask(list.statement)).rows).toHaveLength(list.total)

      // The document for programs is not cut, and its other parts equal the page's.
      const { data: whole, rows: streamed, parts } = yield* document()
      expect(whole.gaps.customers.rows).toHaveLength(total)
      expect(whole.gaps.customers.rows.slice(0, LIST_ROWS_MAX)).toEqual(rows)
      expect(whole.balances.differences.rows).toHaveLength(data.balances.differences.total)
      expect(streamed).toBe(total + data.balances.differences.total)
      expect(parts.length).toBeGreaterThan(3)
      const pairs = (series: ReadonlyArray<Row>) => new Set(series.map(({ currency }) => currency)).size
      expect([pairs(data.settlements.series), pairs(whole.settlements.series)]).toEqual([
        PANELS_MAX,
        currencies.length,
      ])
      const still = ({ settlements, balances, gaps, freshness: _, snapshotAt: __, ...rest }: ReportData) => ({
        ...rest,
        gaps: { ...gaps, customers: [] },
        settlements: { ...settlements, series: [] },
        balances: { ...balances, series: [], differences: [] },
      })
      expect(whole.balances.differences.rows.slice(0, LIST_ROWS_MAX)).toEqual(data.balances.differences.rows)
      expect(still(whole)).toEqual(still(data))
    }),
  )

  it.scopedLive("shows the first missing details of every account, and the number of further ones", () =>
    Effect.gen(function* () {
      const { sql, figures, document, ask } = yield* bench()
      const few = 3
      const many = LIST_ROWS_MAX + 40
      for (const [account, fields] of [
        ["a", many],
        ["b", LIST_ROWS_MAX + 1],
        ["c", few],
      ] as const) {
        yield* bookRuns(sql, account, {})
        yield* given(sql, "customers", { account, customer_id: "one" })
        const missing = Array.from({ length: fields }, (_, i) => `field_${i}`)
        yield* given(sql, "wallet_readiness", {
          account,
          customer_id: "one",
          is_wallet_ready: false,
          missing_fields: missing,
          checked_at: new Date().toISOString(),
        })
      }
      const data = yield* figures()
      const { fields } = data.gaps
      expect(fields.totals).toEqual({ a: many, b: LIST_ROWS_MAX + 1, c: few })
      expect(fields.total).toBe(many + LIST_ROWS_MAX + 1 + few)
      const shown = (account: string) => fields.rows.filter(row => row.account === account).length
      expect(["a", "b", "c"].map(shown)).toEqual([LIST_ROWS_MAX, LIST_ROWS_MAX, few])
      expect(page(data)).toContain("40 more of a, 1 more of b: <code>paycombat-sync query")
      expect((yield* ask(fields.statement)).rows).toHaveLength(fields.total)
      expect((yield* document()).data.gaps.fields.rows).toHaveLength(fields.total)
    }),
  )

  it.scopedLive("escapes text from outside", () =>
    Effect.gen(function* () {
      const { sql, figures } = yield* bench()
      yield* fill(sql, { accounts: ["default"], days: 12, currencies: ["EUR"] })
      const html = page(yield* figures())
      expect(html).not.toContain("<img")
      expect(html).not.toMatch(/<script|javascript:|https?:\/\/(?!www\.w3\.org)/)
      const tables = tablesOf(html)
      const customers = tables.get("Customers not known to be ready, the longest first")!
      expect(customers.some(([id]) => id === HOSTILE)).toBe(true)
      expect([...tables.values()].flat(2)).toContain(HOSTILE)
      for (const id of html.matchAll(/aria-(?:labelledby|describedby)="([^"]+)"/g))
        expect(html).toContain(` id="${id[1]}"`)
      expect(new Set(html.match(/ id="[^"]+"/g)).size).toBe(html.match(/ id="[^"]+"/g)!.length)
    }),
  )

  it.scopedLive("shows one snapshot while other sessions write", () =>
    Effect.gen(function* () {
      const { sql, figures } = yield* bench()
      yield* fill(sql, { accounts: ["default"], days: 5, currencies: ["EUR"], isSound: true })
      let isOver = false
      const writing = (async () => {
        for (let i = 0; !isOver; i++)
          await sql`UPDATE warehouse.transactions SET amount = amount + 1, is_settled = ${i % 2 === 0}`
      })()
      for (let i = 0; i < 5; i++) {
        const { settlements } = yield* figures()
        const [total] = settlements.totals.rows
        const [waiting] = settlements.ageing.rows
        expect(waiting?.unsettled_amount ?? "0").toBe(total!.unsettled_amount)
        const parts = settlements.series.map(row => Math.round(Number(row.unsettled_amount) * 100))
        expect(parts.reduce((sum, part) => sum + part, 0)).toBe(
          Math.round(Number(total!.unsettled_amount) * 100),
        )
      }
      isOver = true
      yield* Effect.promise(() => writing)
    }),
  )

  it.scopedLive("lists the findings at the top, in the words of the verdict", () =>
    Effect.gen(function* () {
      const { sql, figures, ask } = yield* bench()
      const nothing = yield* figures()
      expect(nothing.verdict).toMatchObject({
        level: "bad",
        sentence: "Nothing was synced yet: no stream was ever read.",
      })
      expect(page(nothing)).toContain("no stream was ever read")

      yield* bookRuns(sql, "default", {
        customers: { rejects: 2 },
        payouts: { status: "failed", error: "The list was away." },
        transactions: { hoursAgo: 30 },
        wallets: null,
        wallet_readiness: { leftOver: 1234 },
      })
      const data = yield* figures()
      const { rows } = yield* ask("SELECT level, sentence FROM analytics.verdict")
      expect([[data.verdict.level, data.verdict.sentence]]).toEqual(rows)
      expect(data.verdict.level).toBe("bad")
      const said = data.verdict.findings.map(({ text }) => text).join("\n")
      for (const words of [
        "default/payouts: failed: The list was away.",
        "default/transactions: was read to its end 30 h ago, which is more than 1h",
        "default/wallets: was never read",
        "default/customers: 2 records could not become a row",
        "1234 left over",
      ])
        expect(said).toContain(words)
      const html = page(data)
      expect(html).toContain("at most 60 minutes old and the last full pass at most 2 days")
      expect(html.indexOf("The figures cannot be trusted: ")).toBeLessThan(html.indexOf("<table>"))
    }),
  )
})

describe("the freshness limits of a report", () => {
  it.scopedLive("are the stored or the given ones, and the page states them", () =>
    Effect.gen(function* () {
      const { sql, figures } = yield* bench()
      yield* bookRuns(sql, "default", { payouts: { hoursAgo: 26 } })
      yield* storeLimits(sql, ["default"], { maxAgeSeconds: 27 * 3_600, fullMaxAgeSeconds: 48 * 3_600 })
      const stale = ({ verdict }: ReportData) =>
        verdict.findings.filter(({ text }) => text.includes("default/payouts: was read to its end"))
      const stored = yield* figures()
      expect([stale(stored), limitsText(stored)]).toEqual([
        [],
        "Figures are fresh if the last complete sync is at most 27 hours old and the last full pass at most 2 days.",
      ])
      const given = yield* figures({}, { ...RULE, limits: { maxAgeSeconds: 9_000 } })
      expect(stale(given)[0]!.text).toContain("26 h ago, which is more than 2h 30m")
      expect(limitsText(given)).toContain("at most 150 minutes old")
    }),
  )
})

describe("the accounts that a report judges", () => {
  it.effect("are the requested ones, else the configured ones", () =>
    Effect.gen(function* () {
      const settings = ConfigProvider.fromMap(new Map([["PAYCOMBAT_ACCOUNTS", "eu,new"]]))
      const of = (named: ReadonlyArray<string>) =>
        Effect.map(
          Effect.withConfigProvider(freshnessRule(undefined, named), settings),
          ({ accounts }) => accounts,
        )
      expect([yield* of([]), yield* of(["old"])]).toEqual([["eu", "new"], ["old"]])
    }),
  )
})

describe("the format of a figure", () => {
  it("keeps every digit, separates thousands, and pads decimal places", () => {
    const thin = "\u202f"
    expect(amount("1234567.8", 2)).toBe(`1${thin}234${thin}567.80`)
    expect(amount("-1000")).toBe(`\u22121${thin}000`)
    expect(amount("999", 3)).toBe("999.000")
    expect(amount("12345678901234567890.123456789012345678", 2)).toBe(
      `12${thin}345${thin}678${thin}901${thin}234${thin}567${thin}890.123456789012345678`,
    )
    expect([amount(null), amount("NaN")]).toEqual(["–", "NaN"])
    for (const text of ["0", "-0.5", "100000.001", "-98765432109876543210.1"])
      expect(plain(amount(text))).toBe(text)
  })

  it("groups days that are too many for a chart", () => {
    const grains = ["2026-01-01", "2026-04-03", "2027-12-31", "2040-01-01", "2099-01-01"].map(to =>
      grainOf("2026-01-01", to),
    )
    expect(grains).toEqual(["day", "week", "week", "month", "year"])
  })
})
