import { isJsonObject, type Json } from "../../core/json.ts"
import type { LookupSource } from "../../core/lookup.ts"
import { idText } from "../../core/recordId.ts"
import { unwrap } from "./envelope.ts"

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
