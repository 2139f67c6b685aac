import { Effect, Option } from "effect"
import * as App from "../App.ts"
import * as Config from "../Config.ts"
import { ago } from "../Health.ts"
import type { JudgedStatus } from "../Standing.ts"
import { secondsOf } from "./maxAge.ts"
import { print, printJson, say, table } from "./output.ts"

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
    status.account,
    status.stream,
    status.isDead ? "dead" : status.lastRunStatus,
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

/** What there is to say, once per wording: `payouts, wallets: …`. */
const said = (
  statuses: ReadonlyArray<JudgedStatus>,
  mark: string,
  wordsOf: (status: JudgedStatus) => string | null,
): ReadonlyArray<string> => {
  const isNamed = new Set(statuses.map(({ account }) => account)).size > 1
  const about = new Map<string, Array<string>>()
  for (const status of statuses) {
    const words = wordsOf(status)
    const name = isNamed ? `${status.account}/${status.stream}` : status.stream
    if (words !== null) about.set(words, [...(about.get(words) ?? []), name])
  }
  return Array.from(about, ([words, names]) => `${mark} ${names.join(", ")}: ${words}`)
}

const time = (iso: string) => `${iso.slice(0, 16).replace("T", " ")} UTC`

/** Prints how each stream of each account stands; sets the exit code to 1 where figures are not to be trusted. */
export const run = (options: Options) =>
  Effect.gen(function* () {
    const maxAgeSeconds = Option.getOrUndefined(yield* secondsOf(options.maxAge))
    const statuses = yield* App.status({
      accounts: options.account,
      streams: options.stream,
      ...(maxAgeSeconds === undefined ? {} : { maxAgeSeconds }),
    })
    const missing = (yield* Config.namedAccounts).filter(
      name => options.account.length === 0 && !statuses.some(({ account }) => account === name),
    )
    const problems = statuses.filter(({ problem }) => problem !== null)
    if (problems.length + missing.length > 0 || statuses.length === 0) process.exitCode = 1
    if (options.json) {
      for (const name of missing) yield* say(`Nothing was synced yet for the account ${name}.`)
      return yield* printJson(statuses)
    }
    const [first] = statuses
    if (first === undefined) return yield* print("Nothing was synced yet: run `paycombat-sync sync`.")
    yield* print(
      [
        table({ columns: COLUMNS, rows: statuses.map(cells) }),
        ...said(statuses, "✖", ({ problem }) => problem?.message ?? null),
        ...missing.map(
          name => `✖ ${name}: nothing was synced yet: run \`paycombat-sync sync --account ${name}\`.`,
        ),
        ...said(statuses, "·", ({ note }) => note),
        ...said(statuses, "·", ({ rejects }) =>
          rejects === 0 ? null : "has open rejects: see `paycombat-sync rejects list`.",
        ),
        `· serve, where it runs: next run ${time(first.nextRunAt)}, next full pass ${time(first.nextFullAt)}.`,
        problems.length + missing.length === 0
          ? "✔ The figures can be trusted."
          : "✖ The figures cannot all be trusted: see the lines marked ✖.",
      ].join("\n"),
    )
  }).pipe(Effect.provide(App.configuredWarehouse))
