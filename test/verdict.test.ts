import { describe, expect, it } from "@effect/vitest"
import { Effect, type Redacted } from "effect"
import { type Level, limitsOf } from "../src/core/verdict.ts"
import { connect } from "../src/postgres/connect.ts"
import { allStreams } from "../src/registry.ts"
import { page as reportPage } from "../src/report/page.ts"
import { figuresOf } from "../src/report/report.ts"
import { start } from "../src/sandbox/sandbox.ts"
import { listen } from "../src/serve/http.ts"
import { makeServeState } from "../src/serve/state.ts"
import { streamStatuses } from "../src/status/status.ts"
import { runQuery } from "../src/warehouse/read/query.ts"
import { parsePrometheus, valueOf } from "./serve/prometheusText.ts"
import { cli, databaseEnvironment, linesOf, sandboxEnvironment } from "./support/cli.ts"
import { runSql, testDatabase } from "./support/postgres.ts"
import { slow } from "./support/slow.ts"
import { MIGRATED, SMALL, syncOnce } from "./support/warehouse.ts"

/** Tests that every interface of the program gives the same verdict on the same state. */

interface State {
  readonly title: string
  /** Changes the ledger after a complete sync just now. */
  readonly given: string
  readonly level: Level
  readonly sentence: string | RegExp
  readonly kind: string | null
  /** Reverts the change. */
  readonly undo?: string
}

const TRUSTED = "The figures can be trusted."
const cannot = (brief: string) => `The figures cannot be trusted: ${brief}.`
const except = (brief: string) => `The figures can be trusted, with exceptions: ${brief}.`
const run = (set: string, stream = "payouts") =>
  `CREATE TABLE IF NOT EXISTS public.kept AS SELECT * FROM sync.stream_runs;
   UPDATE sync.stream_runs SET ${set} WHERE stream = '${stream}'`
const RESTORE = "DELETE FROM sync.stream_runs; INSERT INTO sync.stream_runs SELECT * FROM public.kept"
const FIELD = (columns: string, values: string) =>
  `UPDATE sync.fields SET (${columns}) = ROW(${values}) WHERE stream = 'transactions' AND field = 'customer_id'`
const REJECT = (kind: string, stream = "payouts", field = "due_date") =>
  `INSERT INTO sync.rejects (account, stream, record_id, field, kind, reason, raw, content_hash, read_at, first_seen_at, run_id)
   SELECT 'default', '${stream}', 'p', '${field}', '${kind}', 'due_date: is no time', '{}', 'h', now(), now(), gen_random_uuid()`
const DROP_REJECTS = "DELETE FROM sync.rejects"

const CONFIRM = "UPDATE warehouse.event_directions SET confirmed_at = now()"

