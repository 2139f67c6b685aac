import { Effect } from "effect"
import { type AccountError, EndpointError, saysAbsent } from "../../core/errors.ts"
import { isAddressable } from "../../core/id.ts"
import { isJsonObject, type Json } from "../../core/json.ts"
import type { LookupSource } from "../../core/lookup.ts"
import { idText } from "../../core/recordId.ts"
import type { LookupStream } from "../../core/stream.ts"
import type { Client } from "./client.ts"
import { unwrap } from "./envelope.ts"
import { getById, PLACE } from "./idPath.ts"

/** Finds the path of a look-up among its candidates. */

/** Keys that each candidate is asked about, because the API may not know one of them. */
const PROBED_KEYS = 3
/** The same for an optional look-up. The API may not know several of them, and the endpoint be there all the same. */
const PROBED_KEYS_OF_OPTIONAL = 10

/** Keys by which the path of a look-up is searched. */
export const probedKeys = ({ isOptional }: Pick<LookupStream, "isOptional">): number =>
  isOptional ? PROBED_KEYS_OF_OPTIONAL : PROBED_KEYS

export type LookupPath = (encodedKey: string) => string

export const pathOf =
  (route: string): LookupPath =>
  encoded =>
    route.replace(PLACE, () => encoded)

export interface FoundRoute {
  /** The first candidate with an answer that was accepted; undefined if there is none. */
  readonly route: string | undefined
  /** Every candidate answered 404 or 403 about every key. */
  readonly isAbsent: boolean
}

/** Searches the candidates for one with an answer that `isAnswer` accepts. */
export const findRoute = (
  client: Client,
  routes: ReadonlyArray<string>,
  keys: ReadonlyArray<string>,
  isAnswer: (body: Json, key: string) => boolean,
): Effect.Effect<FoundRoute, AccountError> =>
  Effect.gen(function* () {
    const probed = keys.filter(isAddressable)
    let isAbsent = probed.length > 0
    for (const route of routes)
      for (const key of probed) {
        const answer = yield* getById(client, pathOf(route), key).pipe(
          Effect.map(({ body }) => isAnswer(body, key)),
          Effect.catchTag("EndpointError", error => Effect.succeed(error)),
        )
        if (answer === true) return { route, isAbsent: false }
        isAbsent &&= answer instanceof EndpointError && saysAbsent(answer)
      }
    return { route: undefined, isAbsent }
  })

/** The error of an optional look-up whose every candidate path says that it is not there. */
export const absentLookup = (routes: ReadonlyArray<string>): EndpointError =>
  new EndpointError({
    reason: "contract",
    path: routes[0]!,
    message: `no look-up found (404 or 403: ${routes.join(", ")}): ask PayCombat for access to it`,
    isAbsent: true,
  })

export type LookupAnswer =
  /** Its records, as they were sent; for a state, one. Null if it has an undocumented form. */
  | { readonly records: ReadonlyArray<Json> | null; readonly isAboutAnother?: false }
  /** It names another key than the asked one, so nothing of it may be stored. */
  | { readonly records: null; readonly isAboutAnother: true }

export const lookupAnswer = ({ answer, keyField }: LookupSource, body: Json, key: string): LookupAnswer => {
  const unwrapped = unwrap(body)
  const payload = unwrapped.isOk ? unwrapped.payload : null
  const one = isJsonObject(payload) ? [payload] : null
  const records =
    answer.kind === "records" && answer.of !== undefined && unwrapped.isOk ? answer.of(payload, key) : one
  // Null is no key: records that are read by id write absent values so (D-old).
  const isOther = (record: Json) =>
    isJsonObject(record) && (record[keyField] ?? null) !== null && idText(record[keyField]) !== key
  return records?.some(isOther) === true ? { records: null, isAboutAnother: true } : { records }
}
