import { decodedIn, isGone, type KnownField, type PassFields } from "./documentedFields.ts"

/** Judges whether the API stopped sending a field although unchanged records still carry it. */

/** A sample of stored records that can no longer change and are older than the first new record without the field. */
export interface StoredSample {
  readonly records: number
  /** Those that carry a value in the field. */
  readonly carried: number
}

/** Fewest stored records that show what new records should carry. */
const STORED_MIN = 10
/** Fewest new records without a field that are no coincidence: if all stored records carry it, and if nearly all do. */
const NEW_LACKED_MIN = 3
const NEW_LACKED_OF_MOST_MIN = 20
/** The share of stored records that counts as nearly all. */
const MOST_SHARE_MIN = 0.95
/** Largest share of the records stored before the pass that may lose a field. */
const LOST_BY_MOST_SHARE = 0.5

/**
 * Number of new records in a row without the field, including this pass. A record with the field starts the row again.
 */
export const newLackedIn = ({ field, newLacked }: KnownField, pass: PassFields): number =>
  (pass.newCarried?.[field] ?? 0) > 0 ? 0 : newLacked + (pass.newLacked?.[field] ?? 0)

/** True if enough new records lacked a field to make a sample of stored ones useful. */
export const isSuspect = (newLacked: number): boolean => newLacked >= NEW_LACKED_MIN

/** True if new records lack a field that stored records always carry. */
const isLackedByNew = (newLacked: number, { records, carried }: StoredSample): boolean => {
  if (records < STORED_MIN) return false
  if (carried === records) return newLacked >= NEW_LACKED_MIN
  return newLacked >= NEW_LACKED_OF_MOST_MIN && carried >= MOST_SHARE_MIN * records
}

/**
 * True if a field is gone at the end of a pass. `isMissing`: an earlier pass found it gone. It stays so until a new or
 * changed record carries a value in it.
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
