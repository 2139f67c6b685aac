/** Bounds on one answer, so that a server cannot decide how much memory the program takes. */

export interface AnswerBounds {
  /** Length of the unpacked body. */
  readonly bytes: number
  /** Arrays, objects and values in it, at any depth. Small ones take twenty times the memory of their text. */
  readonly values: number
  /** Items of a list in it. Each costs more than its values, until it is a row or a reject. */
  readonly records: number
  readonly advice: string
}

/** Bounds of a page. A page of 1,000 records of 2 KB and 60 values has 2 MiB and 60,000 values. */
export const PAGE_BOUNDS: AnswerBounds = {
  bytes: 5 * 2 ** 20,
  values: 150_000,
  // The largest PAYCOMBAT_PAGE_SIZE.
  records: 10_000,
  advice: "lower PAYCOMBAT_PAGE_SIZE",
}

/** Bounds of one record by its id. The largest documented one, a checkout with its order, has 2 KB. */
export const RECORD_BOUNDS: AnswerBounds = {
  bytes: 2 ** 20,
  values: 20_000,
  records: 10_000,
  advice: "ask PayCombat why one record is so large",
}

/** Longest body of an error that is read for its codes. A longer one is dropped. */
export const ERROR_BODY_BYTES = 64 * 2 ** 10

/** Size beyond which only a few answers are received at a time in the whole process. */
export const LARGE_BODY_BYTES = 2 ** 20
export const LARGE_BODIES_MAX = 2
