import { Effect } from "effect"
import { accountsNamed, serveSettings } from "../app.ts"
import { type AccountSettings, type DatabaseSettings, database } from "../config/config.ts"
import { counted } from "../core/counted.ts"
import type { ConfigurationError } from "../core/errors.ts"
import { keyStreams } from "../core/lookup.ts"
import { isList, isLookup, type ListStream, type LookupStream, type Stream } from "../core/stream.ts"
import { type Client, Usage } from "../paycombat/client/client.ts"
import type { Contract } from "../paycombat/lists/contract.ts"
import { allStreams, streamsNamed } from "../registry.ts"
import type { Scope } from "../sync/maintenance.ts"
import { storedContract } from "../warehouse/ledger/contracts.ts"
import { directionsOf } from "../warehouse/read/checkup.ts"
import { groundOf, withAccount } from "./account.ts"
import type { Probe } from "./api/probe.ts"
import { examineContact } from "./contact.ts"
import type { Opened } from "./database.ts"
import { type Drift, driftOf, isFieldName } from "./drift.ts"
import { type Finding, finding, type Level, Listener, worst } from "./finding.ts"
import { type Listed, listFindings, lookAt } from "./list.ts"
import { merchantFindings } from "./merchants.ts"
import { type DirectionOf, eventsIn, type MoneyReport, moneyIn } from "./money.ts"
import { idsIn, type ReadinessSample, readinessFindings, sampleReadiness } from "./readiness.ts"
import { driftFindings, moneyFindings } from "./records.ts"
import { settingsFindings, sharedTokenFindings } from "./settings.ts"

/**
 * An examination: settings, database, API, and each stream as the API serves it. Sends a bounded number of GETs, within the
 * account's rate and under its lease; stores no record. A fault in one part does not end the examination of the others.
 */

/** What is examined. Settings that could not be read are told, and their part is left out. */
export interface Subject {
  readonly accounts: ReadonlyArray<AccountSettings>
  readonly streams: ReadonlyArray<Stream>
  readonly database: DatabaseSettings | undefined
  /** What is wrong with the settings, a sentence each. */
  readonly problems: ReadonlyArray<string>
  /** Whether the variables that are set are named: those of this process, and of `.env`. */
  readonly isNaming: boolean
  /** All streams there are: where a look-up's parents are, and whose paths can be set. */
  readonly allStreams: ReadonlyArray<Stream>
}

/** One stream of one account, as the API serves it. No record, and no value but codes. */
export interface StreamReport {
  readonly account: string
  readonly stream: string
  readonly error: string | null
  readonly requests: number
  readonly list: Omit<Probe, "records"> | null
  readonly drift: Drift | null
  readonly money: MoneyReport | null
  readonly readiness: Omit<ReadinessSample, "drift"> | null
}

export interface Examination {
  readonly level: Level
  readonly checks: ReadonlyArray<Finding>
  readonly streams: ReadonlyArray<StreamReport>
  /** Requests sent in all, tries included. */
  readonly requests: number
  /** Settings are such that commands can run at all. */
  readonly isConfigured: boolean
}

/** Pairs of type and name, as a key. */
const keyOf = (type: string, name: string | null) => JSON.stringify([type, name])

/** Text that Postgres takes. */
const isText = (text: string | null) => text === null || (text.isWellFormed() && !text.includes("\u0000"))

/** What events do to a balance, by the table that says so; undefined where it cannot be asked. */
const directions = (opened: Opened | undefined, { documented }: Stream, { records }: Probe) =>
  Effect.gen(function* () {
    const { money } = documented
    if (opened?.isMigrated !== true || money === undefined) return undefined
    const events = eventsIn(records, money).filter(({ type, name }) => isText(type) && isText(name))
    const found = yield* Effect.option(directionsOf(opened.sql, events))
    if (found._tag === "None") return undefined
    const known = new Map(events.map(({ type, name }, i) => [keyOf(type, name), found.value[i] ?? null]))
    const directionOf: DirectionOf = ({ type, name }) => known.get(keyOf(type, name)) ?? null
    return directionOf
  })

