import { Effect, Either } from "effect"
import { type AccountError, type EndpointError, saysAbsent } from "../core/errors.ts"
import { isAddressable } from "../core/id.ts"
import { isJsonObject, type Json } from "../core/json.ts"
import type { StoredKeys } from "../core/lookup.ts"
import { idText, recordIdOf } from "../core/recordId.ts"
import type { ListStream, LookupStream, Row } from "../core/stream.ts"
import { counted } from "../core/words.ts"
import { type Client, Usage } from "../paycombat/client/client.ts"
import { getById, PLACE } from "../paycombat/client/idPath.ts"
import { findRoute, lookupAnswer, pathOf, probedKeys } from "../paycombat/client/lookup.ts"
import { boundedClient } from "./api/bounded.ts"
import { type Drift, driftOf } from "./drift.ts"
import { checkOf, type Finding, finding } from "./finding.ts"
import { driftFindings } from "./records.ts"

/** Examines whether a look-up is answered: asks about a few keys, spread over the known ones. */

/** Most keys that are asked about. With two attempts each, twice as many requests. */
const ASKED = 6

export interface LookupSample {
  readonly asked: number
  readonly rows: ReadonlyArray<Row>
  readonly failures: ReadonlyArray<string>
  /** Every candidate path answered 404 or 403 about every key. */
  readonly isAbsent: boolean
  readonly drift: Drift
  readonly requests: number
}

export const keysIn = (
  records: ReadonlyArray<Json>,
  { column, child, only }: StoredKeys,
  parent: ListStream,
): ReadonlyArray<string> => {
  if (column === parent.idColumn) return records.flatMap(record => recordIdOf(parent.source, record) ?? [])
  const rows = records.flatMap(record =>
    Either.match(parent.decode(record), {
      onLeft: () => [],
      onRight: ({ row, children }) => (child === undefined ? [row] : (children?.[child] ?? [])),
    }),
  )
  const isAbout = (row: Row) => only === undefined || only.oneOf.includes(String(row[only.column]))
  const keys = rows.filter(isAbout).flatMap(row => idText(row[column] as Json) ?? [])
  return [...new Set(keys)]
}

const spread = (keys: ReadonlyArray<string>): ReadonlyArray<string> => {
  const step = Math.max(1, Math.floor(keys.length / ASKED))
  return keys.filter((_, i) => i % step === 0).slice(0, ASKED)
}

/** A sync fails after such an answer, because then no answer is sure to be about its key. */
const MISTAKEN = "an answer about another key"

const UNADDRESSABLE = "an id that cannot stand in a path, not asked for"

const inShort = (error: AccountError | EndpointError): string => {
  if (error._tag === "AccountError") return "HTTP 401"
  return error.status === undefined ? error.reason : `HTTP ${error.status}`
}

/** Asks about up to `ASKED` of the keys. Never fails: keys without an answer are counted. */
export const sampleLookup = (
  client: Client,
  stream: LookupStream,
  keys: ReadonlyArray<string>,
): Effect.Effect<LookupSample> =>
  Effect.gen(function* () {
    const { source, decode } = stream
    const usage = { requests: 0, retries: 0 }
    const records: Array<Json> = []
    const failures: Array<string> = []
    let absences = 0
    const rows: Array<Row> = []
    const asked = spread(keys)
    const routes = source.paths(PLACE)
    const probed = asked.slice(0, probedKeys(stream))
    const probes = routes.length === 1 ? 0 : probed.length * routes.length
    const bounded = boundedClient(client, 2 * (ASKED + probes))
    const holdsRecord = (body: Json, key: string) =>
      (lookupAnswer(source, body, key).records ?? []).length > 0
    const found =
      routes.length === 1
        ? undefined
        : yield* findRoute(bounded, routes, probed, holdsRecord).pipe(
            Effect.provideService(Usage, usage),
            Effect.orElseSucceed(() => undefined),
          )
    for (const key of asked) {
      if (!isAddressable(key)) {
        failures.push(UNADDRESSABLE)
        continue
      }
      const answer = yield* getById(bounded, pathOf(found?.route ?? routes[0]), key).pipe(
        Effect.provideService(Usage, usage),
        Effect.either,
      )
      if (answer._tag === "Left") {
        failures.push(inShort(answer.left))
        if (answer.left._tag === "EndpointError" && saysAbsent(answer.left)) absences++
        continue
      }
      const answered = lookupAnswer(source, answer.right.body, key)
      if (answered.isAboutAnother === true) {
        failures.push(MISTAKEN)
        continue
      }
      for (const sent of answered.records ?? [{}]) {
        const record = isJsonObject(sent) ? { ...sent, [source.keyField]: key } : sent
        records.push(record)
        const decoded = decode(record)
        if (Either.isRight(decoded)) rows.push(decoded.right.row)
      }
    }
    return {
      asked: asked.length,
      rows,
      failures,
      isAbsent: absences > 0 && absences === asked.length && found?.isAbsent !== false,
      drift: driftOf(stream, records),
      requests: usage.requests,
    }
  })

export interface LookupWords {
  readonly title: string
  /** One of the keys' subjects, such as a customer. */
  readonly subject: string
  readonly answers: ReadonlyArray<string>
}

export const lookupFindings = (
  { asked, failures, drift, requests }: LookupSample,
  { title, subject, answers }: LookupWords,
  about: { readonly account: string; readonly stream: string },
): ReadonlyArray<Finding> => {
  if (asked === 0)
    return [
      checkOf(title, about).warn(
        `not asked: no ${subject} is known to ask about. See what the line of their list says, and run doctor again.`,
      ),
    ]
  const failed = [...new Set(failures)].join(", ")
  const said = (): readonly [Finding["level"], string] => {
    if (failures.includes(MISTAKEN))
      return [
        "fail",
        `${failures.length} of ${counted(asked, subject)} not answered (${failed}): a sync fails then; ask PayCombat why.`,
      ]
    if (failures.length === asked)
      return [
        "fail",
        `none of ${counted(asked, subject)} was answered (${failed}): ask PayCombat for access to it.`,
      ]
    const unanswered =
      failures.length === 0
        ? ""
        : `; ${failures.length} not answered (${failed}): run doctor again, and ask PayCombat if it stays so`
    return [
      failures.length > 0 ? "warn" : "pass",
      `${counted(asked, subject)} asked: ${answers.join("; ")}${unanswered}; ${counted(requests, "request")}.`,
    ]
  }
  const [level, message] = said()
  return [finding(level, title, message, about), ...driftFindings(drift, about)]
}