const STATES: ReadonlyArray<State> = [
  { title: "fresh figures", given: "SELECT 1", level: "good", sentence: TRUSTED, kind: null },
  {
    title: "directions that no person has confirmed",
    given: "UPDATE warehouse.event_directions SET confirmed_at = NULL",
    undo: CONFIRM,
    level: "good",
    sentence: TRUSTED,
    kind: "assumed",
  },
  {
    title: "equations that are older than the figures",
    given: "INSERT INTO sync.figure_changes VALUES ('default', 'payouts', now() - interval '2 minutes')",
    undo: "DELETE FROM sync.figure_changes",
    level: "attention",
    sentence: except("transactions (equations not computed)"),
    kind: "outdated_check",
  },
  {
    title: "an equation that differs",
    given: `UPDATE sync.ledger_checks SET state = 'differs', difference = 5, differs_count = 1, explanation = 'One of three.'
      WHERE check_name = 'fees' AND currency = 'EUR'`,
    undo: "UPDATE sync.ledger_checks SET state = 'ok', differs_count = 0 WHERE check_name = 'fees'",
    level: "attention",
    sentence: except("transactions (fees differs)"),
    kind: "ledger_check",
  },
  {
    title: "a failed stream",
    given: run("status = 'failed', error = 'The list was away'"),
    undo: RESTORE,
    level: "bad",
    sentence: cannot("payouts (failed)"),
    kind: "failed",
  },
  {
    title: "a run whose process died",
    given: run("status = 'running', finished_at = NULL"),
    undo: RESTORE,
    level: "bad",
    sentence: cannot("payouts (broken off)"),
    kind: "dead",
  },
  {
    title: "old figures",
    given: run("finished_at = finished_at - interval '61 minutes'"),
    undo: RESTORE,
    level: "bad",
    sentence: cannot("payouts (too old)"),
    kind: "stale",
  },
  {
    title: "figures of a time that is still to come",
    given: run("finished_at = finished_at + interval '2 hours'"),
    undo: RESTORE,
    level: "bad",
    sentence: cannot("payouts (of unknown age)"),
    kind: "stale",
  },
  {
    title: "a whole pass of three days ago",
    given: `${run("started_at = started_at - interval '3 days', finished_at = finished_at - interval '3 days'")};
      INSERT INTO sync.stream_runs (run_id, account, stream, mode, status, started_at, finished_at)
      SELECT gen_random_uuid(), 'default', 'payouts', 'incremental', 'complete', now(), now()`,
    undo: RESTORE,
    level: "bad",
    sentence: cannot("payouts (not read whole for too long)"),
    kind: "full_stale",
  },
  {
    title: "a stream that never ran",
    given: `${run("error = NULL")}; DELETE FROM sync.stream_runs WHERE stream = 'payouts'`,
    undo: RESTORE,
    level: "bad",
    sentence: cannot("payouts (never read)"),
    kind: "never",
  },
  {
    title: "a reject",
    given: REJECT("record"),
    undo: DROP_REJECTS,
    level: "attention",
    sentence: except("payouts (1 reject)"),
    kind: "rejects",
  },
  {
    title: "an item of a record that cannot be read",
    given: REJECT("item"),
    undo: DROP_REJECTS,
    level: "attention",
    sentence: except("payouts (1 unreadable item)"),
    kind: "items",
  },
  {
    title: "a field reject among many that were read",
    given: REJECT("field"),
    undo: DROP_REJECTS,
    level: "good",
    sentence: TRUSTED,
    kind: "field_rejects",
  },
  {
    title: "a field that no record carries any more",
    given: FIELD("missing_since, level", "now(), 'bad'"),
    undo: FIELD("missing_since, level", "NULL::timestamptz, 'attention'"),
    level: "bad",
    sentence: cannot("transactions (no customer_id)"),
    kind: "missing_field",
  },
  {
    title: "a field that no record carries any more, and no figure rests on",
    given: FIELD("missing_since, level", "now(), 'attention'"),
    undo: FIELD("missing_since", "NULL::timestamptz"),
    level: "attention",
    sentence: except("transactions (no customer_id)"),
    kind: "missing_field",
  },
  {
    title: "a field that once cannot be read",
    given: REJECT("field", "transactions", "settlement_id"),
    undo: DROP_REJECTS,
    level: "attention",
    sentence: except("transactions (unreadable settlement_id)"),
    kind: "unreadable_field",
  },
  {
    title: "a field that often cannot be read",
    given: `${REJECT("field", "transactions", "customer_id")}; ${FIELD("unreadable_since, level", "now(), 'bad'")}`,
    undo: `${DROP_REJECTS}; ${FIELD("unreadable_since, level", "NULL::timestamptz, 'bad'")}`,
    level: "bad",
    sentence: cannot("transactions (unreadable customer_id)"),
    kind: "unreadable_field",
  },
  {
    title: "versions that are older than those stored",
    given: run("stale = 2"),
    undo: RESTORE,
    level: "attention",
    sentence: except("payouts (older versions listed)"),
    kind: "older_versions",
  },
  {
    title: "a list that moved",
    given: run("movement = 'Its pages overlapped.'"),
    undo: RESTORE,
    level: "good",
    sentence: TRUSTED,
    kind: "movement",
  },
  {
    title: "fewer records read than stated",
    given: run("stated = 42, listed = 39, movement = 'Its pages overlapped.'"),
    undo: RESTORE,
    level: "attention",
    sentence: except("payouts (fewer read than stated)"),
    kind: "fewer_read",
  },
  {
    title: "older versions in a run that a broken-off pass began with",
    given: `${run("pass_id = '00000000-0000-0000-0000-000000000001'")};
      INSERT INTO sync.stream_runs (run_id, account, stream, pass_id, mode, status, started_at, finished_at, stale)
      SELECT gen_random_uuid(), account, stream, pass_id, mode, 'interrupted', started_at - interval '1 hour',
        started_at - interval '1 hour', 2 FROM sync.stream_runs WHERE stream = 'payouts'`,
    undo: RESTORE,
    level: "attention",
    sentence: except("payouts (older versions listed)"),
    kind: "older_versions",
  },
  {
    title: "a check that failed",
    given:
      "UPDATE warehouse.wallet_readiness SET check_error = 'refused' WHERE customer_id = (SELECT min(customer_id) FROM warehouse.customers)",
    undo: "UPDATE warehouse.wallet_readiness SET check_error = NULL",
    level: "attention",
    sentence: except("wallet_readiness (1 failed check)"),
    kind: "check_failed",
  },
  {
    title: "a failed check of a customer who is removed",
    given: `UPDATE warehouse.wallet_readiness SET check_error = 'refused' WHERE customer_id = (SELECT min(customer_id) FROM warehouse.customers);
      UPDATE warehouse.customers SET removed_at = now() WHERE customer_id = (SELECT min(customer_id) FROM warehouse.customers)`,
    undo: "UPDATE warehouse.wallet_readiness SET check_error = NULL; UPDATE warehouse.customers SET removed_at = NULL",
    level: "good",
    sentence: TRUSTED,
    kind: null,
  },
  {
    title: "removals that are not proven",
    given: run("unconfirmed = 3"),
    undo: RESTORE,
    level: "attention",
    sentence: except("payouts (removals not proven)"),
    kind: "unconfirmed",
  },
  {
    title: "an event type without a direction",
    given: "UPDATE warehouse.transactions SET event_type = 'ODD' WHERE event_type = 'PAYIN'",
    undo: "UPDATE warehouse.transactions SET event_type = 'PAYIN' WHERE event_type = 'ODD'",
    level: "attention",
    sentence: except("transactions (unknown direction)"),
    kind: "unmapped",
  },
  {
    title: "look-ups without an answer",
    given: run("unanswered = 9", "wallet_readiness"),
    undo: RESTORE,
    level: "good",
    sentence: TRUSTED,
    kind: "unanswered",
  },
]

