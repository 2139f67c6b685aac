import { readFile } from "node:fs/promises"
import { describe, expect, it } from "@effect/vitest"
import { Effect, type Redacted } from "effect"
import { connect } from "../src/postgres/connect.ts"
import { allStreams } from "../src/registry.ts"
import { start } from "../src/sandbox/sandbox.ts"
import { configuredSchedule } from "../src/status/schedules.ts"
import { streamStatuses } from "../src/status/status.ts"
import { runQuery } from "../src/warehouse/read/query.ts"
import { STREAM_NAMES } from "./support/lists.ts"
import { testDatabase } from "./support/postgres.ts"
import { bookRuns } from "./support/report.ts"
import { MIGRATED, printed, SMALL, syncOnce } from "./support/warehouse.ts"

/** Runs every statement of the documents with SQL, so that none stays wrong for long. */

const DOCUMENT = new URL("../docs/bi.md", import.meta.url)
const OTHERS = [new URL("../docs/readiness.md", import.meta.url)]
const QUESTIONS = 25

interface Statement {
  readonly heading: string
  readonly sql: string
  readonly mayBeEmpty: boolean
  /** Indexes that the document names for it. */
  readonly indexes: ReadonlyArray<string>
}

const read = (document: URL) => Effect.promise(() => readFile(document, "utf8"))
const readDocument = read(DOCUMENT)

