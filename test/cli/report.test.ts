import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import { intoFile } from "../../src/cli/run/reportFiles.ts"
import { connect } from "../../src/postgres/connect.ts"
import type { ReportData } from "../../src/warehouse/report/types.ts"
import { cli, databaseEnvironment, saidIn } from "../support/cli.ts"
import { testDatabase } from "../support/postgres.ts"
import { fill, onOneDay } from "../support/report.ts"
import { slow } from "../support/slow.ts"
import { MIGRATED, printed } from "../support/warehouse.ts"

/** Runs the command `report`: its files, formats and refusals. */

onOneDay()

const today = () => new Date().toISOString().slice(0, 10)

const bench = Effect.gen(function* () {
  const database = yield* testDatabase({ template: MIGRATED })
  const sql = yield* connect(database.ownerUrl)
  yield* fill(sql, { accounts: ["eu", "apac"], days: 12, currencies: ["EUR", "KWD"] })
  const environment = { PAYCOMBAT_READER_URL: Redacted.value(database.readerUrl) }
  return { ...database, sql, environment, ...(yield* cli(environment)) }
})

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8)

/** Parses CSV by RFC 4180. */
const parse = (text: string): ReadonlyArray<ReadonlyArray<string>> => {
  const rows: Array<Array<string>> = []
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n)/g)) {
    if (rows.length === 0) rows.push([])
    rows.at(-1)!.push(quoted?.replaceAll('""', '"') ?? plain!)
    if (end === "\n") rows.push([])
  }
  return rows.slice(0, -1)
}

/** Days without any data. */
const NOTHING = ["--from", "2001-01-01", "--to", "2001-01-31"]