/** Findings about the basis of the figures. */
const BASIS = ["assumed", "outdated_check", "ledger_check"]

/** Text as a page or a document may have it. */
const plain = (text: string) => text.replaceAll(/<[^>]*>|`/g, "")

/** Reads the verdict of each interface on the account `default`. */
const facesOf = (ownerUrl: Redacted.Redacted, readerUrl: Redacted.Redacted) =>
  Effect.gen(function* () {
    const sql = yield* connect(ownerUrl)
    const streams = yield* allStreams
    const schedule = { next: () => new Date(0), intervalSeconds: () => 900 } as never
    const view = yield* runQuery(readerUrl, "SELECT level, sentence FROM analytics.verdict")
    const statuses = yield* streamStatuses(sql, streams, schedule, { configured: ["default"] })
    const state = yield* makeServeState(sql, {
      accounts: ["default"],
      streams,
      schedule,
      limits: limitsOf({ incremental: 900, full: 86_400 }),
    })
    const url = yield* listen({ host: "127.0.0.1", port: 0 }, state.read)
    const get = (path: string) =>
      Effect.promise(async () => {
        const response = await fetch(`${url}${path}`)
        return { status: response.status, text: await response.text() }
      })
    const html = yield* get("/")
    const ready = yield* get("/readyz")
    const samples = parsePrometheus((yield* get("/metrics")).text)
    const report = yield* figuresOf(
      readerUrl,
      { accounts: [], currencies: [] },
      { isDemo: false, rule: { accounts: ["default"], limits: {} } },
    )
    return { view, statuses, html, ready, samples, report }
  }).pipe(Effect.scoped)

const VALUES: Readonly<Record<Level, number>> = { good: 0, attention: 1, bad: 2 }

describe("every interface", () => {
  const gives = (states: typeof STATES) =>
    it.scopedLive("gives the same level and the same sentence in every state", () =>
      Effect.gen(function* () {
        const { ownerUrl, readerUrl } = yield* testDatabase({ template: MIGRATED })
        const sandbox = yield* start(SMALL)
        const summary = yield* Effect.scoped(Effect.flatMap(connect(ownerUrl), sql => syncOnce(sql, sandbox)))
        expect(summary).toMatchObject({
          verdicts: [{ account: "default", level: "good", sentence: TRUSTED }],
        })
        const execute = (statement: string) => Effect.promise(() => runSql(ownerUrl, statement))
        yield* execute(CONFIRM)
        for (const { title, given, undo, level, sentence, kind } of states) {
          yield* execute(given)
          const { view, statuses, html, ready, samples, report } = yield* facesOf(ownerUrl, readerUrl)
          const body = JSON.parse(ready.text) as { ready: boolean; level: string; sentence: string }
          const escaped = String(sentence).replaceAll("'", "&#39;")
          const hasSince =
            !["never", "unmapped", "ledger_check"].includes(kind ?? "") &&
            !String(sentence).includes("of unknown age")
          expect({
            title,
            view: view.rows,
            status: statuses[0]!.verdict,
            kinds: [...new Set(statuses.flatMap(({ findings }) => findings.map(finding => finding.kind)))],
            ready: [ready.status, body.ready, body.level, body.sentence],
            page: html.text.includes(`<h1>${escaped}</h1>`),
            metrics: [
              valueOf(samples, "verdict", { account: "default" }),
              valueOf(samples, "ready"),
              valueOf(samples, "problems"),
            ],
            report: [report.verdict.level, report.verdict.sentence],
            reportPage: reportPage(report).includes(`</svg>${escaped}</span></h2>`),
            pagesWithout: statuses
              .flatMap(({ findings }) =>
                findings.map(({ text }) => text.split(/['"]/)[0]!.replaceAll("`", "")),
              )
              .filter(text => !plain(html.text).includes(text) || !plain(reportPage(report)).includes(text)),
          }).toEqual({
            title,
            view: [[level, sentence]],
            status: {
              level,
              sentence,
              // The ledger has no start time for things that were never done, or that are of unknown age.
              since: hasSince ? expect.any(String) : null,
            },
            kinds: kind === null ? [] : [kind],
            ready: level === "bad" ? [503, false, level, sentence] : [200, true, level, sentence],
            page: true,
            metrics: [VALUES[level], level === "bad" ? 0 : 1, level === "bad" ? 1 : 0],
            report: [level, sentence],
            reportPage: true,
            pagesWithout: [],
          })
          if (undo !== undefined) yield* execute(undo)
        }
      }),
    )

  // The basis of the figures, and every third state, so that each level occurs; the slow suite goes through all of them.
  gives(STATES.filter(({ kind }, n) => n % 3 === 0 || BASIS.some(of => of === kind)))
  slow(() => gives(STATES))

  slow(() => {
    it.scopedLive("on the command line ends with that sentence, and with the exit code for the level", () =>
      Effect.gen(function* () {
        const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
        const sandbox = yield* start(SMALL)
        const { run } = yield* cli({ ...sandboxEnvironment(sandbox), ...databaseEnvironment(ownerUrl) })
        const last = (stdout: string) => linesOf(stdout).at(-1)
        const synced = yield* run(["sync"])
        expect([synced.code, last(synced.stdout)]).toEqual([0, `✔ ${TRUSTED}`])
        yield* Effect.promise(() => runSql(ownerUrl, REJECT("record")))
        const attention = `! ${except("payouts (1 reject)")}`
        const mild = yield* run(["status"])
        expect([mild.code, last(mild.stdout)]).toEqual([0, attention])
        const strict = yield* run(["status", "--strict"])
        expect([strict.code, last(strict.stdout)]).toEqual([1, attention])
        const json = yield* run(["sync", "--stream", "wallets", "--json"])
        expect(JSON.parse(json.stdout)).toMatchObject({
          verdicts: [{ account: "default", level: "attention", sentence: attention.slice(2) }],
        })
      }),
    )
  })
})
