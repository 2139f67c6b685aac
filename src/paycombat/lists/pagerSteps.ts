import { HashSet } from "effect"
import { isId } from "../../core/id.ts"
import type { Json } from "../../core/json.ts"
import type { Ending } from "./end.ts"
import { isSame, watchLoop } from "./loopDetector.ts"
import {
  type CheckState,
  type Emptied,
  type EndState,
  type Facts,
  type Front,
  type Gap,
  type Listing,
  type PageState,
  pageOf,
  type Rechecking,
  type Repeating,
  type Rereading,
  type Resuming,
  type Step,
  type Wrapping,
} from "./pagerState.ts"
import { changed, circling, cut, emptied, repeating, wrapped } from "./pagingErrors.ts"
import { newcomers, type ReadPage } from "./readPage.ts"
import { agreesWithTotal, credibleTotal, endsAsStated, lastPageOf, statedBy } from "./total.ts"

/** The transitions of a pass, without effects: see the drawing in `pagerState.ts`. */

/** Most ids of a pass' first pages that are kept, to recognize new records at the front once the end is reached. */
const REMEMBERED_IDS = 20_000
/** Number of these ids, storable in Postgres, that a checkpoint carries to the run that resumes the pass. */
const HEAD_IDS = 20
/** Most looks at an end or a front that keeps growing, before the next run gets the rest. */
const MAX_LOOKS = 5
/** Short pages without new records on a second read, after which they count as usual for this API. */
const MAX_IDLE_RECHECKS = 2
/** Most empty pages in the middle of a list that are read again at its end. */
const SKIPPED_MAX = 100

export const afterPage = (state: PageState, got: ReadPage): Step => {
  switch (state.is) {
    case "resuming":
      return afterResuming(state, got)
    case "listing":
      return take(state.facts, got, state.page)
    case "repeating":
      return afterRepeating(state, got)
    case "wrapping":
      return afterWrapping(state, got)
    case "rechecking":
      return afterRechecking(state, got)
    case "rereading":
      return afterRereading(state, got)
    case "front":
      return afterFront(state, got)
    case "emptied":
      return afterEmptied(state, got)
  }
}

/** The step after a check. `isSo` is its result. */
export const afterCheck = (state: CheckState, isSo: boolean): Step => {
  const { facts } = state
  switch (state.is) {
    case "repeated": {
      const { page, got } = state
      if (isSo) return { state: { is: "ending", page, got, isWrapped: false, facts } }
      if (facts.hasShifted) return { failure: repeating(facts.contract, page) }
      const shifted = { ...facts, hasShifted: true }
      return { emit: pageOf(facts, got, page, [], page), state: listing(shifted, page + 1) }
    }
    case "gap":
      return isSo ? { failure: cut(facts.contract, state.short.number) } : recheckedWith(state, [])
    case "first":
      return { emit: state.final }
  }
}

export const afterEnd = (state: EndState, ending: Ending): Step => {
  const { facts, page, got } = state
  if (ending.is === "there") return take(facts, ending.page, page)
  if (ending.is === "hole") return skip({ ...facts, notBefore: ending.until }, ending.page, page)
  const { witness } = ending
  if (witness === undefined)
    return facts.contract.verified || got === undefined
      ? { failure: emptied(facts.contract, 1, got) }
      : { emit: pageOf(facts, got, page, [], null) }
  return afterWitness(facts, witness)
}

/** The last page was read again, and may have grown. `witness` has no records that it held before. */
const afterWitness = (before: Facts, witness: ReadPage): Step => {
  const hasGrown = witness.records.length > 0
  const { last, size } = before
  const facts: Facts = hasGrown
    ? { ...before, last: { number: last.number, ids: witness.ids }, endLooks: before.endLooks + 1 }
    : before
  const emit = pageOf(facts, witness, last.number, witness.records, last.number)
  if (hasGrown && before.endLooks < MAX_LOOKS) {
    const page = last.number + 1
    const isFull = witness.ids.length === size
    return { emit, state: isFull ? listing(facts, page) : ending(facts, page) }
  }
  if (facts.skipped.length > 0) return { emit, state: { is: "rereading", facts } }
  if (last.number > 1) return { emit, state: front(facts) }
  return first(facts, witness, 1, witness.records)
}

