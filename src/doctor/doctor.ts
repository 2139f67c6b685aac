import { Effect } from "effect"
import { accountsNamed, serveSettings } from "../app.ts"
import { type AccountSettings, type DatabaseSettings, database } from "../config/config.ts"
import type { ConfigurationError } from "../core/errors.ts"
import { isList, isLookup, type Stream } from "../core/stream.ts"
import { counted } from "../core/words.ts"
import { Usage } from "../paycombat/client/client.ts"
import { allStreams, streamsNamed } from "../registry.ts"
import type { Scope } from "../sync/rejects.ts"
import { groundOf, withAccount } from "./account.ts"
import { examineContact } from "./contact.ts"
import { CheckReporter, checkOf, type Finding, type Level, worstLevel } from "./finding.ts"
import { settingsFindings, sharedTokenFindings } from "./settings.ts"
import { type AccountCheck, examineList, examineLookup, type StreamReport } from "./streams.ts"

/**
 * Examines settings, database, API and each stream of the API. Sends a bounded number of GET requests, within the
 * account's rate and under its lease; stores no record. A fault in one part does not end the examination of the others.
 */

/** The subject of an examination. Settings that could not be read are reported, and their part is left out. */
export interface Subject {
  readonly accounts: ReadonlyArray<AccountSettings>
  readonly streams: ReadonlyArray<Stream>
  readonly database: DatabaseSettings | undefined
  /** Faults of the settings, one sentence each. */
  readonly problems: ReadonlyArray<string>
  /** True if the set variables of this process and of `.env` are named. */
  readonly isNaming: boolean
  /** All streams: the parents of look-ups are among them, and the names of path variables. */
  readonly allStreams: ReadonlyArray<Stream>
}

export interface Examination {
  readonly level: Level
  readonly checks: ReadonlyArray<Finding>
  readonly streams: ReadonlyArray<StreamReport>
  readonly requests: number
  /** True if the settings are good enough for commands to run. */
  readonly isConfigured: boolean
}

/** A list that was read shows that the token is good. A refusal can come at any time. */
const tokenFinding = ({ account, listed }: AccountCheck): Finding => {
  const about = { account: account.name }
  const lists = [...listed.values()]
  const refused = lists.find(({ error }) => error?._tag === "AccountError")
  if (refused?.error !== undefined) return checkOf("token", about).fail(`${refused.error.message}.`)
  const read = [...listed].flatMap(([name, { probe }]) => (probe?.contract.verified ? [name] : []))
  return read.length > 0
    ? checkOf("token", about).pass(`is accepted: it reads ${read.sort().join(", ")}.`)
    : checkOf("token", about).warn(
        "no record was read with it: whether it is accepted is not known. See the lists' lines; ask PayCombat what this token may read.",
      )
}

/** Reports lists that were not found, if none is there. A list that did not answer may be there. */
const addressFinding = ({ account, listed }: AccountCheck): ReadonlyArray<Finding> =>
  listed.size > 1 &&
  [...listed.values()].every(({ error }) => error?._tag === "EndpointError" && error.reason === "contract")
    ? [
        checkOf("API", { account: account.name }).warn(
          `none of the ${listed.size} lists is there under ${account.baseUrl}: check PAYCOMBAT_BASE_URL before you set any path.`,
        ),
      ]
    : []

const examineAccount = (subject: Subject, check: AccountCheck) =>
  Effect.gen(function* () {
    const { account, client, listed } = check
    const { report } = yield* CheckReporter
    const paths = subject.allStreams.find(isLookup)?.source.paths
    const path = (id: string) => paths?.(id)[0] ?? `/${id}`
    const { goesOn } = yield* examineContact(client, account, path)
    if (!goesOn) return []
    const reports: Array<StreamReport> = []
    const lists = subject.allStreams.filter(isList)
    // Core streams come first: an optional one that is not there is a fault only if they are not there either.
    for (const stream of [...subject.streams].sort((a, b) => Number(a.isOptional) - Number(b.isOptional))) {
      if (isList(stream)) reports.push(yield* examineList(check, stream, lists))
      else if (isLookup(stream)) reports.push(yield* examineLookup(check, stream, lists))
      if (reports.at(-1)?.error !== null && isRefused(listed)) break
    }
    for (const line of addressFinding(check)) yield* report(line)
    yield* report(tokenFinding(check))
    return reports
  })

const isRefused = (listed: AccountCheck["listed"]): boolean =>
  [...listed.values()].some(({ error }) => error?._tag === "AccountError")

/** Examines the whole subject. Never fails: faults become findings. */
export const examine = (subject: Subject) =>
  Effect.gen(function* () {
    const checks: Array<Finding> = []
    const usage = { requests: 0, retries: 0 }
    const outer = yield* CheckReporter
    const report = (line: Finding) =>
      Effect.zipRight(
        Effect.sync(() => checks.push(line)),
        outer.report(line),
      )
    const lists = subject.allStreams.filter(isList).map(({ name }) => name)
    const work = Effect.gen(function* () {
      const settings = yield* settingsFindings(subject.problems, lists, subject.isNaming)
      for (const line of [...settings, ...sharedTokenFindings(subject.accounts)]) yield* report(line)
      const isConfigured = checks.every(({ level }) => level !== "fail")
      const ground = yield* groundOf(subject)
      const opened = typeof ground === "object" ? ground : undefined
      const streams: Array<StreamReport> = []
      for (const account of subject.accounts) {
        const examined = withAccount(ground, account, client =>
          examineAccount(subject, { account, client, opened, listed: new Map() }),
        )
        streams.push(...(yield* examined))
      }
      return { isConfigured, streams }
    })
    const { isConfigured, streams } = yield* work.pipe(
      Effect.provideService(CheckReporter, { ...outer, report }),
      Effect.provideService(Usage, usage),
      Effect.scoped,
    )
    const requests = usage.requests + streams.reduce((sum, stream) => sum + stream.requests, 0)
    if (subject.accounts.length > 0)
      yield* report(checkOf("requests").pass(`${counted(requests, "request")} sent, all of them GET.`))
    const examination: Examination = { level: worstLevel(checks), checks, streams, requests, isConfigured }
    return examination
  })

/** Reads the configured subject, narrowed by `options`. Fails only for a stream that does not exist. */
const subjectOf = (
  options: Scope,
  { isNaming = true }: DiagnoseOptions,
): Effect.Effect<Subject, ConfigurationError> =>
  Effect.gen(function* () {
    const streams = yield* streamsNamed(options.streams ?? [])
    const settled = yield* Effect.either(accountsNamed(options.accounts ?? []))
    const given = yield* Effect.either(database)
    // Faults that would end any other command.
    const others = yield* Effect.either(serveSettings(options))
    return {
      accounts: settled._tag === "Right" ? settled.right : [],
      streams,
      database: given._tag === "Right" ? given.right : undefined,
      problems: [settled, given, others].flatMap(read => (read._tag === "Left" ? [read.left.message] : [])),
      isNaming,
      allStreams: yield* allStreams,
    }
  })

export interface DiagnoseOptions {
  /** False if settings are given in code, because the variables of the process do not count then. */
  readonly isNaming?: boolean
}

/** Examines the configured subject. Findings also go to the `CheckReporter`, one by one. */
export const diagnose = (scope: Scope = {}, options: DiagnoseOptions = {}) =>
  Effect.flatMap(subjectOf(scope, options), examine)
