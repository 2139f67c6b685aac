import { chmod, mkdir, mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Effect, Redacted } from "effect"
import postgres from "postgres"
import { connect } from "../src/postgres/connect.ts"
import { embeddedPostgres } from "../src/postgres/embedded/embeddedPostgres.ts"
import { migrate } from "../src/warehouse/schema/migrator.ts"

/**
 * Times every view of `analytics` on a filled warehouse, filtered as people filter it, and whole, and every
 * statement of docs/bi.md. Prints milliseconds,
 * processor time and the blocks that the plan touched, beside the bound of the question. Other programs on the machine
 * change the first figure, and not the others.
 *
 *   npm run bench:views -- 2000000                      every view
 *   npm run bench:views -- 10000000 --directory /big    the same at ten million; the warehouse is kept and used again
 *   npm run bench:views -- 2000000 balance_history      the plans of one view
 */
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { directory: { type: "string" } },
})
const TRANSACTIONS = Number(positionals[0] ?? 2_000_000)
const EXPLAINED = positionals[1]

/** The middle one counts: the first reads from disk what the others find in memory. */
const REPETITIONS = 3

/** Bounds of the questions in milliseconds, at two million transactions. */
const SELECTIVE_MILLIS = 500
const WHOLE_MILLIS = 1_000
const RECONCILIATION_MILLIS = 5_000

const BLOCK_KIB = 8

/** Transactions that are written at once. */
const PART = 1_000_000

/** Filters by the column that a view has. Ids are those of `bench-views.sql`. */
const FILTERS: Readonly<Record<string, string>> = {
  owner_id: "owner_id = 'customer_' || md5('1233')",
  customer_id: "account = 'default' AND customer_id = 'customer_' || md5('1233')",
  settlement_id: "settlement_id = 'settlement_77'",
  payout_id: "account = 'default' AND payout_id = 'payout_1234'",
  checkout_id: "account = 'default' AND checkout_id = 'checkout_1234'",
  wallet_id: "account = 'default' AND wallet_id = 'wallet_1234'",
}

/** Filters by time, of views that are asked without an owner. */
const DAY = "day = current_date - 40"
const MONTH = "day >= current_date - 60 AND day < current_date - 30"
const PREVIEW = "true LIMIT 100"

/** Views of rows: a question reads some of them, and none of these views is added up whole. */
const ROWS: Readonly<Record<string, { readonly latest?: string }>> = {
  balance_history: {},
  balance_daily: {},
  settlement_transaction: { latest: "created_at" },
  settlement_change: { latest: "seen_at" },
  checkout: { latest: "created_at" },
  checkout_item: {},
  wallet_balance_daily: {},
  kyc_evidence: {},
}

/** Views of rows that questions add up whole, too. */
const LATEST: Readonly<Record<string, string>> = {
  payout: "created_at",
  payout_reconciliation: "created_at",
  settlement: "last_transaction_at",
}

/** Views whose rows are computed for one owner at a time. */
const BY_OWNER = ["balance_history", "balance_daily"]

/** Views that compare all owners. */
const RECONCILIATIONS = ["balance_reconciliation", "balance_check"]

/** A view whose few rows are each a sum over all owners: the first rows cost as much as all. */
const SUM_OF_OWNERS = "balance_check"

interface Question {
  readonly view: string
  /** Statement to count the rows of; that of the view and the filter if absent. */
  readonly sql?: string
  readonly filter: string
  readonly boundMillis: number
}

const questionsOf = (view: string, columns: ReadonlyArray<string>): ReadonlyArray<Question> => {
  const isByOwner = BY_OWNER.includes(view)
  const latest = ROWS[view]?.latest ?? LATEST[view]
  const selective = [
    ...Object.keys(FILTERS).flatMap(column => (columns.includes(column) ? [FILTERS[column]!] : [])),
    ...(columns.includes("day") && !isByOwner ? [DAY, MONTH] : []),
    ...(latest === undefined ? [] : [`true ORDER BY ${latest} DESC LIMIT 100`]),
    ...(isByOwner ? [] : [PREVIEW]),
  ]
  const whole = RECONCILIATIONS.includes(view) ? RECONCILIATION_MILLIS : WHOLE_MILLIS
  return [
    ...selective.map(filter => ({
      view,
      filter,
      boundMillis: view === SUM_OF_OWNERS ? whole : SELECTIVE_MILLIS,
    })),
    ...(ROWS[view] === undefined ? [{ view, filter: "true", boundMillis: whole }] : []),
  ]
}