const listing = (facts: Facts, page: number): Listing => ({ is: "listing", page, facts })

const ending = (facts: Facts, page: number, got?: ReadPage): EndState => ({
  is: "ending",
  page,
  got,
  isWrapped: false,
  facts,
})

const front = (facts: Facts, looks = 0): Front => ({ is: "front", page: 1, isNew: false, looks, facts })

const first = (facts: Facts, got: ReadPage, number: number, records: ReadonlyArray<Json>): Step => ({
  state: { is: "first", ids: got.ids, final: pageOf(facts, got, number, records, null), facts },
})

/** A smaller cap than at the beginning would leave gaps, and beyond the end nothing is proven: the pass starts again. */
const afterResuming = ({ facts, page }: Resuming, got: ReadPage): Step => {
  const length = got.ids.length
  const isOfItsSize = length === facts.size || (length > 0 && facts.size <= facts.contract.pageSize)
  if (isOfItsSize && !beginsAsFirst(facts, got, page)) return take(facts, got, page)
  const anew: Facts = { ...facts, isResumed: false, head: [], skipped: [], size: facts.askedSize }
  return { state: listing(anew, 1) }
}

const take = (before: Facts, got: ReadPage, number: number): Step => {
  const facts = withStated(number === 1 ? withFirst(before, got) : before, got, number)
  const { last, notBefore } = facts
  if (got.ids.length === 0)
    return number < notBefore && got.absence === undefined
      ? skip(facts, got, number)
      : { state: ending(facts, number, got) }
  if (last.number === number - 1 && isSame(got.ids, last.ids))
    return { state: { is: "repeating", page: number, facts } }
  // The page may never be emitted, so its share of the memory is released now.
  if (beginsAsFirst(facts, got, number))
    return { state: { is: "wrapping", page: number, got: { ...got, share: undefined }, facts } }
  return accept(facts, got, number)
}

const beginsAsFirst = ({ head }: Facts, got: ReadPage, number: number) =>
  number > 2 && head.length > 0 && isSame(headOf(got), head)

const headOf = ({ ids }: ReadPage) => ids.filter(isId).slice(0, HEAD_IDS)

const withFirst = (facts: Facts, got: ReadPage): Facts => ({
  ...facts,
  size: got.ids.length === 0 ? facts.size : got.ids.length,
  head: headOf(got),
})

const withStated = (facts: Facts, got: ReadPage, number: number): Facts => ({
  ...facts,
  stated: credibleTotal(got) ?? facts.stated ?? (number === 1 ? got.total : undefined),
  statedLastPage: Math.max(facts.statedLastPage, lastPageOf(got, facts.size) ?? 0),
})

const accept = (before: Facts, got: ReadPage, number: number): Step => {
  const { contract, last, size } = before
  const length = got.ids.length
  if (number > 1 && length > size && contract.pagingProven)
    return {
      failure: changed(contract, `page ${number} holds ${length} records where ${size} were asked for`),
    }
  const { loop, seenAs } = watchLoop(before.loop, number, got.ids)
  if (seenAs !== undefined) return { failure: circling(contract, number, seenAs) }
  const facts: Facts = {
    ...before,
    loop,
    last: { number, ids: got.ids },
    remembered: remember(before.remembered, got.ids, REMEMBERED_IDS),
  }
  const isEnd = endsAsStated(contract, got, number, size)
  const then = isEnd ? ending(facts, number + 1) : listing(facts, number + 1)
  const isShort = last.number > 0 && last.number === number - 1 && last.ids.length < size
  return {
    // A short page may still grow, so a resumed run reads it again.
    emit: pageOf(facts, got, number, got.records, length < size ? number : number + 1),
    state:
      isShort && facts.idleRechecks < MAX_IDLE_RECHECKS
        ? { is: "rechecking", short: last, then, facts }
        : then,
  }
}

