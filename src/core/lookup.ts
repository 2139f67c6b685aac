import type { Json } from "./json.ts"

/**
 * The declaration of a look-up: an endpoint that is asked about one key at a time. The engine makes the queue of keys, asks
 * within the account's bounds, and stores the answers; it knows no more of a look-up than is said here.
 */

/** Rows that may still change, by a column: whose text is none of these, that is true or false, or that lies ahead or is empty. */
export type Open = { readonly column: string } & (
  | { readonly noneOf: ReadonlyArray<string> }
  | { readonly is: boolean }
  | { readonly isAhead: true }
)

/** The values of a column of another stream's table, each once, of rows that are not removed. Null and blank ones are no keys. */
export interface StoredKeys {
  readonly stream: string
  /** Name of a table of that stream's children; its own table where absent. */
  readonly child?: string
  readonly column: string
  /** Only rows whose column holds one of these texts. */
  readonly only?: { readonly column: string; readonly oneOf: ReadonlyArray<string> }
  /** Column with the time by which keys that were never asked about are ordered; `first_seen_at` where absent. */
  readonly time?: string
}

/** A list from configuration: texts separated by commas. */
export interface GivenKeys {
  readonly variable: string
  /** The list where the variable is not set. */
  readonly otherwise: ReadonlyArray<string>
}

export type Keys = StoredKeys | GivenKeys

/** When a key is asked about again. One that was never asked about is due in each run. */
export interface Recheck {
  /** Answers that may still change, by a column of the table. They are due at the pace; absent where every answer is settled. */
  readonly open?: Open
  /** Days without a change after which an open answer is settled all the same; absent where it never is. */
  readonly openDays?: number
  /**
   * When open answers and failed look-ups are due. `doubling`: once as much time has passed since the latest look-up as lay
   * between the latest change and it, so that keys which never get an answer take ever less of the budget. A table of states
   * does not say since when a look-up fails: those are due in each run.
   */
  readonly pace: "each run" | "doubling"
  /** True if a key is due as well when its row, or one of its rows, was written since the latest look-up. */
  readonly afterChange: boolean
  /** Age from which on any answer is due, and the variable that sets it; absent where a settled answer is never due. */
  readonly maxAge?: { readonly variable: string; readonly otherwise: `${number} ${"hours" | "days"}` }
}

export interface LookupSource {
  readonly kind: "lookup"
  /** What is asked about: all of these together. */
  readonly keys: readonly [Keys, ...ReadonlyArray<Keys>]
  /** Which of the keys that were never asked about come first. Those that were come after them, the oldest answer first. */
  readonly first: "oldest" | "newest"
  /**
   * Paths for a key, which comes encoded: the documented one, or candidates, the likeliest first. Of several the one is used
   * that answers; it is remembered.
   */
  readonly paths: (key: string) => readonly [string, ...ReadonlyArray<string>]
  /** Field with the asked key. The engine adds it where an answer lacks it; an answer with another key in it is a failure. */
  readonly keyField: string
  /** Field that holds the record's id; of a state the same as `keyField`. */
  readonly idField: string
  /**
   * What an answer becomes.
   *
   * - `state`: the row of the asked key, in a table with `stateColumns()`. A failed look-up leaves the state as it was
   * - `records`: records of a table with `recordColumns()`, loaded as those of a list are; `keyColumn` holds the asked key.
   *   `of` takes them out of the payload of an answer about a key; the payload itself is the record where it is absent
   */
  readonly answer:
    | { readonly kind: "state" }
    | {
        readonly kind: "records"
        readonly keyColumn: string
        readonly of?: (payload: Json, key: string) => ReadonlyArray<Json>
      }
  readonly recheck: Recheck
  /** Where else, in words, keys show that got no answer. */
  readonly seeAlso?: string
  /** Look-ups of one run at most, and the variable that sets it. Null where all that fit are made. */
  readonly maxCalls: { readonly variable: string; readonly otherwise: number | null }
}

/** The streams that name a look-up's keys. */
export const keyStreams = ({ keys }: LookupSource): ReadonlyArray<string> => [
  ...new Set(keys.flatMap(source => ("stream" in source ? [source.stream] : []))),
]
