import { decodedIn, isGone, type KnownField, type PassFields } from "./documentedFields.ts"

/**
 * Judges whether the API stopped sending a field although records still carry it: those that did not change since are
 * sent as they were.
 */

/** Stored records that may not change any more, from before the first new record that lacked a field: a sample. */
export interface StoredSample {
  readonly records: number
  /** Those that carry a value in the field. */
  readonly carried: number
}

/** So few stored records say nothing about what new ones carry. */
const STORED_MIN = 10
/** New records that lack a field are no chance from so many on: where all stored records carry it, and where nearly all do. */
const NEW_LACKED_MIN = 3
const NEW_LACKED_OF_MOST_MIN = 20
/** The share of stored records that counts as nearly all. */
const MOST_SHARE_MIN = 0.95
/** A field is lost by most records beyond this share of those that were stored before the pass. */
const LOST_BY_MOST_SHARE = 0.5

/** New records in a row that lacked the field, those of this pass included. One that carried it begins the row anew. */
export const newLackedIn = ({ field, newLacked }: KnownField, pass: PassFields): number =>
  (pass.newCarried?.[field] ?? 0) > 0 ? 0 : newLacked + (pass.newLacked?.[field] ?? 0)

/** True if so many new records lacked a field that stored ones are worth a look. */
export const isSuspect = (newLacked: number): boolean => newLacked >= NEW_LACKED_MIN

/** True if new records lack a field that stored records always carry. */
const isLackedByNew = (newLacked: number, { records, carried }: StoredSample): boolean => {
  if (records < STORED_MIN) return false
  if (carried === records) return newLacked >= NEW_LACKED_MIN
  return newLacked >= NEW_LACKED_OF_MOST_MIN && carried >= MOST_SHARE_MIN * records
}

/**
 * True if a field is gone at the end of a pass. `isMissing`: it was found to be gone before, and stays so until a record
 * that is new or changed carries a value in it.
 */
export const hasVanished = (
  field: KnownField & { readonly isMissing: boolean },
  pass: PassFields,
  isWholePass: boolean,
  stored: StoredSample,
): boolean => {
  if ((pass.newCarried?.[field.field] ?? 0) > 0) return false
  if (isLackedByNew(newLackedIn(field, pass), stored)) return true
  if ((pass.tally[field.field]?.carried ?? 0) === 0)
    return field.isMissing || isGone(field, pass, isWholePass)
  if (decodedIn(pass, field.field) > 0) return false
  return isWholePass
    ? field.lost >= NEW_LACKED_MIN && field.lost > LOST_BY_MOST_SHARE * pass.known
    : field.isMissing
}