const remember = (remembered: HashSet.HashSet<string>, ids: ReadonlyArray<string>, limit: number) =>
  HashSet.size(remembered) >= limit
    ? remembered
    : HashSet.mutate(remembered, draft => {
        for (const id of ids) if (HashSet.size(draft) < limit) HashSet.add(draft, id)
      })

const skip = (before: Facts, got: ReadPage, number: number): Step => {
  const skipped = before.skipped.length < SKIPPED_MAX ? [...before.skipped, number] : before.skipped
  const facts = { ...before, skipped }
  return { emit: pageOf(facts, got, number, [], number + 1), state: listing(facts, number + 1) }
}

const afterRepeating = ({ facts, page }: Repeating, got: ReadPage): Step =>
  isSame(got.ids, facts.last.ids) ? { state: { is: "repeated", page, got, facts } } : take(facts, got, page)

/** Page 1 again is the end if the last page agrees with the stated total. */
const afterWrapping = ({ facts, page, got }: Wrapping, again: ReadPage): Step => {
  if (!isSame(again.ids, got.ids)) return accept(facts, got, page)
  return agreesWithTotal(got, facts.last, facts.size)
    ? { state: { ...ending(facts, page, got), isWrapped: true } }
    : { failure: wrapped(facts.contract, page, statedBy(got)) }
}

const afterRechecking = ({ facts, short, then }: Rechecking, got: ReadPage): Step => {
  const records = newcomers(got, new Set(short.ids))
  if (records.length > 0) return recheckedWith({ facts, short, got, then }, records)
  return { state: { is: "gap", short, got, then, facts: { ...facts, idleRechecks: facts.idleRechecks + 1 } } }
}

const recheckedWith = (
  { facts, short, got, then }: Pick<Gap, "facts" | "short" | "got" | "then">,
  records: ReadonlyArray<Json>,
): Step => ({
  emit: pageOf(facts, got, short.number, records, facts.last.number),
  state: { ...then, facts },
})

const afterRereading = ({ facts: before }: Rereading, got: ReadPage): Step => {
  const facts = { ...before, skipped: before.skipped.slice(1) }
  return {
    emit: pageOf(facts, got, before.skipped[0]!, got.records, facts.last.number),
    state: facts.skipped.length > 0 ? { is: "rereading", facts } : front(facts),
  }
}

const afterFront = (state: Front, got: ReadPage): Step => {
  const isEmptied = state.page === 1 && got.ids.length === 0 && state.facts.head.length > 0
  return isEmptied
    ? { state: { is: "emptied", front: state, got, facts: state.facts } }
    : takeFront(state, got)
}

/** Page 1 no longer holds records. It is a fault if the last page holds none either. */
const afterEmptied = ({ front: state, got, facts }: Emptied, last: ReadPage): Step =>
  last.ids.length === 0 ? { failure: emptied(facts.contract, facts.last.number, got) } : takeFront(state, got)

/** Emits the new records of one of the first pages. A look with new records is followed by another one. */
const takeFront = (state: Front, got: ReadPage): Step => {
  const { page, looks, facts: before } = state
  const records = newcomers(got, { has: id => HashSet.has(before.remembered, id) })
  const facts = { ...before, remembered: remember(before.remembered, got.ids, 2 * REMEMBERED_IDS) }
  const isNew = state.isNew || records.length > 0
  const isOld = records.length === 0 || page >= facts.last.number
  const isHead = facts.isResumed && got.ids.some(id => facts.head.includes(id))
  const emit = pageOf(facts, got, page, records, facts.last.number)
  if (!isOld && !isHead) return { emit, state: { ...state, page: page + 1, isNew, facts } }
  if (isNew && looks < MAX_LOOKS) return { emit, state: front(facts, looks + 1) }
  return page === 1 ? first(facts, got, page, records) : { emit: pageOf(facts, got, page, records, null) }
}
