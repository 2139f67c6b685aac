import { Effect } from "effect"
import type { AccountSettings } from "../config/config.ts"
import type { Client } from "../paycombat/client/client.ts"
import { type Contact, makeContact } from "./api/contact.ts"
import { CheckReporter, checkOf, type Finding, finding, ofClock } from "./finding.ts"
import { addressFindings } from "./settings.ts"

/** Examines whether an account's API is reachable: name, connection, TLS, kind of answer, and clock. */

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
