/** Bounds on one answer: what a server sends must not decide how much memory the program takes. */

export interface AnswerBounds {
  /** Length of the body, unpacked. */
  readonly bytes: number
  /** Arrays, objects and values in it, at any depth: small ones take twenty times the memory of their text. */
  readonly values: number
  /** Items of a list in it: each costs more than its values, until it is a row or a reject. */
  readonly records: number
  /** Advice where an answer is larger. */
  readonly advice: string
}

/**
 * A page of a list. One of 1,000 records of 2 KB and 60 values is 2 MiB and 60,000 values; of transactions,
 * which have 27 values of 600 bytes in all, 5,500 fit.
 */
export const PAGE_BOUNDS: AnswerBounds = {
  bytes: 5 * 2 ** 20,
  values: 150_000,
  // As many as PAYCOMBAT_PAGE_SIZE lets a run ask for.
  records: 10_000,
  advice: "lower PAYCOMBAT_PAGE_SIZE",
}

/** One record, by its id. The largest that is documented, a checkout with its order, takes 2 KB. */
export const RECORD_BOUNDS: AnswerBounds = {
  bytes: 2 ** 20,
  values: 20_000,
  records: 10_000,
  advice: "ask PayCombat why one record is so large",
}

/** Longest body of an error that is read: its codes are looked for in it, and a longer one is dropped. */
export const ERROR_BODY_BYTES = 64 * 2 ** 10

/** Answers that grow beyond this are received by a few at a time, in the whole process. */
export const LARGE_BODY_BYTES = 2 ** 20
export const LARGE_BODIES_MAX = 2
