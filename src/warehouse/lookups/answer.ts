import type { Json } from "../../core/json.ts"
import type { Row } from "../../core/stream.ts"

/** What was asked about a key, and what came of it. */

/** One answer, or the reason why there is none. */
export interface Answer {
  readonly key: string
  readonly checkedAt: string
  /** The state that was answered, and its raw text; both null where there is none. */
  readonly row: Row | null
  readonly raw: string | null
  /** The records that were answered, as they were sent, with the asked key; none of a state. */
  readonly records?: ReadonlyArray<Json>
  readonly error: string | null
  /** There was no answer at all; a refusal is one. */
  readonly isUnanswered?: boolean
}

export interface Usage {
  readonly requests: number
  readonly retries: number
}

/** What `check_error` says of answers that are no state, or no row. */
export const REJECTED = "The answer could not become a row: see `paycombat-sync rejects list`."
export const UNSTORABLE = "The answer holds a text or a number that Postgres cannot store."
