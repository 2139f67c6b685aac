import { Effect } from "effect"
import type { AccountSettings } from "../config/config.ts"
import type { ListStream, LookupStream, Stream } from "../core/stream.ts"
import type { Client } from "../paycombat/client/client.ts"
import { decodeContract } from "../paycombat/lists/contract.ts"
import { storedContract } from "../warehouse/ledger/contracts.ts"
import { directionsOf } from "../warehouse/read/checkup.ts"
import type { Probe } from "./api/probe.ts"
import type { Opened } from "./database.ts"
import { type Drift, driftOf, isFieldName } from "./drift.ts"
import { Listener } from "./finding.ts"
import { type Listed, listFindings, lookAt } from "./list.ts"
import { keysIn, lookupFindings, sampleLookup } from "./lookup.ts"
import { merchantFindings } from "./merchants.ts"
import { type DirectionOf, eventsIn, type MoneyReport, moneyIn } from "./money.ts"
import { READINESS, type ReadinessSample, readinessOf, readinessWords } from "./readiness.ts"
import { driftFindings, moneyFindings } from "./records.ts"

/** The part of an examination that is about one stream of one account. */

/** One stream of one account, as the API serves it. No record, and no value but codes. */
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
export interface AccountCheck {
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

const look = ({ account, client, listed }: AccountCheck, stream: ListStream) =>
  Effect.gen(function* () {
    const { doing } = yield* Listener
    yield* doing(`${account.name}/${stream.name}: looking for the list, and reading a sample`)
    const seen = yield* lookAt(client, account, stream)
    listed.set(stream.name, seen)
    return seen
  })

/** Looks at a list, and tells what it is and how its records differ from what is documented. */
export const examineList = (check: AccountCheck, stream: ListStream) =>
  Effect.gen(function* () {
    const { account, opened } = check
    const { found } = yield* Listener
    const about = { account: account.name, stream: stream.name }
    const seen = yield* look(check, stream)
    const known = opened?.isMigrated
      ? yield* Effect.orElseSucceed(
          storedContract(opened.sql, account.name, stream.name, decodeContract),
          () => undefined,
        )
      : undefined
    const { probe, error, requests } = seen
    const drift = probe === undefined ? undefined : driftOf(stream, probe.records)
    const { money } = stream.documented
    const report =
      probe === undefined || money === undefined
        ? undefined
        : moneyIn(probe.records, money, yield* directions(opened, stream, probe))
    const lines = [
      ...listFindings(seen, account, stream, known),
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

/** The keys that a look-up can be asked about: those of a sample of the lists that name them, and configured ones. */
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
      const known = check.listed.get(parent.name)
      const seen = known ?? (yield* look(check, parent))
      if (known === undefined) requests += seen.requests
      keys.push(...keysIn(seen.probe?.records ?? [], source, parent))
    }
    return { keys, requests }
  })

/** Asks a look-up about a few keys, and tells what it answers. */
export const examineLookup = (check: AccountCheck, stream: LookupStream, lists: ReadonlyArray<ListStream>) =>
  Effect.gen(function* () {
    const { account, client } = check
    const { found, doing } = yield* Listener
    const about = { account: account.name, stream: stream.name }
    const { keys, requests } = yield* keysToAsk(check, stream, lists)
    yield* doing(`${account.name}/${stream.name}: asking about a few`)
    const sample = yield* sampleLookup(client, stream, keys)
    const readiness = stream.name === READINESS ? readinessOf(sample) : null
    const answers = [`${sample.rows.length} answered as documented`]
    const words =
      readiness === null ? { title: "look-up", subject: "key", answers } : readinessWords(readiness)
    yield* Effect.forEach(lookupFindings(sample, words, about), found, { discard: true })
    return {
      ...nothingOf(account.name, stream.name),
      requests: sample.requests + requests,
      drift: sample.drift,
      readiness,
    }
  })
