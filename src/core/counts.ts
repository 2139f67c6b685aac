/** How many parts of stored records could not be read. Their records count as stored. */
export interface PartCounts {
  /** Values that are null in their rows. */
  readonly fieldRejected: number
  /** Items of lists whose own row is missing or empty. */
  readonly itemRejected: number
}

/** Outcomes of records, one each: `extracted` is the sum of the seven after it. Unreadable parts count beside them. */
export interface Counts extends PartCounts {
  readonly extracted: number
  readonly inserted: number
  readonly updated: number
  readonly unchanged: number
  /** Versions that are older than the stored one. */
  readonly stale: number
  readonly rejected: number
  /** Records or look-ups whose by-id endpoint gave no answer. Their stored version stays. */
  readonly unanswered: number
  /** Records of erased persons, which are not stored again. */
  readonly erased: number
}

export const NO_COUNTS: Counts = {
  extracted: 0,
  inserted: 0,
  updated: 0,
  unchanged: 0,
  stale: 0,
  rejected: 0,
  unanswered: 0,
  erased: 0,
  fieldRejected: 0,
  itemRejected: 0,
}

/** Adds counts, name by name. A name that is absent adds nothing. */
export const addCounts = (counts: Counts, more: Partial<Counts>): Counts => {
  const names = Object.keys(NO_COUNTS) as ReadonlyArray<keyof Counts>
  return Object.fromEntries(names.map(name => [name, counts[name] + (more[name] ?? 0)])) as unknown as Counts
}

/** Counts as stale the records without another outcome: a version that is newer than theirs is stored. */
export const countStale = (counts: Counts): Counts => {
  const { extracted, inserted, updated, unchanged, rejected, unanswered, erased } = counts
  return { ...counts, stale: extracted - inserted - updated - unchanged - rejected - unanswered - erased }
}
