import { Effect } from "effect"
import { EndpointError } from "../../core/errors.ts"
import { type Client, Usage } from "../../paycombat/client/client.ts"

/** Tries of one request where what it says is worth no long wait. */
const ATTEMPTS = 2
/** Calls without an answer in a row, after which nothing else is asked. */
const UNANSWERED_MAX = 3

/**
 * A client that gives up soon: after `requestsMax` requests (as the `Usage` in whose place it is used counts them, give
 * or take the tries of one call), or where nobody answers any more. Then each call fails with `unavailable`, unsent.
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
            message: `not asked: ${requestsMax} requests were spent before; set PAYCOMBAT_PATH_… and PAYCOMBAT_PAGING, where they are known, and look again`,
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
