import type { Json } from "./json.ts"

/**
 * The declaration of a look-up: an endpoint that is asked about one key at a time. The engine builds the queue of keys,
 * sends requests within the account's bounds, and stores the answers. It knows a look-up only by this declaration.
 */

/** Rows that may still change: the text is none of these, it is true or false, or the time is in the future or empty. */
export type Open = { readonly column: string } & (
  | { readonly noneOf: ReadonlyArray<string> }
  | { readonly is: boolean }
  | { readonly isAhead: true }
)

/** The values of a column of another stream's table, each once, without removed rows, null and blank values. */
export interface StoredKeys {
  readonly stream: string
  /** Name of a child table of that stream; its own table if absent. */
  readonly child?: string
  readonly column: string
  /** Only rows whose column holds one of these texts. */
  readonly only?: { readonly column: string; readonly oneOf: ReadonlyArray<string> }
  /** Column with the time that orders the keys never asked about; `first_seen_at` if absent. */
  readonly time?: string
}

/** A list from configuration: texts separated by commas. */
export interface GivenKeys {
  readonly variable: string
  readonly otherwise: ReadonlyArray<string>
}

export type Keys = StoredKeys | GivenKeys

/** When a key is asked about again. A key that was never asked about is due in each run. */
export interface Recheck {
  /** Answers that may still change, due by `pace`. If absent, every answer is settled. */
  readonly open?: Open
  /** Days without a change after which an open answer counts as settled; if absent, never. */
  readonly openDays?: number
  /**
   * When open answers and failed look-ups are due. `doubling`: after as much time as lay between the latest change and
   * the latest look-up, so that keys without an answer take ever less of the budget. Failed states are due in each run.
   */
  readonly pace: "each run" | "doubling"
  /** True if a key is also due when its row, or one of its rows, was written since the latest look-up. */
  readonly afterChange: boolean
  /** Age at which any answer is due, and the variable that sets it. If absent, a settled answer is never due. */
  readonly maxAge?: { readonly variable: string; readonly otherwise: `${number} ${"hours" | "days"}` }
}

export interface LookupSource {
  readonly kind: "lookup"
  /** The keys to ask about, from all of these sources together. */
  readonly keys: readonly [Keys, ...ReadonlyArray<Keys>]
  /** Order of the keys that were never asked about. All other keys come after them, the oldest answer first. */
  readonly first: "oldest" | "newest"
  /** Paths for an encoded key: the documented one, or candidates, the likeliest first. The one that answers is kept. */
  readonly paths: (key: string) => readonly [string, ...ReadonlyArray<string>]
  /** Field with the asked key. The engine adds it if an answer lacks it. An answer with another key is a failure. */
  readonly keyField: string
  /** Field with the record's id; the same as `keyField` for a state. */
  readonly idField: string
  /**
   * Kind of row that an answer becomes.
   *
   * - `state`: the row of the asked key, in a table with `stateColumns()`. A failed look-up leaves the state unchanged
   * - `records`: records of a table with `recordColumns()`, loaded like those of a list; `keyColumn` holds the asked
   *   key. `of` takes them out of the payload of an answer; if absent, the payload is the record
   */
  readonly answer:
    | { readonly kind: "state" }
    | {
        readonly kind: "records"
        readonly keyColumn: string
        readonly of?: (payload: Json, key: string) => ReadonlyArray<Json>
      }
  readonly recheck: Recheck
  /** Another place that shows the keys without an answer, in words. */
  readonly seeAlso?: string
  /** Most look-ups of one run, and the variable that sets it. Null: as many as fit. */
  readonly maxCalls: { readonly variable: string; readonly otherwise: number | null }
}

export const keyStreams = ({ keys }: LookupSource): ReadonlyArray<string> => [
  ...new Set(keys.flatMap(source => ("stream" in source ? [source.stream] : []))),
]
