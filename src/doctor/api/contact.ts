import { Clock, Effect } from "effect"
import { AccountError, EndpointError } from "../../core/errors.ts"
import { RECORD_BOUNDS } from "../../paycombat/client/bounds.ts"
import type { Client } from "../../paycombat/client/client.ts"
import { type Head, LastResponse } from "../../paycombat/client/response.ts"

/** A first question to the API: whether anybody answers, whether it is the API, and what time it is there. */

/** An id as the documented ones look, and nobody's. */
const NOBODY = `customer_${"0".repeat(32)}`
/** Tries: enough for a lost packet, few enough to say soon that nobody is there. */
const ATTEMPTS = 2

export interface Contact {
  /** The answer's head; undefined where nothing answered. */
  readonly head: Head | undefined
  /** What is said where it was no success. A refusal of the made-up id is one, and tells that the API is there. */
  readonly error: AccountError | EndpointError | undefined
  readonly isTokenRefused: boolean
  /** It answered with JSON, whatever it said. */
  readonly isApi: boolean
  /** The server's clock less this machine's, in milliseconds, with the second that the header leaves out and the way there given away. */
  readonly skewMillis: number | undefined
}

/**
 * Asks an endpoint that is documented (D) about a record that does not exist. `path` makes its path of an id. Sends at
 * most `ATTEMPTS` requests.
 */
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

/** The header cuts its second off, and stands for any moment between sending and receiving: only what is beyond both counts. */
const skewOf = ({ date, receivedAt }: Head, sentMillis: number): number | undefined => {
  if (date === undefined) return undefined
  const earliest = date.getTime() - receivedAt.getTime()
  const latest = date.getTime() + 1_000 - sentMillis
  return earliest > 0 ? earliest : latest < 0 ? latest : 0
}
