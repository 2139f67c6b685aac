import { decodedIn, NO_STATES, type PassFields } from "./documentedFields.ts"

/** Judges whether the API stopped sending a field although unchanged records still carry it. */

export interface KnownField {
  readonly field: string
  /** Largest number of records of one pass that carried a value in it. */
  readonly carried: number
  /** True if no record has lacked it yet. */
  readonly isAlways: boolean
  /** Records without the field whose stored version carried a value, since a record last carried one. */
  readonly lost: number
  /** New records in a row without the field, over several runs, since a new record last carried a value. */
  readonly newLacked: number
  readonly isList?: boolean
}

/** Fewest records whose loss of a field is no coincidence. */
const LOST_MIN = 3
/** Smallest share of the known records that must lose a field, if not all records carry it, or if it became empty. */
const LOST_SHARE_MIN = 0.1
/** Fewest records that must all carry a field before new records are expected to carry it. */
const ALWAYS_MIN = 10

/**
 * True if a field is gone: no record of the pass carries a value in it, although stored records did. A pass over the
 * whole list reports every field that its records lost. An empty value may be right, such as the time of waiting of a
 * payout that no longer waits. So only a pass over the whole list reports an empty field, and only if this pass emptied
 * a share of the stored records. A field that was empty before is not reported. A list of objects that becomes empty in
 * all records takes rows away, and counts like an absent field.
 *
 * A run that reads a part may read just the records that lack an optional field. It reports a field only if a share of
 * the known records lost it, or if every record carried it before.
 */
const isGone = (field: KnownField, pass: PassFields, isWholePass: boolean): boolean => {
  const { carried, empty, lacked } = { ...NO_STATES, ...pass.tally[field.field] }
  if (carried > 0) return false
  const { known } = pass
  if (isWholePass && empty > 0) {
    const lost = field.lost + (pass.emptied?.[field.field] ?? 0)
    if (field.isList === true && lost >= Math.max(1, Math.min(LOST_MIN, known))) return true
    if (lost >= LOST_MIN && lost >= LOST_SHARE_MIN * known) return true
  }
  if (lacked === 0) return false
  if (isWholePass) return field.lost >= Math.max(1, Math.min(LOST_MIN, known))
  const isShare = field.lost >= LOST_MIN && field.lost >= LOST_SHARE_MIN * known
  const isEvery = field.lost > 0 && field.lost >= known
  return isShare || (field.isAlways && (isEvery || (field.carried >= ALWAYS_MIN && lacked >= LOST_MIN)))
}

/** A sample of stored records that can no longer change and are older than the first new record without the field. */
export interface StoredSample {
  readonly records: number
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

/** New records in a row without the field, with this pass. A record with the field starts the row again. */
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

/** True if a field is gone after a pass. Once `isMissing`, it stays so until a new or changed record carries it. */
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