/** The questions to every view, so that no new view is left out. */
const allQuestions = async (sql: postgres.Sql): Promise<ReadonlyArray<Question>> => {
  const views = await sql<Array<{ view: string; columns: string }>>`
    SELECT relname AS view, string_agg(attname, ' ') AS columns
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0
    WHERE relnamespace = 'analytics'::regnamespace AND relkind = 'v' GROUP BY 1 ORDER BY 1`
  return views.flatMap(({ view, columns }) => questionsOf(view, columns.split(" ")))
}

const DOCUMENT = new URL("../docs/bi.md", import.meta.url)

/** The statements of docs/bi.md, as questions to the benchmark's ids. */
const documented = async (): Promise<ReadonlyArray<Question>> => {
  const parts = (await readFile(DOCUMENT, "utf8")).split(/^```/m)
  let heading = ""
  return parts.flatMap((part, n) => {
    if (n % 2 === 0) heading = [...part.matchAll(/^#+ (.*)$/gm)].at(-1)?.[1] ?? heading
    if (n % 2 === 0 || !part.startsWith("sql\n")) return []
    const sql = part
      .slice(4)
      .trim()
      .replaceAll("'CUSTOMER'", "'customer_' || md5('1233')")
      .replaceAll("'SETTLEMENT'", "'settlement_77'")
    const isReconciliation = RECONCILIATIONS.some(view => sql.includes(`analytics.${view}`))
    return [
      {
        view: "docs/bi.md",
        filter: heading,
        sql,
        boundMillis: isReconciliation ? RECONCILIATION_MILLIS : WHOLE_MILLIS,
      },
    ]
  })
}

/** A row of the view as a whole is counted, so that no column is left out of the work. */
const countOf = ({
  view,
  filter,
  sql = `SELECT * FROM analytics.${view} WHERE ${filter}`,
}: Question): string => `SELECT count(*) AS all_rows, count(v) AS whole_rows FROM (${sql}) v`

/** Milliseconds of processor time that a server process has used. */
const processorMillis = async (pid: number): Promise<number> => {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")
  const [user, system] = stat.split(") ").at(-1)!.split(" ").slice(11, 13).map(Number)
  // Linux counts in ticks of a hundredth of a second.
  return stat === "" ? Number.NaN : (user! + system!) * 10
}

interface PlanFigures {
  readonly Plan: Readonly<Record<string, unknown>>
}

/** Prints the figures of a question, and answers whether it took longer than its bound. */
const measure = async (session: postgres.Sql, pid: number, question: Question): Promise<boolean> => {
  const figures: Array<{ millis: number; processor: number }> = []
  let rows = "0"
  for (let i = 0; i < REPETITIONS; i++) {
    const processorBefore = await processorMillis(pid)
    const startedAt = performance.now()
    const [counted] = await session.unsafe<Array<{ all_rows: string }>>(countOf(question))
    figures.push({
      millis: performance.now() - startedAt,
      processor: (await processorMillis(pid)) - processorBefore,
    })
    rows = counted!.all_rows
  }
  const [explained] = await session.unsafe<Array<{ "QUERY PLAN": string | ReadonlyArray<PlanFigures> }>>(
    `EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT json) ${countOf(question)}`,
  )
  const text = explained!["QUERY PLAN"]
  const [{ Plan: plan }] = (typeof text === "string" ? JSON.parse(text) : text) as [PlanFigures]
  const mebibytes = (...names: ReadonlyArray<string>) =>
    (names.reduce((sum, name) => sum + Number(plan[name] ?? 0), 0) * BLOCK_KIB) / 1024
  const middle = Math.floor(REPETITIONS / 2)
  const millis = figures.map(one => one.millis).sort((a, b) => a - b)[middle]!
  const processor = figures.map(one => one.processor).sort((a, b) => a - b)[middle]!
  const isOver = (Number.isNaN(processor) ? millis : processor) > question.boundMillis
  console.log(
    `${question.view.padEnd(24)}${millis.toFixed(0).padStart(7)} ms ${processor.toFixed(0).padStart(6)} ms cpu` +
      `${mebibytes("Shared Hit Blocks", "Shared Read Blocks").toFixed(0).padStart(6)} MiB` +
      `${mebibytes("Temp Written Blocks").toFixed(0).padStart(5)} MiB spilled ${rows.padStart(8)} rows ` +
      `${isOver ? `OVER ${question.boundMillis} ms` : `of ${question.boundMillis} ms`}   ${question.filter}`,
  )
  return isOver
}

const explain = async (session: postgres.Sql, question: Question): Promise<void> => {
  const plan = await session.unsafe<Array<{ "QUERY PLAN": string }>>(
    `EXPLAIN (ANALYZE, BUFFERS) ${countOf(question)}`,
  )
  console.log(
    [`-- ${question.view} WHERE ${question.filter}`, ...plan.map(row => row["QUERY PLAN"])].join("\n"),
  )
}

/** The statement for each part of the transactions. */
const parts = (statement: string): ReadonlyArray<string> =>
  Array.from({ length: Math.ceil(TRANSACTIONS / PART) }, (_, n) =>
    statement
      .replaceAll(":first", String(n * PART + 1))
      .replaceAll(":last", String(Math.min((n + 1) * PART, TRANSACTIONS))),
  )

const fill = async (session: postgres.Sql): Promise<void> => {
  const [stored] = await session`SELECT FROM warehouse.transactions LIMIT 1`
  if (stored !== undefined) return console.log("the directory holds a filled warehouse: it is used as it is")
  const script = await readFile(new URL("bench-views.sql", import.meta.url), "utf8")
  const startedAt = performance.now()
  // One by one: VACUUM is refused among others.
  for (const statement of script.replaceAll(":transactions", String(TRANSACTIONS)).split(/;\n+/))
    for (const part of statement.includes(":first") ? parts(statement) : [statement])
      if (part.trim() !== "") await session.unsafe(part)
  const seconds = (performance.now() - startedAt) / 1000
  console.log(`filled with ${TRANSACTIONS} transactions in ${seconds.toFixed(0)} s`)
}

const scratchDirectory = Effect.acquireRelease(
  Effect.promise(async () => {
    if (options.directory !== undefined) {
      await mkdir(options.directory, { recursive: true })
      return options.directory
    }
    const directory = await mkdtemp(join(tmpdir(), "paycombat-bench-"))
    // Postgres runs as another account when this is root.
    await chmod(directory, 0o755)
    return directory
  }),
  directory =>
    Effect.promise(() =>
      options.directory === undefined
        ? rm(directory, { recursive: true, force: true, maxRetries: 5 })
        : Promise.resolve(),
    ),
)

const bench = Effect.gen(function* () {
  const directory = yield* scratchDirectory
  const { ownerUrl } = yield* embeddedPostgres(directory)
  const sql = yield* connect(ownerUrl)
  yield* migrate(sql)
  yield* Effect.promise(async () => {
    // One session outside the program's pool, for as long as it takes: it has temporary tables, and its process is measured.
    const session = postgres(Redacted.value(ownerUrl), {
      max: 1,
      idle_timeout: 0,
      max_lifetime: null,
      onnotice: () => undefined,
    })
    try {
      await fill(session)
      const [{ pid }] = await session<[{ pid: number }]>`SELECT pg_backend_pid() AS pid`
      // One process does all of the work, so that its processor time is that of the question.
      await session`SET max_parallel_workers_per_gather = 0`
      let over = 0
      for (const question of [...(await documented()), ...(await allQuestions(sql))])
        if (EXPLAINED === undefined) over += (await measure(session, pid, question)) ? 1 : 0
        else if (question.view === EXPLAINED) await explain(session, question)
      if (EXPLAINED === undefined) console.log(`${over} questions took longer than their bounds`)
    } finally {
      await session.end()
    }
  })
}).pipe(Effect.scoped)

await Effect.runPromise(bench)
