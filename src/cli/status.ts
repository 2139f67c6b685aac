import { Effect, Option } from "effect"
import * as App from "../App.ts"
import * as Config from "../Config.ts"
import { ago } from "../Health.ts"
import type { JudgedStatus } from "../Standing.ts"
import { secondsOf } from "./maxAge.ts"
import { print, printJson, say, table } from "./output.ts"
import { visible } from "./visible.ts"

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
  "path",
  "running",
]

interface Options {
  readonly account: ReadonlyArray<string>
  readonly stream: ReadonlyArray<string>
  readonly maxAge: Option.Option<string>
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

/** What there is to say, once per wording: `payouts, wallets: …`. */
const said = (
  statuses: ReadonlyArray<JudgedStatus>,
  mark: string,
  wordsOf: (status: JudgedStatus) => string | null,
): ReadonlyArray<string> => {
  const about = new Map<string, Array<JudgedStatus>>()
  for (const status of statuses) {
    const words = wordsOf(status)
    if (words !== null) about.set(words, [...(about.get(words) ?? []), status])
  }
  return Array.from(about, ([words, streams]) => visible(`${mark} ${namesOf(streams, statuses)}: ${words}`))
}

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

/** Whether something of it is in no figure, though all of it was read. */
const isShort = ({ rejects, leftOver, unmapped, isRetired }: JudgedStatus): boolean =>
  !isRetired && (rejects > 0 || leftOver > 0 || (unmapped ?? 0) > 0)

const time = (iso: string) => `${iso.slice(0, 16).replace("T", " ")} UTC`

const judge = (options: Options) =>
  Effect.gen(function* () {
    const maxAgeSeconds = Option.getOrUndefined(yield* secondsOf(options.maxAge))
    const statuses = yield* App.status({
      accounts: options.account,
      streams: options.stream,
      ...(maxAgeSeconds === undefined ? {} : { maxAgeSeconds }),
    })
    const problems = statuses.filter(({ problem }) => problem !== null)
    if (problems.length > 0 || statuses.length === 0) process.exitCode = 1
    if (options.json) return yield* printJson(statuses)
    const [first] = statuses
    if (first === undefined) return yield* print(NOTHING)
    yield* print(
      [
        table({ columns: COLUMNS, rows: statuses.map(cells) }),
        ...said(statuses, "✖", ({ problem }) => problem?.message ?? null),
        ...retired(statuses, options.account),
        ...said(statuses, "·", ({ note }) => note),
        ...said(statuses, "·", ({ rejects }) =>
          rejects === 0 ? null : "has open rejects: see `paycombat-sync rejects list`.",
        ),
        ...said(statuses, "·", ({ unmapped }) =>
          unmapped === null || unmapped === 0
            ? null
            : `${unmapped} of event types without a known direction are in no settlement and no balance: see` +
              " analytics.unmapped_event_type, and say in warehouse.event_directions what they are.",
        ),
        `· serve, where it runs: next run ${time(first.nextRunAt)}, next full pass ${time(first.nextFullAt)}.`,
        problems.length === 0
          ? `✔ The figures can be trusted${statuses.some(isShort) ? ", but for what is left out of them: see the lines marked ·" : ""}.`
          : "✖ The figures cannot all be trusted: see the lines marked ✖.",
      ].join("\n"),
    )
  }).pipe(Effect.provide(App.configuredExisting))

/** Prints how each stream of each account stands; sets the exit code to 1 where figures are not to be trusted. */
export const run = (options: Options) =>
  Effect.gen(function* () {
    const missing = yield* App.missingWarehouse(yield* Config.database)
    if (Option.isNone(missing)) return yield* judge(options)
    process.exitCode = 1
    if (!options.json) return yield* print(missing.value)
    yield* say(missing.value)
    yield* printJson([])
  })
