import { HashSet } from "effect"
import type { EndpointError } from "../../core/errors.ts"
import type { Json } from "../../core/json.ts"
import type { Contract } from "./contract.ts"
import type { Seen } from "./end.ts"
import { type LoopWatch, NO_LOOP } from "./loopDetector.ts"
import type { Page, Position } from "./page.ts"
import type { ReadPage } from "./readPage.ts"

/**
 * The states of one pass over a list. Each state asks for one thing: a page, the judgement of an end, or a check. The
 * pager (`pager.ts`) carries it out, and a transition (`pagerSteps.ts`) makes the next state of the answer.
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> listing
 *   [*] --> resuming: from a checkpoint
 *   resuming --> listing: the page has the earlier size, or else from page 1
 *   listing --> listing: a page of records
 *   listing --> rechecking: a page follows a short one
 *   rechecking --> gap: the short page holds nothing new
 *   rechecking --> listing: it holds more now
 *   gap --> listing: no record is missing
 *   listing --> repeating: the page before it once more
 *   repeating --> repeated: so it is again
 *   repeated --> ending: it may be the end
 *   repeated --> listing: all pages moved by one
 *   listing --> wrapping: it begins like page 1
 *   wrapping --> ending: it is page 1, and the stated total agrees
 *   wrapping --> listing: it is another page
 *   listing --> ending: no records, or the stated total is reached
 *   ending --> listing: the page holds records after all, or the last page grew
 *   ending --> rereading: pages were empty between others
 *   ending --> front: the end is proven
 *   rereading --> front: all of them were read again
 *   front --> front: records were inserted at the front
 *   front --> emptied: page 1 holds nothing
 *   emptied --> front: the last page does
 *   ending --> first: the list has one page
 *   front --> first: nothing is new at the front
 *   first --> [*]: no page comes before page 1
 * ```
 */
export type State = PageState | EndState | CheckState

/** Facts about the list. Every state carries them. */
export interface Facts {
  readonly contract: Contract
  /** The requested size if no page was read yet. */
  readonly askedSize: number
  /** The requested size: from page 2 on the number of records on page 1. */
  readonly size: number
  readonly isResumed: boolean
  readonly head: ReadonlyArray<string>
  readonly last: Seen
  /** Length of the list that was stated last, and the furthest page according to any answer of this pass. */
  readonly stated: number | undefined
  readonly statedLastPage: number
  /** No empty page before this one is the end, because this one held records. */
  readonly notBefore: number
  readonly skipped: ReadonlyArray<number>
  /** Ids of the first pages of the pass, to recognize new ones at the front once the end is reached. */
  readonly remembered: HashSet.HashSet<string>
  readonly loop: LoopWatch
  /** True if all pages moved by one before, because records were inserted. */
  readonly hasShifted: boolean
  readonly idleRechecks: number
  readonly endLooks: number
}

interface Base {
  readonly facts: Facts
}

export type PageState = Resuming | Listing | Repeating | Wrapping | Rechecking | Rereading | Front | Emptied

/** Reads the page at which an earlier pass was interrupted. */
export interface Resuming extends Base {
  readonly is: "resuming"
  readonly page: number
}

export interface Listing extends Base {
  readonly is: "listing"
  readonly page: number
}

/** Reads a page again that equals the page before it. */
export interface Repeating extends Base {
  readonly is: "repeating"
  readonly page: number
}

/** Reads page 1 again, because the answer `got` for `page` begins like it. */
export interface Wrapping extends Base {
  readonly is: "wrapping"
  readonly page: number
  readonly got: ReadPage
}

/** Reads a short page again although another followed, and continues with `then`. */
export interface Rechecking extends Base {
  readonly is: "rechecking"
  readonly short: Seen
  readonly then: Listing | EndState
}

/** Reads the first of the skipped pages again: it may have been empty because of a short fault. */
export interface Rereading extends Base {
  readonly is: "rereading"
}

