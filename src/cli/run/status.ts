import { Effect, Option } from "effect"
import * as App from "../../app.ts"
import * as Config from "../../config/config.ts"
import { ago, gravest, type Level, type Verdict } from "../../core/verdict.ts"
import type { JudgedStatus } from "../../status/status.ts"
import { print, printJson, say, table } from "../terminal/output.ts"
import { MARKS, verdictLines } from "../terminal/verdictLines.ts"
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
    status.isVerified === false ? `${status.path} (unverified)` : status.path,
    status.heldBy === null ? null : `${status.heldBy} since ${status.heldSince?.slice(0, 19)}`,
  ]
}

/** Streams as a sentence begins: `eu/payouts, eu/wallets`, and `eu` where it is about all of an account's. */
const namesOf = (about: ReadonlyArray<JudgedStatus>, all: ReadonlyArray<JudgedStatus>): string => {
  const isNamed = new Set(all.map(({ account }) => account)).size > 1
  return [...new Set(about.map(({ account }) => account))]
    .flatMap(account => {
      const own = about.filter(status => status.account === account)
      const total = all.filter(status => status.account === account).length
      if (isNamed && total > 1 && own.length === total) return [account]
      return own.map(({ stream }) => (isNamed ? `${account}/${stream}` : stream))
    })
    .join(", ")
}

/** Texts on streams, each wording once: `payouts, wallets: …`. */
const said = (
  statuses: ReadonlyArray<JudgedStatus>,
  mark: string,
  textsOf: (status: JudgedStatus) => ReadonlyArray<string>,
): ReadonlyArray<string> => {
  const about = new Map<string, Array<JudgedStatus>>()
  for (const status of statuses)
    for (const text of textsOf(status)) about.set(text, [...(about.get(text) ?? []), status])
  return Array.from(about, ([text, streams]) => visible(`${mark} ${namesOf(streams, statuses)}: ${text}`))
}

const found =
  (level: Level) =>
  ({ findings, isRetired }: JudgedStatus): ReadonlyArray<string> =>
    findings.flatMap(finding =>
      finding.level === level && !(isRetired && finding.kind === "retired") ? [finding.text] : [],
    )

/** Of an account that is configured no more: how old its figures are, and how to have it judged. */
const retired = (statuses: ReadonlyArray<JudgedStatus>, named: ReadonlyArray<string>) => {
  const old = statuses.filter(({ isRetired }) => isRetired)
  return [...new Set(old.map(({ account }) => account))].map(account => {
    const ages = old.flatMap(status => (status.account === account ? (status.ageSeconds ?? []) : []))
    const age =
      ages.length === 0 ? "it was never read to its end" : `its figures are ${ago(Math.max(...ages))} old`
    const judging = named.includes(account) ? "" : " Judged where --account names it."
    return `· ${account}: not configured any more; ${age}.${judging}`
  })
}

/** No account is configured, and the warehouse knows of none. */
const NOTHING =
  "Nothing was synced yet, and no account is configured: set PAYCOMBAT_TOKEN (see .env.example), then run" +
  " `paycombat-sync sync`."

/** One verdict per account that is judged, as the view has it. */
const verdictsIn = (
  statuses: ReadonlyArray<JudgedStatus>,
  named: ReadonlyArray<string>,
): ReadonlyArray<Pick<Verdict, "account" | "level" | "sentence">> => {
  const judged = statuses.filter(({ account, isRetired }) => !isRetired || named.includes(account))
  const verdicts = new Map(judged.map(({ account, verdict }) => [account, { account, ...verdict }]))
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
        ...said(statuses, MARKS.bad, found("bad")),
        ...said(statuses, MARKS.attention, found("attention")),
        ...retired(statuses, options.account),
        ...said(statuses, "·", ({ note }) => (note === null ? [] : [note])),
        ...said(statuses, "·", found("good")),
        `· serve, where it runs: next run ${time(first.nextRunAt)}, next full pass ${time(first.nextFullAt)}.`,
        ...verdictLines(verdicts),
      ].join("\n"),
    )
  })

/** Prints that there is nothing to judge yet. */
const nothing = (options: Options, message: string) =>
  Effect.gen(function* () {
    process.exitCode = 1
    if (!options.json) return yield* print(message)
    yield* say(message)
    yield* printJson([])
  })

/** Prints how each stream of each account stands; sets the exit code to 1 where figures are not to be trusted. */
export const run = (options: Options) =>
  Effect.gen(function* () {
    const missing = yield* App.missingWarehouse(yield* Config.database)
    if (Option.isSome(missing)) return yield* nothing(options, missing.value)
    yield* Effect.gen(function* () {
      const empty = yield* App.withoutTables
      yield* empty === undefined
        ? judge(options)
        : nothing(options, `${empty}. Run \`paycombat-sync migrate\`, then \`paycombat-sync sync\`.`)
    }).pipe(Effect.provide(App.configuredExisting))
  })
