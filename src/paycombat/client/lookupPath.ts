import { Effect } from "effect"
import type { AccountError } from "../../core/errors.ts"
import { isAddressable } from "../../core/id.ts"
import type { Json } from "../../core/json.ts"
import type { Client } from "./client.ts"
import { getById, PLACE } from "./idPath.ts"

/** Finds the path of a look-up among its candidates. */

/** Keys that each candidate is asked about, because the API may not know one of them. */
export const PROBED_KEYS = 3

export type LookupPath = (encodedKey: string) => string

export const pathOf =
  (route: string): LookupPath =>
  encoded =>
    route.replace(PLACE, () => encoded)

/** Finds the first candidate with an answer that `isAnswer` accepts; undefined if there is none. */
export const findRoute = (
  client: Client,
  routes: ReadonlyArray<string>,
  keys: ReadonlyArray<string>,
  isAnswer: (body: Json, key: string) => boolean,
): Effect.Effect<string | undefined, AccountError> =>
  Effect.gen(function* () {
    for (const route of routes)
      for (const key of keys.filter(isAddressable).slice(0, PROBED_KEYS)) {
        const answers = yield* getById(client, pathOf(route), key).pipe(
          Effect.map(({ body }) => isAnswer(body, key)),
          Effect.catchTag("EndpointError", () => Effect.succeed(false)),
        )
        if (answers) return route
      }
    return undefined
  })
