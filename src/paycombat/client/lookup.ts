import { Effect } from "effect"
import type { AccountError } from "../../core/errors.ts"
import { isAddressable } from "../../core/id.ts"
import { isJsonObject, type Json } from "../../core/json.ts"
import type { LookupSource } from "../../core/lookup.ts"
import { idText } from "../../core/recordId.ts"
import type { Client } from "./client.ts"
import { unwrap } from "./envelope.ts"
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
