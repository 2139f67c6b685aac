import { Clock, Effect } from "effect"
import type { AccountSettings } from "../config/config.ts"
import { AccountError, EndpointError } from "../core/errors.ts"
import { RECORD_BOUNDS } from "../paycombat/client/bounds.ts"
import type { Client } from "../paycombat/client/client.ts"
import { type Head, LastResponse } from "../paycombat/client/response.ts"
import { CheckReporter, checkOf, type Finding, finding, ofClock } from "./finding.ts"
import { addressFindings } from "./settings.ts"

/** Examines whether an account's API is reachable: name, connection, TLS, kind of answer, and clock. */

/** An id of the documented form that no customer has. */
const NOBODY = `customer_${"0".repeat(32)}`
/** Attempts: enough for a lost packet, few enough to report a missing server soon. */
const ATTEMPTS = 2

export interface Contact {
  readonly head: Head | undefined
  /** The error of an answer without success. A refusal of the made-up id counts as success. */
  readonly error: AccountError | EndpointError | undefined
  readonly isTokenRefused: boolean
  readonly isApi: boolean
  /** The server's clock minus this machine's, in milliseconds. The header's omitted second counts as agreement. */
  readonly skewMillis: number | undefined
}

/** Requests a record that does not exist from a documented endpoint (D), at most `ATTEMPTS` times. */
export const makeContact = (client: Client, path: (id: string) => string): Effect.Effect<Contact> =>
  Effect.gen(function* () {
    const latest: { head: Head | undefined } = { head: undefined }
    const sentMillis = yield* Clock.currentTimeMillis
    const error = yield* client
      .get(path(NOBODY), {}, { attempts: ATTEMPTS, bounds: RECORD_BOUNDS })
      .pipe(
        Effect.provideService(LastResponse, latest),
        Effect.match({ onSuccess: () => undefined, onFailure: failure => failure }),
      )
    const { head } = latest
    const isJson = head !== undefined && /\bjson\b/i.test(head.contentType)
    return {
      head,
      error,
      isTokenRefused: error instanceof AccountError,
      isApi:
        error === undefined || (isJson && !(error instanceof EndpointError && error.reason === "malformed")),
      skewMillis: head === undefined ? undefined : skewOf(head, sentMillis),
    }
  })

/** The header omits fractions, and dates from any moment of the exchange. Only a difference beyond both counts. */
const skewOf = ({ date, receivedAt }: Head, sentMillis: number): number | undefined => {
  if (date === undefined) return undefined
  const earliest = date.getTime() - receivedAt.getTime()
  const latest = date.getTime() + 1_000 - sentMillis
  return earliest > 0 ? earliest : latest < 0 ? latest : 0
}

const ofAnswer = ({ head, error, isApi }: Contact): readonly [Finding["level"], string] => {
  if (head === undefined) return ["fail", `${error?.message ?? "no answer: check PAYCOMBAT_BASE_URL"}.`]
  const kind = head.contentType.split(";")[0] || "nothing that says what it is"
  if (head.status >= 300 && head.status < 400)
    return [
      "fail",
      `answers with a redirect (${head.status}), which is not followed: check PAYCOMBAT_BASE_URL.`,
    ]
  if (head.status < 300 && !isApi)
    return [
      "fail",
      `answers ${kind} where the API answers JSON: check PAYCOMBAT_BASE_URL; a login page or a proxy may be in between.`,
    ]
  if (head.status >= 500 || head.status === 429)
    return ["warn", `answers HTTP ${head.status}: it is there, and not well; try again later.`]
  return isApi || head.status === 401
    ? ["pass", `answers (HTTP ${head.status} to a request for an id that does not exist).`]
    : [
        "warn",
        `answers HTTP ${head.status} with ${kind}, not JSON: a firewall or proxy may be in between; ask its operator to let this machine through.`,
      ]
}

export const examineContact = (
  client: Client,
  account: AccountSettings,
  path: (id: string) => string,
): Effect.Effect<{ readonly goesOn: boolean }> =>
  Effect.gen(function* () {
    const { report, start } = yield* CheckReporter
    const about = { account: account.name }
    yield* start(`${account.name}: asking whether the API is there`)
    for (const said of addressFindings(account)) yield* report(said)
    const contact = yield* makeContact(client, path)
    const [level, message] = ofAnswer(contact)
    const isUnsendable = contact.head === undefined && contact.isTokenRefused
    if (!isUnsendable) yield* report(finding(level, "API", message, about))
    if (contact.head !== undefined)
      yield* report(ofClock("API clock", "PayCombat", contact.skewMillis, about))
    if (contact.isTokenRefused)
      yield* report(checkOf("token", about).fail(`${contact.error?.message ?? "is refused"}.`))
    return { goesOn: level !== "fail" && !contact.isTokenRefused }
  })
