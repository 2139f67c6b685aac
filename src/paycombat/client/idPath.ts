import { Effect } from "effect"
import { type AccountError, EndpointError } from "../../core/errors.ts"
import { isAddressable } from "../../core/id.ts"
import { RECORD_BOUNDS } from "./bounds.ts"
import type { Answer, Client } from "./client.ts"

/** Only this file builds a path from an id. Ids are opaque text (D), so one may be a step in a path. */

export const PLACE = "{id}"

/** The reason why such a record cannot be requested, and the remedy. It has no id, because the id may be personal. */
export const UNADDRESSABLE_ID =
  "The id cannot stand in a path, so it was not asked for: ask PayCombat for a proper id of this record."

/**
 * Requests one record. `endpoint` builds the path from an encoded id. An id that cannot stand in a path fails with
 * `contract`, and no request is sent. Errors, logs and spans name the endpoint, never the id.
 */
export const getById = (
  client: Client,
  endpoint: (encodedId: string) => string,
  id: string,
): Effect.Effect<Answer, AccountError | EndpointError> => {
  const route = endpoint(PLACE)
  return isAddressable(id)
    ? client.get(endpoint(encodeURIComponent(id)), {}, { route, bounds: RECORD_BOUNDS })
    : Effect.fail(
        new EndpointError({
          reason: "contract",
          path: route,
          message: `GET ${route}: the id cannot stand in a path: ask PayCombat for a proper one`,
        }),
      )
}