/** One account under examination. */
interface Patient {
  readonly account: AccountSettings
  readonly client: Client
  readonly opened: Opened | undefined
  /** Lists that were looked at, by stream. */
  readonly listed: Map<string, Listed>
}

const nothingOf = (account: string, stream: string): StreamReport => ({
  account,
  stream,
  error: null,
  requests: 0,
  list: null,
  drift: null,
  money: null,
  readiness: null,
})

/** What a report tells of a list: no record, and no key that may be data itself. */
const told = ({ records: _, byId, ...list }: Probe): Omit<Probe, "records"> => ({
  ...list,
  byId:
    byId === undefined
      ? undefined
      : {
          ...byId,
          onlyById: byId.onlyById.filter(isFieldName),
          onlyInList: byId.onlyInList.filter(isFieldName),
        },
})

const look = ({ account, client, listed }: Patient, stream: ListStream) =>
  Effect.gen(function* () {
    const { doing } = yield* Listener
    yield* doing(`${account.name}/${stream.name}: looking for the list, and reading a sample`)
    const seen = yield* lookAt(client, account, stream)
    listed.set(stream.name, seen)
    return seen
  })

const examineList = (patient: Patient, stream: ListStream) =>
  Effect.gen(function* () {
    const { account, opened } = patient
    const { found } = yield* Listener
    const about = { account: account.name, stream: stream.name }
    const seen = yield* look(patient, stream)
    const known = opened?.isMigrated
      ? yield* Effect.orElseSucceed(storedContract(opened.sql, account.name, stream.name), () => undefined)
      : undefined
    const { probe, error, requests } = seen
    const drift = probe === undefined ? undefined : driftOf(stream, probe.records)
    const { money } = stream.documented
    const report =
      probe === undefined || money === undefined
        ? undefined
        : moneyIn(probe.records, money, yield* directions(opened, stream, probe))
    const lines = [
      ...listFindings(seen, account, stream, known as Partial<Contract> | undefined),
      ...(drift === undefined ? [] : driftFindings(drift, about)),
      ...(report === undefined || money === undefined ? [] : moneyFindings(report, money, about)),
      ...(yield* merchantFindings(opened, account, stream, probe?.records ?? [])),
    ]
    yield* Effect.forEach(lines, found, { discard: true })
    return {
      ...nothingOf(account.name, stream.name),
      error: error?.message ?? null,
      requests,
      list: probe === undefined ? null : told(probe),
      drift: drift ?? null,
      money: report ?? null,
    }
  })

const examineLookup = (patient: Patient, stream: LookupStream, parent: ListStream) =>
  Effect.gen(function* () {
    const { account, client, listed } = patient
    const { found, doing } = yield* Listener
    const about = { account: account.name, stream: stream.name }
    const seen = listed.get(parent.name)
    const { probe, requests } = seen ?? (yield* look(patient, parent))
    yield* doing(`${account.name}/${stream.name}: asking about a few`)
    const asked = seen === undefined ? requests : 0
    const ids = idsIn(probe?.records ?? [], parent.source)
    const sample = yield* sampleReadiness(client, stream, ids)
    yield* Effect.forEach(readinessFindings(sample, about), found, { discard: true })
    const { drift, ...readiness } = sample
    return { ...nothingOf(account.name, stream.name), requests: sample.requests + asked, drift, readiness }
  })

/** That the token is good shows in a list that was read with it; that it is refused, at any time. */
const tokenFinding = ({ account, listed }: Patient): Finding => {
  const about = { account: account.name }
  const lists = [...listed.values()]
  const refused = lists.find(({ error }) => error?._tag === "AccountError")
  if (refused?.error !== undefined) return finding("fail", "token", `${refused.error.message}.`, about)
  const read = [...listed].flatMap(([name, { probe }]) => (probe?.contract.verified ? [name] : []))
  return read.length > 0
    ? finding("pass", "token", `is accepted: it reads ${read.join(", ")}.`, about)
    : finding(
        "warn",
        "token",
        "no record was read with it: whether it is accepted is not known. See the lists' lines; ask PayCombat what this token may read.",
        about,
      )
}

