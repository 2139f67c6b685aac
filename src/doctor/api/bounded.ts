import { Effect } from "effect"
import { EndpointError } from "../../core/errors.ts"
import { type Client, Usage } from "../../paycombat/client/client.ts"

/** Attempts of one request whose answer is worth no long wait. */
const ATTEMPTS = 2
/** Calls without an answer in a row, after which no request is sent. */
const UNANSWERED_MAX = 3

/**
 * A client that gives up soon: after `requestsMax` requests (as counted by the surrounding `Usage`, plus or minus the
 * attempts of one call), or when the API no longer answers. Then each call fails with `unavailable`, unsent.
 */
export const boundedClient = (client: Client, requestsMax: number): Client => {
  let unanswered = 0
  let last: EndpointError | undefined
  return {
    ...client,
    get: (path, query, asking) =>
      Effect.gen(function* () {
        if (unanswered >= UNANSWERED_MAX && last !== undefined) return yield* last
        if ((yield* Usage).requests >= requestsMax)
          return yield* new EndpointError({
            reason: "unavailable",
            path: asking?.route ?? path,
            message: `not asked: ${requestsMax} requests were spent before; set PAYCOMBAT_PATH_… and PAYCOMBAT_PAGING, if they are known, and run doctor again`,
          })
        const attempts = Math.min(asking?.attempts ?? ATTEMPTS, ATTEMPTS)
        return yield* client.get(path, query, { ...asking, attempts }).pipe(
          Effect.tapBoth({
            onSuccess: () => Effect.sync(() => (unanswered = 0)),
            onFailure: error =>
              Effect.sync(() => {
                const isUnanswered = error._tag === "EndpointError" && error.reason === "unavailable"
                unanswered = isUnanswered ? unanswered + 1 : 0
                if (isUnanswered) last = error
              }),
          }),
        )
      }),
  }
}
