/** Repetitions of the same page after which the list counts as a circle. */
const SIGHTINGS_MAX = 2

/** A page that is kept for comparison, and its number of repetitions. */
export interface LoopWatch {
  readonly number: number
  readonly ids: ReadonlyArray<string>
  readonly sightings: number
}

export const NO_LOOP: LoopWatch = { number: 0, ids: [], sightings: 0 }

/**
 * Detects a list that leads in a circle, in the memory of one page (Brent's algorithm). It keeps a page until twice as
 * many have followed, so it finds every circle after a few rounds. A single repeated page is no circle, because as many
 * records as fill pages may have been inserted at the front.
 *
 * `seenAs` is the number of the repeated page, once it is certain.
 */
export const watchLoop = (
  watch: LoopWatch,
  number: number,
  ids: ReadonlyArray<string>,
): { readonly loop: LoopWatch; readonly seenAs?: number } => {
  if (number > watch.number && watch.number > 0 && isSame(ids, watch.ids)) {
    const loop = { ...watch, sightings: watch.sightings + 1 }
    return loop.sightings === SIGHTINGS_MAX ? { loop, seenAs: watch.number } : { loop }
  }
  return { loop: number >= 2 * watch.number ? { number, ids, sightings: 0 } : watch }
}

export const isSame = (some: ReadonlyArray<string>, others: ReadonlyArray<string>): boolean =>
  some.length === others.length && some.every((id, index) => id === others[index])
