import { Effect } from "effect"
import type { AccountSettings } from "../config/config.ts"
import { isList, type ListStream, type LookupStream, type Stream } from "../core/stream.ts"
import type { Client } from "../paycombat/client/client.ts"
import { PLACE } from "../paycombat/client/idPath.ts"
import { absentLookup } from "../paycombat/client/lookup.ts"
import { decodeContract } from "../paycombat/lists/contract.ts"
import { unavailableNote } from "../sync/availability.ts"
import { storedContract } from "../warehouse/ledger/contracts.ts"
import { viewsOf, wasAvailable } from "../warehouse/ledger/unavailable.ts"
import { directionsOf } from "../warehouse/read/checkup.ts"
import type { Probe } from "./api/probe.ts"
import type { Opened } from "./database.ts"
import { type Drift, driftOf, isFieldName } from "./drift.ts"
import { CheckReporter, checkOf } from "./finding.ts"
import { type Listed, listFindings, lookAt } from "./list.ts"
import { keysIn, lookupFindings, sampleLookup } from "./lookup.ts"
import { merchantFindings } from "./merchants.ts"
import { type DirectionOf, eventsIn, type MoneyReport, moneyIn } from "./money.ts"
import { READINESS, type ReadinessSample, readinessOf, readinessWords } from "./readiness.ts"
import { driftFindings, moneyFindings } from "./records.ts"

/** One stream of one account, as the API serves it. Holds no record, and no value except codes. */
export interface StreamReport {
  readonly account: string
  readonly stream: string
  readonly error: string | null
  readonly requests: number
  readonly list: Omit<Probe, "records"> | null
  readonly drift: Drift | null
  readonly money: MoneyReport | null
  readonly readiness: ReadinessSample | null
}

/** True for text that Postgres accepts. */
const isText = (text: string | null) => text === null || (text.isWellFormed() && !text.includes("\u0000"))

/** The effects of events on a balance, by the table of directions; undefined if it cannot be read. */
const directions = (opened: Opened | undefined, { documented }: Stream, { records }: Probe) =>
  Effect.gen(function* () {
    const { money } = documented
    if (opened?.isMigrated !== true || money === undefined) return undefined
    const events = eventsIn(records, money).filter(({ type, name }) => isText(type) && isText(name))
    const found = yield* Effect.option(directionsOf(opened.sql, events))
    if (found._tag === "None") return undefined
    const stored = new Map(events.map((event, i) => [JSON.stringify(event), found.value[i]]))
    const directionOf: DirectionOf = event => stored.get(JSON.stringify(event))
    return directionOf
  })

