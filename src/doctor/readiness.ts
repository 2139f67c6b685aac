import { Effect } from "effect"
import { counted } from "../core/counted.ts"
import type { AccountError, EndpointError } from "../core/errors.ts"
import { isAddressable } from "../core/id.ts"
import type { Json } from "../core/json.ts"
import { idText, recordIdOf } from "../core/recordId.ts"
import type { LookupStream } from "../core/stream.ts"
import { type Client, Usage } from "../paycombat/client/client.ts"
import { unwrapRecord } from "../paycombat/client/envelope.ts"
import { getById } from "../paycombat/client/idPath.ts"
import { boundedClient } from "./api/bounded.ts"
import { type Drift, driftOf } from "./drift.ts"
import { type Finding, finding } from "./finding.ts"
import { driftFindings } from "./records.ts"

/** Whether wallet readiness is answered: asked about a few customers, spread over those that are known. */

/** Customers that are asked about; with the tries of each, twice as many requests at most. */
const ASKED = 6

export interface ReadinessSample {
  readonly asked: number
  readonly ready: number
  /** Not ready, and what is missing is named. */
  readonly named: number
  /** Not ready, with an empty list of what is missing: documented (D), and told as `unspecified` by `kyc_gap`. */
  readonly unnamed: number
  /** Answers that are none, by what was said. */
  readonly failures: ReadonlyArray<string>
  readonly drift: Drift
  readonly requests: number
}

const spread = (ids: ReadonlyArray<string>): ReadonlyArray<string> => {
  const step = Math.max(1, Math.floor(ids.length / ASKED))
  return ids.filter((_, i) => i % step === 0).slice(0, ASKED)
}

/** Then a sync fails: no other answer is sure to be about who was asked. */
const MISTAKEN = "an answer about somebody else"

const UNADDRESSABLE = "an id that cannot stand in a path, not asked for"

const inShort = (error: AccountError | EndpointError): string => {
  if (error._tag === "AccountError") return "HTTP 401"
  return error.status === undefined ? error.reason : `HTTP ${error.status}`
}

/** Asks about up to `ASKED` of the ids. Never fails: what is not answered is counted. */
export const sampleReadiness = (
  client: Client,
  stream: LookupStream,
  ids: ReadonlyArray<string>,
): Effect.Effect<ReadinessSample> =>
  Effect.gen(function* () {
    const { source, decode } = stream
    const usage = { requests: 0, retries: 0 }
    const bounded = boundedClient(client, 2 * ASKED)
    const records: Array<Json> = []
    const failures: Array<string> = []
    const states = { ready: 0, named: 0, unnamed: 0 }
    const asked = spread(ids)
    for (const id of asked) {
      if (!isAddressable(id)) {
        failures.push(UNADDRESSABLE)
        continue
      }
      const answer = yield* getById(bounded, source.path, id).pipe(
        Effect.provideService(Usage, usage),
        Effect.either,
      )
      if (answer._tag === "Left") {
        failures.push(inShort(answer.left))
        continue
      }
      const answered = unwrapRecord(answer.right.body)
      const about = answered?.[source.idField]
      if (about !== undefined && idText(about) !== id) {
        failures.push(MISTAKEN)
        continue
      }
      const record = { ...(answered ?? {}), [source.idField]: id }
      records.push(record)
      const decoded = decode(record)
      if (decoded._tag === "Left") continue
      const { is_wallet_ready: isReady, missing_fields: missing } = decoded.right.row
      const isNamed = Array.isArray(missing) && missing.length > 0
      states[isReady === true ? "ready" : isNamed ? "named" : "unnamed"]++
    }
    return {
      asked: asked.length,
      ...states,
      failures,
      drift: driftOf(stream, records),
      requests: usage.requests,
    }
  })

/** The lines about it. */
export const readinessFindings = (
  sample: ReadinessSample,
  about: { readonly account: string; readonly stream: string },
): ReadonlyArray<Finding> => {
  const { asked, ready, named, unnamed, failures, drift, requests } = sample
  if (asked === 0)
    return [
      finding(
        "warn",
        "readiness",
        "not asked: no customer is known to ask about. See what the line of their list says, and run doctor again.",
        about,
      ),
    ]
  const parts = [
    `${ready} ready`,
    ...(named > 0 ? [`${named} not ready, with what is missing`] : []),
    ...(unnamed > 0
      ? [
          `${unnamed} not ready with an empty missing_field: kyc_gap tells it as unspecified; ask PayCombat what is missing`,
        ]
      : []),
  ]
  const failed = [...new Set(failures)].join(", ")
  return [
    failures.includes(MISTAKEN)
      ? finding(
          "fail",
          "readiness",
          `${failures.length} of ${counted(asked, "customer")} not answered (${failed}): a sync fails then; ask PayCombat why.`,
          about,
        )
      : failures.length === asked
        ? finding(
            "fail",
            "readiness",
            `none of ${counted(asked, "customer")} was answered (${failed}): ask PayCombat for access to it.`,
            about,
          )
        : finding(
            failures.length > 0 ? "warn" : "pass",
            "readiness",
            `${counted(asked, "customer")} asked: ${parts.join("; ")}${failures.length > 0 ? `; ${failures.length} not answered (${failed}): run doctor again, and ask PayCombat if it stays so` : ""}; ${counted(requests, "request")}.`,
            about,
          ),
    ...driftFindings(drift, about),
  ]
}

/** Ids to ask about, of a sample of the records that have them. */
export const idsIn = (
  records: ReadonlyArray<Json>,
  source: { readonly idField: string },
): ReadonlyArray<string> => records.flatMap(record => recordIdOf(source, record) ?? [])
