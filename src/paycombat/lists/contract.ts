import type { TimeField } from "./order.ts"
import type { Addressing } from "./readPage.ts"

/**
 * Whether a list can be asked for what is newer than a time. Upstream has `start_time` and `end_time` (U), in
 * seconds or milliseconds (?): believed where a request with them answers exactly the records that are known to be
 * so new. A filter that is ignored answers all records, one in the other unit all or none.
 */
export interface TimeFilter {
  readonly unit: "seconds" | "milliseconds"
  /** Whether the end must be named too. */
  readonly hasEnd: boolean
  /** Which time of a record it goes by. */
  readonly by: TimeField
}

/** How a list is read: what discovery found, as it is stored between runs. Plain JSON. */
export interface Contract extends Addressing {
  /** Where the records are in the answer, as keys from its top: `data`, `data.items`. */
  readonly at: string
  /** Records that the first page held; where the API allows fewer than was asked, its cap. */
  readonly pageSize: number
  /** Largest size that the API accepts to be asked; null where it refused none. */
  readonly maxPageSize: number | null
  /** Whether the answers state the length of the list. */
  readonly hasTotal: boolean
  /** Both parameters were seen to take effect. Until they were, each run tries the candidates again. */
  readonly pagingProven: boolean
  /** A record of this very stream was read through it on this run. An empty list proves nothing. */
  readonly verified: boolean
  /** The by-id endpoint that answered last, with `{id}` for the id. Tried first, and proven anew by each run. */
  readonly byId?: string
  /** What the latest pass over the whole list showed of it, for runs that do not read it whole. */
  readonly learned?: {
    /** Newest first by this time. */
    readonly order?: TimeField
    readonly filter?: TimeFilter
    /** The newest time by which the filter goes, in milliseconds: known up to there. Grows with each run. */
    readonly newest?: number
    readonly pages: number
    /** Where asking again about records that may still change goes on. */
    readonly askedTo?: string
  }
}