/** Finds each block of SQL with its heading, and with the text between it and the next block or heading. */
const statementsOf = (markdown: string): ReadonlyArray<Statement> => {
  const parts = markdown.split(/^```/m)
  let heading = ""
  return parts.flatMap((part, n) => {
    const isBlock = n % 2 === 1
    if (!isBlock) heading = [...part.matchAll(/^#+ (.*)$/gm)].at(-1)?.[1] ?? heading
    if (!isBlock || !part.startsWith("sql\n")) return []
    const [after = ""] = (parts[n + 1] ?? "").split(/^#/m)
    const indexes = [...after.matchAll(/^\*Index:\* `(\w+)`$/gm)].map(([, name]) => name!)
    return [{ heading, sql: part.slice(4).trim(), mayBeEmpty: /^\*May be empty:\* /m.test(after), indexes }]
  })
}

/** Makes the tables so large that Postgres reads them completely only if it must. */
const YEARS_OF_OTHERS = `
INSERT INTO warehouse.transactions (account, raw, content_hash, read_at, first_seen_at, run_id, transaction_id, org_id, customer_id, owner_id,
  amount, currency, event_type, event_name, is_settled, settlement_id, created_at)
SELECT 'default', '{}', 'h', now(), now(), gen_random_uuid(), 'other_' || n, 'org', 'other_' || n % 1000, 'other_' || n % 1000,
  1, 'USD', 'PAYIN', 'PAYIN_COMPLETED', true, 'other_' || n / 10, now() - make_interval(years => 2, hours => n)
FROM generate_series(1, 20000) n;
INSERT INTO warehouse.payouts (account, raw, content_hash, read_at, first_seen_at, run_id, payout_id, status, amount, currency, created_at)
SELECT 'default', '{}', 'h', now(), now(), gen_random_uuid(), 'other_' || n, 'SUCCESS', 1, 'USD', now() - make_interval(years => 2, hours => n)
FROM generate_series(1, 20000) n;
ANALYZE warehouse.transactions, warehouse.transaction_owners, warehouse.payouts`

interface Plan {
  readonly "Relation Name"?: string
  readonly "Index Name"?: string
  readonly "Index Cond"?: string
  readonly Filter?: string
  readonly Plans?: ReadonlyArray<Plan>
}

/** True for the read of the fees that an organization pays: it is done only where an account is set so. */
const isOfOrganization = (node: Plan): boolean => `${node.Filter} ${node["Index Cond"]}`.includes("org_id")

const nodes = (plan: Plan): ReadonlyArray<Plan> => [plan, ...(plan.Plans ?? []).flatMap(nodes)]

/**
 * Syncs a warehouse with recent business, and fills the ids of one of its customers into the document's statements.
 */
const setup = Effect.gen(function* () {
  const database = yield* testDatabase({ template: MIGRATED })
  const owner = yield* connect(database.ownerUrl)
  const sandbox = yield* start({
    ...SMALL,
    customers: 30,
    transactions: 240,
    payouts: 40,
    checkouts: 30,
    days: 60,
    until: new Date().toISOString(),
  })
  yield* syncOnce(owner, sandbox)
  const [subject] = yield* printed(
    owner,
    `SELECT owner_id, currency FROM analytics.balance_history WHERE occurred_at > now() - interval '25 days'
     GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2 LIMIT 1`,
  )
  const [settlement] = yield* printed(
    owner,
    "SELECT settlement_id FROM analytics.settlement ORDER BY 1 LIMIT 1",
  )
  const filled = (sql: string) =>
    sql
      .replaceAll("'CUSTOMER'", `'${subject!.owner_id}'`)
      .replaceAll("'USD'", `'${subject!.currency}'`)
      .replaceAll("'SETTLEMENT'", `'${settlement!.settlement_id}'`)
  return { owner, readerUrl: database.readerUrl as Redacted.Redacted, filled }
})

describe("docs/bi.md", () => {
  it.effect("has the questions, each with SQL, and names every view", () =>
    Effect.gen(function* () {
      const markdown = yield* readDocument
      const statements = statementsOf(markdown)
      const titles = [...markdown.matchAll(/^### (\d+)\. .*\?$/gm)]
      expect(titles.map(([, number]) => Number(number))).toEqual(
        Array.from({ length: QUESTIONS }, (_, n) => n + 1),
      )
      for (const [line] of titles)
        expect(
          statements.filter(({ heading }) => line.endsWith(heading)),
          line,
        ).not.toEqual([])
      expect(statements.flatMap(({ indexes }) => indexes).length).toBeGreaterThanOrEqual(6)
      // A misspelt mark would promise nothing.
      const marks = markdown.match(/^\*(Index|May be empty)/gm) ?? []
      expect(marks.length).toBe(
        statements.reduce((sum, { mayBeEmpty, indexes }) => sum + Number(mayBeEmpty) + indexes.length, 0),
      )
    }),
  )

  it.scopedLive("is true of a warehouse, in statements that the reader may run", () =>
    Effect.gen(function* () {
      const { owner, readerUrl, filled } = yield* setup
      const markdown = yield* readDocument
      const statements = statementsOf(markdown)
      const empty: Array<string> = []
      const others = (yield* Effect.forEach(OTHERS, read)).flatMap(statementsOf)
      expect(others.length).toBeGreaterThanOrEqual(OTHERS.length)
      for (const { heading, sql, mayBeEmpty } of [...statements, ...others]) {
        const { rows } = yield* runQuery(readerUrl, filled(sql)).pipe(
          Effect.mapError(error => new Error(`${heading}: ${error.message}`)),
        )
        if (rows.length === 0 && !mayBeEmpty) empty.push(heading)
      }
      expect(empty).toEqual([])
      const views = yield* printed(
        owner,
        "SELECT viewname AS name FROM pg_views WHERE schemaname = 'analytics' ORDER BY 1",
      )
      const listed = /^The views: ([^.]*)\./m.exec(markdown)![1]!
      expect([...listed.matchAll(/`(\w+)`/g)].map(([, name]) => name).sort()).toEqual(
        views.map(({ name }) => name),
      )
      // The verdict's statement: the sync has just ended.
      const trust = statements.find(({ sql }) => sql.includes("can_be_trusted"))!
      const { columns, rows } = yield* runQuery(readerUrl, filled(trust.sql))
      expect(new Set(rows.map(row => row[columns.indexOf("can_be_trusted")]))).toEqual(new Set(["t"]))
      // A month's activity is what its balance changed by.
      const months = statements.find(({ sql }) => sql.includes("AS difference, is_assumed"))!
      const closed = yield* runQuery(readerUrl, filled(months.sql))
      const difference = closed.columns.indexOf("difference")
      expect(closed.rows.filter(row => Number(row[difference]) !== 0)).toEqual([])
      // The catalogue describes each column to the reader, too.
      const meaning = statements.find(({ sql }) => sql.includes("col_description"))!
      const described = yield* runQuery(readerUrl, meaning.sql)
      expect(described.rows.length).toBeGreaterThan(100)
      expect(described.rows.filter(row => (row[described.columns.indexOf("meaning")] ?? "") === "")).toEqual(
        [],
      )

      const session = yield* Effect.acquireRelease(
        Effect.promise(() => owner.reserve()),
        reserved => Effect.sync(() => reserved.release()),
      )
      yield* Effect.promise(() => session.unsafe(YEARS_OF_OTHERS))
      // A bitmap scan would name the index on another node than the table.
      yield* Effect.promise(() => session`SET enable_bitmapscan = off`)
      for (const { heading, sql, indexes } of statements.filter(one => one.indexes.length > 0)) {
        const [row] = yield* Effect.promise(() =>
          session.unsafe<Array<{ "QUERY PLAN": string }>>(`EXPLAIN (FORMAT json) ${filled(sql)}`),
        )
        const explained = row!["QUERY PLAN"] as unknown
        const [{ Plan: plan }] = (typeof explained === "string" ? JSON.parse(explained) : explained) as [
          { Plan: Plan },
        ]
        for (const index of indexes) {
          const reads = nodes(plan).filter(
            node => index.startsWith(`${node["Relation Name"]}_`) && !isOfOrganization(node),
          )
          expect(reads, heading).not.toEqual([])
          expect(
            reads.map(read => read["Index Name"]),
            heading,
          ).toEqual(reads.map(() => index))
        }
      }
    }),
  )
})

describe("the statement that tells if numbers can be trusted", () => {
  it.scopedLive("gives the same verdict as `status`, and counts the records that are left out", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
      const sql = yield* connect(ownerUrl)
      yield* bookRuns(sql, "default", {
        checkouts: { hoursAgo: 2 },
        customers: { status: "failed", error: "HTTP 503" },
        payouts: { status: "complete_with_rejects", rejects: 2 },
        wallets: { hoursAgo: 60 },
        wallet_readiness: { mode: "lookup", leftOver: 7 },
      })
      yield* bookRuns(sql, "default", {
        ...Object.fromEntries(STREAM_NAMES.map(stream => [stream, null])),
        wallets: { mode: "incremental" },
      })
      const { sql: statement } = statementsOf(yield* readDocument).find(({ sql }) =>
        sql.includes("can_be_trusted"),
      )!
      const said = (yield* printed(sql, statement)).map(row => [row.stream, row.can_be_trusted === "true"])
      const judged = yield* streamStatuses(sql, yield* allStreams, yield* configuredSchedule, {
        configured: ["default"],
      })
      expect(said).toEqual(judged.map(({ stream, problem }) => [stream, problem === null]))
      expect(Object.fromEntries(said)).toEqual({
        ...Object.fromEntries(STREAM_NAMES.map(stream => [stream, true])),
        checkouts: false,
        customers: false,
        payouts: true,
        transactions: true,
        wallet_readiness: true,
        wallets: false,
      })
    }),
  )
})
