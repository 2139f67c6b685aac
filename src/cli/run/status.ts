import { Effect, Option } from "effect"
import * as App from "../../app.ts"
import * as Config from "../../config/config.ts"
import { ago, gravest, type Level, type Verdict } from "../../core/verdict.ts"
import { listStreamNames } from "../../registry.ts"
import { configuredSchedule } from "../../status/schedules.ts"
import type { JudgedStatus } from "../../status/status.ts"
import { MARKS, print, printJson, say, table, verdictLines } from "../terminal/output.ts"
import { visible } from "../terminal/visible.ts"
import { secondsOf } from "./maxAge.ts"

const COLUMNS = [
  "account",
  "stream",
  "last run",
  "mode",
  "complete",
  "rows",
  "rejects",
  "removed",
  "left over",
  "unanswered",
  "path",
  "running",
]

interface Options {
  readonly account: ReadonlyArray<string>
  readonly stream: ReadonlyArray<string>
  readonly maxAge: Option.Option<string>
  readonly strict: boolean
  readonly json: boolean
}

const isAway = ({ findings }: JudgedStatus): boolean => findings.some(({ kind }) => kind === "not_available")

const cells = (status: JudgedStatus): ReadonlyArray<string | null> => {
  const mark = status.isEstimate ? "≈" : ""
  return [
    status.isRetired ? `${status.account} (not configured)` : status.account,
    status.stream,
    status.isDead ? "dead" : (status.lastRunStatus ?? "never"),
    status.lastRunMode,
    status.ageSeconds === null ? "never" : `${ago(status.ageSeconds)} ago`,
    `${mark}${status.rows}`,
    String(status.rejects),
    `${mark}${status.removed}`,
    String(status.leftOver),
    String(status.unanswered),
    isAway(status)
      ? "not available"
      : status.isVerified === false
        ? `${status.path} (unverified)`
        : status.path,
    status.heldBy === null ? null : `${status.heldBy} since ${status.heldSince?.slice(0, 19)}`,
  ]
}

/** Names streams at the start of a sentence: `eu/payouts, eu/wallets`, or `eu` for all streams of an account. */
const namesOf = (some: ReadonlyArray<JudgedStatus>, all: ReadonlyArray<JudgedStatus>): string => {
  const isNamed = new Set(all.map(({ account }) => account)).size > 1
  return [...new Set(some.map(({ account }) => account))]
    .flatMap(account => {
      const own = some.filter(status => status.account === account)
      const total = all.filter(status => status.account === account).length
      if (isNamed && total > 1 && own.length === total) return [account]
      return own.map(({ stream }) => (isNamed ? `${account}/${stream}` : stream))
    })
    .join(", ")
}

/** Groups equal texts on several streams into one line: `payouts, wallets: …`. */
const linesOf = (
  statuses: ReadonlyArray<JudgedStatus>,
  mark: string,
  textsOf: (status: JudgedStatus) => ReadonlyArray<string>,
): ReadonlyArray<string> => {
  const byText = new Map<string, Array<JudgedStatus>>()
  for (const status of statuses)
    for (const text of textsOf(status)) byText.set(text, [...(byText.get(text) ?? []), status])
  return Array.from(byText, ([text, streams]) => visible(`${mark} ${namesOf(streams, statuses)}: ${text}`))
}

const findingTexts =
  (level: Level) =>
  ({ findings, isRetired }: JudgedStatus): ReadonlyArray<string> =>
    findings.flatMap(finding =>
      finding.level === level && !(isRetired && finding.kind === "retired") ? [finding.text] : [],
    )

/** Describes accounts that are no longer configured: the age of their figures, and how to have them judged. */
const retired = (statuses: ReadonlyArray<JudgedStatus>, named: ReadonlyArray<string>) => {
  const old = statuses.filter(({ isRetired }) => isRetired)
  return [...new Set(old.map(({ account }) => account))].map(account => {
    const ages = old.flatMap(status => (status.account === account ? (status.ageSeconds ?? []) : []))
    const age =
      ages.length === 0 ? "it was never read completely" : `its figures are ${ago(Math.max(...ages))} old`
    const judging = named.includes(account) ? "" : " Judged only if --account names it."
    return `· ${account}: no longer configured; ${age}.${judging}`
  })
}

const NOTHING =
  "Nothing was synced yet, and no account is configured: set PAYCOMBAT_TOKEN (see .env.example), then run" +
  " `paycombat-sync sync`."

const verdictsIn = (
  statuses: ReadonlyArray<JudgedStatus>,
  named: ReadonlyArray<string>,
): ReadonlyArray<Pick<Verdict, "account" | "level" | "sentence">> => {
  const judgedStatuses = statuses.filter(({ account, isRetired }) => !isRetired || named.includes(account))
  const verdicts = new Map(judgedStatuses.map(({ account, verdict }) => [account, { account, ...verdict }]))
  return [...verdicts.values()]
}

const time = (iso: string) => `${iso.slice(0, 16).replace("T", " ")} UTC`

const judge = (options: Options) =>
  Effect.gen(function* () {
    const maxAgeSeconds = Option.getOrUndefined(yield* secondsOf(options.maxAge))
    const statuses = yield* App.status({
      accounts: options.account,
      streams: options.stream,
      ...(maxAgeSeconds === undefined ? {} : { maxAgeSeconds }),
    })
    const verdicts = verdictsIn(statuses, options.account)
    const level = gravest(verdicts)
    if (statuses.length === 0 || level === "bad" || (options.strict && level === "attention"))
      process.exitCode = 1
    if (options.json) return yield* printJson(statuses)
    const [first] = statuses
    if (first === undefined) return yield* print(NOTHING)
    yield* print(
      [
        table({ columns: COLUMNS, rows: statuses.map(cells) }),
        ...linesOf(statuses, MARKS.bad, findingTexts("bad")),
        ...linesOf(statuses, MARKS.attention, findingTexts("attention")),
        ...retired(statuses, options.account),
        // The note of a stream that is not available says the same as its finding.
        ...linesOf(statuses, "·", status => (status.note === null || isAway(status) ? [] : [status.note])),
        ...linesOf(statuses, "·", findingTexts("good")),
        `· serve, if it runs: next run ${time(first.nextRunAt)}, next full pass ${time(first.nextFullAt)}.`,
        ...verdictLines(verdicts),
      ].join("\n"),
    )
  })

const nothing = (options: Options, message: string) =>
  Effect.gen(function* () {
    process.exitCode = 1
    if (!options.json) return yield* print(message)
    yield* say(message)
    yield* printJson([])
  })

/** Fails if `sync` would refuse a setting that is there. */
const checkSettings = Effect.gen(function* () {
  yield* Config.checkAccounts(yield* listStreamNames)
  yield* Config.run
  yield* configuredSchedule
})

/** Prints the status of each stream of each account. Sets the exit code to 1 if figures cannot be trusted. */
export const run = (options: Options) =>
  Effect.gen(function* () {
    yield* checkSettings
    const missing = yield* App.missingWarehouse(yield* Config.database)
    if (Option.isSome(missing)) return yield* nothing(options, missing.value)
    yield* Effect.gen(function* () {
      const empty = yield* App.withoutTables
      yield* empty === undefined
        ? judge(options)
        : nothing(options, `${empty}. Run \`paycombat-sync migrate\`, then \`paycombat-sync sync\`.`)
    }).pipe(Effect.provide(App.configuredExisting))
  })