export interface AccountCheck {
  readonly account: AccountSettings
  readonly client: Client
  readonly opened: Opened | undefined
  /** The lists that were examined, by stream. */
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

/** The part of a probe for the report: no record, and no key that may be data. */
const summaryOf = ({ records: _, byId, ...list }: Probe): Omit<Probe, "records"> => ({
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

const look = ({ account, client, listed }: AccountCheck, stream: ListStream) =>
  Effect.gen(function* () {
    const { start } = yield* CheckReporter
    yield* start(`${account.name}/${stream.name}: looking for the list, and reading a sample`)
    const seen = yield* lookAt(client, account, stream)
    listed.set(stream.name, seen)
    return seen
  })

/** True if the API lists records of a core stream to this token. Looks at one of them if none was looked at. */
const hasCore = (check: AccountCheck, lists: ReadonlyArray<ListStream>) =>
  Effect.gen(function* () {
    const core = lists.filter(({ isOptional }) => !isOptional)
    const seen = core.flatMap(({ name }) => check.listed.get(name) ?? [])
    const looked = seen.length === 0 && core[0] !== undefined ? [yield* look(check, core[0])] : seen
    return looked.some(({ probe }) => probe?.contract.verified === true)
  })

/** A finding on an optional stream that is not there; undefined if it should be. */
const absenceOf = (check: AccountCheck, stream: Stream, error: string, lists: ReadonlyArray<ListStream>) =>
  Effect.gen(function* () {
    const { account, opened } = check
    const about = { account: account.name, stream: stream.name }
    const sql = opened?.isMigrated === true ? opened.sql : undefined
    const was =
      sql === undefined ? false : yield* Effect.orElseSucceed(wasAvailable(sql, about, stream), () => true)
    if (!stream.isOptional || was || !(yield* hasCore(check, lists))) return undefined
    const views = sql === undefined ? [] : yield* Effect.orElseSucceed(viewsOf(sql, stream), () => [])
    const title = isList(stream) ? "list" : "look-up"
    return checkOf(title, about).pass(unavailableNote({ reason: error, views }))
  })

export const examineList = (check: AccountCheck, stream: ListStream, lists: ReadonlyArray<ListStream>) =>
  Effect.gen(function* () {
    const { account, opened } = check
    const { report } = yield* CheckReporter
    const about = { account: account.name, stream: stream.name }
    const seen = yield* look(check, stream)
    const stored = opened?.isMigrated
      ? yield* Effect.orElseSucceed(
          storedContract(opened.sql, account.name, stream.name, decodeContract),
          () => undefined,
        )
      : undefined
    const { probe, error, requests } = seen
    const absence =
      error?._tag === "EndpointError" && error.isAbsent === true
        ? yield* absenceOf(check, stream, error.message, lists)
        : undefined
    if (absence !== undefined) {
      yield* report(absence)
      return { ...nothingOf(account.name, stream.name), requests }
    }
    const drift = probe === undefined ? undefined : driftOf(stream, probe.records)
    const { money } = stream.documented
    const moneyReport =
      probe === undefined || money === undefined
        ? undefined
        : moneyIn(probe.records, money, yield* directions(opened, stream, probe))
    const lines = [
      ...listFindings(seen, account, stream, stored),
      ...(drift === undefined ? [] : driftFindings(drift, about)),
      ...(moneyReport === undefined || money === undefined ? [] : moneyFindings(moneyReport, money, about)),
      ...(yield* merchantFindings(opened, account, stream, probe?.records ?? [])),
    ]
    yield* Effect.forEach(lines, report, { discard: true })
    return {
      ...nothingOf(account.name, stream.name),
      error: error?.message ?? null,
      requests,
      list: probe === undefined ? null : summaryOf(probe),
      drift: drift ?? null,
      money: moneyReport ?? null,
    }
  })

/** The keys for a look-up: those in a sample of the lists with its keys, and configured ones. */
const keysToAsk = (check: AccountCheck, stream: LookupStream, lists: ReadonlyArray<ListStream>) =>
  Effect.gen(function* () {
    let requests = 0
    const keys: Array<string> = []
    for (const source of stream.source.keys) {
      if ("variable" in source) {
        keys.push(...source.otherwise)
        continue
      }
      const parent = lists.find(({ name }) => name === source.stream)
      if (parent === undefined) continue
      const before = check.listed.get(parent.name)
      const seen = before ?? (yield* look(check, parent))
      if (before === undefined) requests += seen.requests
      keys.push(...keysIn(seen.probe?.records ?? [], source, parent))
    }
    return { keys, requests }
  })

export const examineLookup = (check: AccountCheck, stream: LookupStream, lists: ReadonlyArray<ListStream>) =>
  Effect.gen(function* () {
    const { account, client } = check
    const { report, start } = yield* CheckReporter
    const about = { account: account.name, stream: stream.name }
    const { keys, requests } = yield* keysToAsk(check, stream, lists)
    yield* start(`${account.name}/${stream.name}: asking about a few`)
    const sample = yield* sampleLookup(client, stream, keys)
    const { message } = absentLookup(stream.source.paths(PLACE))
    const absence = sample.isAbsent ? yield* absenceOf(check, stream, message, lists) : undefined
    if (absence !== undefined) {
      yield* report(absence)
      return { ...nothingOf(account.name, stream.name), requests: sample.requests + requests }
    }
    const readiness = stream.name === READINESS ? readinessOf(sample) : null
    const answers = [`${sample.rows.length} answered as documented`]
    const words =
      readiness === null ? { title: "look-up", subject: "key", answers } : readinessWords(readiness)
    yield* Effect.forEach(lookupFindings(sample, words, about), report, { discard: true })
    return {
      ...nothingOf(account.name, stream.name),
      requests: sample.requests + requests,
      drift: sample.drift,
      readiness,
    }
  })