/** Lists that are nowhere: one may be elsewhere, all of them hardly. What did not answer may be there. */
const addressFinding = ({ account, listed }: Patient): ReadonlyArray<Finding> =>
  listed.size > 1 &&
  [...listed.values()].every(({ error }) => error?._tag === "EndpointError" && error.reason === "contract")
    ? [
        finding(
          "warn",
          "API",
          `none of the ${listed.size} lists is there under ${account.baseUrl}: check PAYCOMBAT_BASE_URL before you set any path.`,
          { account: account.name },
        ),
      ]
    : []

const examineAccount = (subject: Subject, patient: Patient) =>
  Effect.gen(function* () {
    const { account, client, listed } = patient
    const { found } = yield* Listener
    const readiness = subject.allStreams.find(isLookup)
    const path = readiness?.source.path ?? (id => `/${id}`)
    const { goesOn } = yield* examineContact(client, account, path)
    if (!goesOn) return []
    const reports: Array<StreamReport> = []
    for (const stream of subject.streams) {
      if (isList(stream)) reports.push(yield* examineList(patient, stream))
      else if (isLookup(stream)) {
        const [parentName] = keyStreams(stream.source)
        const parent = subject.allStreams.filter(isList).find(({ name }) => name === parentName)
        if (parent !== undefined) reports.push(yield* examineLookup(patient, stream, parent))
      }
      if (reports.at(-1)?.error !== null && isRefused(listed)) break
    }
    for (const line of addressFinding(patient)) yield* found(line)
    yield* found(tokenFinding(patient))
    return reports
  })

const isRefused = (listed: Patient["listed"]): boolean =>
  [...listed.values()].some(({ error }) => error?._tag === "AccountError")

/** Examines all of it. Never fails: what is wrong is what it tells. */
export const examine = (subject: Subject) =>
  Effect.gen(function* () {
    const checks: Array<Finding> = []
    const usage = { requests: 0, retries: 0 }
    const outer = yield* Listener
    const found = (line: Finding) =>
      Effect.zipRight(
        Effect.sync(() => checks.push(line)),
        outer.found(line),
      )
    const lists = subject.allStreams.filter(isList).map(({ name }) => name)
    const work = Effect.gen(function* () {
      const settings = yield* settingsFindings(subject.problems, lists, subject.isNaming)
      for (const line of [...settings, ...sharedTokenFindings(subject.accounts)]) yield* found(line)
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
      Effect.provideService(Listener, { ...outer, found }),
      Effect.provideService(Usage, usage),
      Effect.scoped,
    )
    const requests = usage.requests + streams.reduce((sum, stream) => sum + stream.requests, 0)
    if (subject.accounts.length > 0)
      yield* found(finding("pass", "requests", `${counted(requests, "request")} sent, all of them GET.`))
    const examination: Examination = { level: worst(checks), checks, streams, requests, isConfigured }
    return examination
  })

/** What the environment configures, narrowed to these accounts and streams. Fails only for a stream that does not exist. */
const subjectOf = (
  options: Scope,
  { isNaming = true }: DiagnoseOptions,
): Effect.Effect<Subject, ConfigurationError> =>
  Effect.gen(function* () {
    const streams = yield* streamsNamed(options.streams ?? [])
    const settled = yield* Effect.either(accountsNamed(options.accounts ?? []))
    const given = yield* Effect.either(database)
    // Whatever else a command would stumble over.
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
  /** False where settings are given in code: the variables of the process are none then. */
  readonly isNaming?: boolean
}

/** Examines what is configured. What it finds also goes to the `Listener`, line by line. */
export const diagnose = (scope: Scope = {}, options: DiagnoseOptions = {}) =>
  Effect.flatMap(subjectOf(scope, options), examine)