describe.concurrent("report", () => {
  it.scopedLive(
    "writes one page that only its owner may read, prints its path, and replaces the old one",
    () =>
      Effect.gen(function* () {
        const { run, directory } = yield* bench
        const first = yield* run(["report"])
        expect([first.code, saidIn(first.stderr)]).toEqual([0, []])
        const name = `paycombat-report-${today()}.html`
        expect(first.stdout).toMatch(
          new RegExp(`^${name}: the report of \\d{4}-\\d\\d-\\d\\d to ${today()}, as of ${today()} `),
        )
        expect(readdirSync(directory)).toEqual([name])
        expect(modeOf(join(directory, name))).toBe("600")
        const text = readFileSync(join(directory, name), "utf8")
        expect(text).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/)
        expect(text).not.toContain("Simulated data")

        writeFileSync(join(directory, name), "old")
        yield* run(["report"])
        expect(readFileSync(join(directory, name), "utf8").length).toBeGreaterThan(10_000)
        const out = yield* run(["report", "-"])
        expect(out.stdout).toMatch(/^<!doctype html>/)
        expect(readdirSync(directory)).toEqual([name])
      }),
  )

  slow(() => {
    it.scopedLive("writes the same figures as JSON, narrowed by the filters", () =>
      Effect.gen(function* () {
        const { run, directory, sql } = yield* bench
        const asked = ["--account", "eu", "--currency", "KWD", "--from", today(), "--to", today()]
        const ended = yield* run(["report", ...asked, "figures.json"])
        expect([ended.code, saidIn(ended.stderr)]).toEqual([0, []])
        const data = JSON.parse(readFileSync(join(directory, "figures.json"), "utf8")) as ReportData
        expect(data).toMatchObject({
          accounts: ["eu"],
          currencies: ["KWD"],
          from: today(),
          to: today(),
          isDemo: false,
        })
        const [row] = yield* printed(
          sql,
          `SELECT * FROM analytics.settlement_daily WHERE account = 'eu' AND currency = 'KWD' AND day = '${today()}'`,
        )
        expect(data.settlements.totals.rows).toEqual([
          expect.objectContaining({
            settled_amount: row!.settled_amount,
            unsettled_amount: row!.unsettled_amount,
          }),
        ])
        const stdout = yield* run(["report", "--format", "json", "-"])
        expect((JSON.parse(stdout.stdout) as ReportData).accounts).toEqual(["apac", "eu"])
        const short = yield* run(["report", "--json", "--account", "eu"])
        expect([short.code, saidIn(short.stderr)]).toEqual([0, []])
        expect((JSON.parse(short.stdout) as ReportData).accounts).toEqual(["eu"])
        expect(readdirSync(directory)).toEqual(["figures.json"])
        yield* run(["report", "--json", "--format", "json", "again.json"])
        const again = JSON.parse(readFileSync(join(directory, "again.json"), "utf8")) as ReportData
        expect(again.accounts).toEqual(["apac", "eu"])
      }),
    )
  })

  it.scopedLive("writes each view as CSV that reads back as the view, and replaces only its own files", () =>
    Effect.gen(function* () {
      const { run, directory, sql } = yield* bench
      const ended = yield* run(["report", "--format", "csv", "views"])
      expect([ended.code, saidIn(ended.stderr)]).toEqual([0, []])
      const folder = join(directory, "views")
      const views = yield* printed(
        sql,
        `SELECT viewname AS view FROM pg_views WHERE schemaname = 'analytics' ORDER BY 1`,
      )
      expect(readdirSync(folder)).toEqual(views.map(({ view }) => `${view}.csv`))
      expect([modeOf(folder), modeOf(join(folder, "settlement.csv"))]).toEqual(["700", "600"])
      for (const { view } of views) {
        const [head, ...rows] = parse(readFileSync(join(folder, `${view}.csv`), "utf8"))
        const columns = head!.map(name => `coalesce("${name}"::text, '')`)
        // These values grow between two reads.
        const still = columns.filter(column => !/\("(lag|answer_age)"::/.test(column))
        const places = columns.map((column, i) => (still.includes(column) ? i : -1)).filter(i => i >= 0)
        const expected = yield* printed(
          sql,
          `SELECT jsonb_build_array(${still.join(", ")}) AS row FROM analytics.${view}`,
        )
        const said = rows.map(row => JSON.stringify(places.map(i => row[i])))
        const values = expected.map(({ row }) => JSON.stringify(JSON.parse(row!)))
        // JSON writes a boolean as a word; CSV writes a letter.
        const same = (texts: ReadonlyArray<string>) =>
          texts.map(text => text.replaceAll('"true"', '"t"').replaceAll('"false"', '"f"')).sort()
        expect(same(said), view!).toEqual(same(values))
      }

      const narrow = yield* run([
        "report",
        "--format",
        "csv",
        "--currency",
        "EUR",
        "--from",
        today(),
        "views",
      ])
      expect(narrow.code).toBe(0)
      const [, ...days] = parse(readFileSync(join(folder, "settlement_daily.csv"), "utf8"))
      expect(days.map(row => row.slice(0, 3)).sort()).toEqual([
        ["apac", today(), "EUR"],
        ["eu", today(), "EUR"],
      ])
      for (const mine of ["notes.txt", "bank.csv"]) {
        writeFileSync(join(folder, mine), "mine")
        const refused = yield* run(["report", "--format", "csv", "views"])
        expect([mine, refused.code, saidIn(refused.stderr).length]).toEqual([mine, 2, 1])
        expect(readFileSync(join(folder, mine), "utf8")).toBe("mine")
        rmSync(join(folder, mine))
      }
      expect(readdirSync(directory)).toEqual(["views"])
    }),
  )

  slow(() => {
    it.scopedLive("writes no formula for a spreadsheet, and keeps negative numbers", () =>
      Effect.gen(function* () {
        const { run, directory, sql } = yield* bench
        yield* Effect.promise(
          () =>
            sql`UPDATE warehouse.transactions SET event_name = '=HYPERLINK("http://x")', amount = -abs(amount)`,
        )
        yield* run(["report", "--format", "csv", "views"])
        const [head, first] = parse(readFileSync(join(directory, "views/settlement_transaction.csv"), "utf8"))
        expect(first![head!.indexOf("event_name")]).toBe(`'=HYPERLINK("http://x")`)
        expect(first![head!.indexOf("amount")]).toMatch(/^-\d/)
      }),
    )
  })

  slow(() => {
    it.scopedLive("says in every format that a period has no data", () =>
      Effect.gen(function* () {
        const { run, directory } = yield* bench
        for (const format of ["json", "csv"]) {
          const ended = yield* run(["report", "--format", format, ...NOTHING, `old-${format}`])
          expect([format, ended.code]).toEqual([format, 0])
          expect(saidIn(ended.stderr)).toEqual([
            "Nothing is dated from 2001-01-01 to 2001-01-31: check that these are the right days.",
          ])
        }
        const [head, ...rows] = parse(readFileSync(join(directory, "old-csv/settlement.csv"), "utf8"))
        expect([head![0], rows]).toEqual(["account", []])
      }),
    )
  })

  slow(() => {
    it.scopedLive("judges by the configured schedule, or by --max-age", () =>
      Effect.gen(function* () {
        const { run, sql } = yield* bench
        yield* Effect.promise(
          () =>
            sql`UPDATE sync.stream_runs SET started_at = now() - interval '5 hours', finished_at = now() - interval '5 hours'`,
        )
        const nightly = yield* run(["report", "--format", "json", "-"], { PAYCOMBAT_SCHEDULE: "0 3 * * *" })
        const { rule, verdict } = JSON.parse(nightly.stdout) as ReportData
        expect(rule.limits).toEqual({ maxAgeSeconds: 48 * 3_600, fullMaxAgeSeconds: 48 * 3_600 })
        // The data hold rejects and unknown event types on purpose. These are exceptions, and no figure is
        // stale.
        expect(verdict.level).toBe("attention")
        expect(verdict.findings.filter(({ text }) => /ago, which is more than/.test(text))).toEqual([])
        const { stdout } = yield* run(["report", "--max-age", "4 hours", "-"])
        expect(stdout).toContain("at most 4 hours old and the last full pass at most 2 days")
        expect(stdout).toContain("was read to its end 5 h ago, which is more than 4h")
      }),
    )
  })

  it.scopedLive("uses the reader's login only", () =>
    Effect.gen(function* () {
      const { run, ownerUrl, directory } = yield* bench
      const owner = yield* run(["report"], { PAYCOMBAT_READER_URL: Redacted.value(ownerUrl) })
      expect([owner.code, owner.stderr]).toEqual([
        2,
        expect.stringContaining("may do more than read analytics"),
      ])
      const { run: without } = yield* cli(databaseEnvironment(ownerUrl))
      const unset = yield* without(["report"])
      expect([unset.code, unset.stderr]).toEqual([
        2,
        expect.stringContaining("PAYCOMBAT_READER_URL is not set"),
      ])
      expect(readdirSync(directory)).toEqual([])
    }),
  )

  slow(() => {
    it.scopedLive("refuses bad arguments in one line, and leaves no file behind", () =>
      Effect.gen(function* () {
        const { run, directory } = yield* bench
        for (const [args, words] of [
          [["--from", "2026-02-30"], "--from 2026-02-30 is not a day"],
          [["--to", "yesterday"], "--to yesterday is not a day"],
          [["--account", "us"], "account us"],
          [["--currency", "eur"], "EUR, KWD"],
          [["--format", "csv", "-"], "name a directory"],
          [["report.csv"], "--format csv"],
          [["report.pdf"], "ends in .html or .json"],
          [["."], "is a directory"],
          [["none/report.html"], "ENOENT"],
          [["--format", "csv", "none/views"], "ENOENT"],
          [["--format", "csv", "--account", "us", "views"], "account us"],
          [["--format", "csv", "--currency", "eur", "views"], "EUR, KWD"],
          [["--format", "csv", "--from", "2026-02-01", "--to", "2026-01-01", "views"], "is after --to"],
          [["--format", "csv", "--max-age", "2 hours", "views"], "--max-age is for html and json"],
          [["--max-age", "soon"], "--max-age soon is not a duration"],
          [["--format", "pdf"], "html"],
          [["--json", "--format", "csv"], "--json and --format csv are two formats"],
          [["--json", "--format", "html", "-"], "--json and --format html are two formats"],
        ] as const) {
          const ended = yield* run(["report", ...args])
          expect([args, ended.code, ended.stdout]).toEqual([args, 2, ""])
          expect(saidIn(ended.stderr)).toEqual([expect.stringContaining(words)])
        }
        expect(readdirSync(directory)).toEqual([])
      }),
    )
  })

  it.scopedLive("deletes an unfinished file when it is interrupted", () =>
    Effect.gen(function* () {
      const { directory } = yield* cli({})
      let isOver = false
      async function* endless() {
        while (!isOver) yield await new Promise<string>(resolve => setTimeout(resolve, 5, "more "))
      }
      const writing = yield* Effect.fork(
        intoFile(join(directory, "report.json"), write => Effect.promise(() => write(endless()))),
      )
      yield* Effect.repeat(Effect.sleep("5 millis").pipe(Effect.map(() => readdirSync(directory))), {
        until: found => found.length === 1,
      })
      yield* Fiber.interrupt(writing)
      expect(readdirSync(directory)).toEqual([])
      isOver = true
    }),
  )
})
