import { Clock, Effect } from "effect"
import { AccountError, EndpointError } from "../../core/errors.ts"
import { RECORD_BOUNDS } from "../../paycombat/client/bounds.ts"
import type { Client } from "../../paycombat/client/client.ts"
import { type Head, LastResponse } from "../../paycombat/client/response.ts"

/** Sends the first request to the API: does a server answer, is it the API, and which time does it have? */

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