/** Reads the first pages again until they have no new records. */
export interface Front extends Base {
  readonly is: "front"
  readonly page: number
  /** True if an earlier page of this look held new records. */
  readonly isNew: boolean
  readonly looks: number
}

/** Reads the last page again, because the answer `got` for page 1 no longer holds records. */
export interface Emptied extends Base {
  readonly is: "emptied"
  readonly front: Front
  readonly got: ReadPage
}

/** Asks if the list has ended before `page`, whose answer is `got`. Without `got` a stated total says so. */
export interface EndState extends Base {
  readonly is: "ending"
  readonly page: number
  readonly got: ReadPage | undefined
  readonly isWrapped: boolean
}

/** States that request a check, which returns true or false, or fails. */
export type CheckState = Repeated | Gap | First

/** Asks if a page that equals the page before it, twice, may be beyond the end. */
export interface Repeated extends Base {
  readonly is: "repeated"
  readonly page: number
  readonly got: ReadPage
}

/** Asks if a record is missing behind a short page, whose second answer is `got`. */
export interface Gap extends Base {
  readonly is: "gap"
  readonly short: Seen
  readonly got: ReadPage
  readonly then: Listing | EndState
}

/** Asks if page 1, which held `ids`, is the first one; then the pass ends with `final`. */
export interface First extends Base {
  readonly is: "first"
  readonly ids: ReadonlyArray<string>
  readonly final: Page
}

/** A page to emit, if any, and the next state. There is none after the last page, or after a failure. */
export interface Step {
  readonly emit?: Page
  readonly state?: State
  readonly failure?: EndpointError
}

export interface PageRequest {
  readonly number: number
  readonly size: number
  /** True if its records are emitted, so that its share of the memory is kept. */
  readonly isKept?: boolean
  /** True if it is read once, and a refusal is an empty page. */
  readonly isGlance?: boolean
}

export const requestOf = (state: PageState): PageRequest => {
  const { size, last, skipped } = state.facts
  switch (state.is) {
    case "resuming":
    case "listing":
      return { number: state.page, size, isKept: true }
    case "repeating":
    case "front":
      return { number: state.page, size }
    case "wrapping":
      return { number: 1, size }
    case "rechecking":
      return { number: state.short.number, size }
    case "rereading":
      return { number: skipped[0]!, size, isGlance: true }
    case "emptied":
      return { number: last.number, size }
  }
}

const NOTHING_SEEN: Seen = { number: 0, ids: [] }

/** The first state of a pass. `from` resumes an earlier pass. */
export const begin = (contract: Contract, askedSize: number, from?: Position): State => {
  const facts: Facts = {
    contract,
    askedSize,
    size: askedSize,
    isResumed: false,
    head: [],
    last: NOTHING_SEEN,
    stated: undefined,
    statedLastPage: 0,
    notBefore: 0,
    skipped: [],
    remembered: HashSet.empty(),
    loop: NO_LOOP,
    hasShifted: false,
    idleRechecks: 0,
    endLooks: 0,
  }
  if (from === undefined || from.page <= 1) return { is: "listing", page: 1, facts }
  const { page, pageSize, head, skipped = [] } = from
  return { is: "resuming", page, facts: { ...facts, isResumed: true, size: pageSize, head, skipped } }
}

/** A page as it is emitted. A run that is interrupted after it continues from `nextPage`; null with the last page. */
export const pageOf = (
  { size, stated, head, skipped }: Facts,
  got: ReadPage,
  number: number,
  records: ReadonlyArray<Json>,
  nextPage: number | null,
): Page => ({
  number,
  pageSize: size,
  records,
  readAt: got.readAt,
  bytes: got.bytes,
  share: records === got.records ? got.share : undefined,
  total: stated,
  next:
    nextPage === null
      ? null
      : {
          page: Math.max(1, nextPage),
          pageSize: size,
          head,
          ...(skipped.length === 0 ? {} : { skipped }),
        },
  isLast: nextPage === null,
})
