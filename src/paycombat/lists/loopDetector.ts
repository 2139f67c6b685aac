/** Times that the same page must come by again before the list is taken for one that goes round in circles. */
const SIGHTINGS_MAX = 2

/** A page that is kept to be recognized, and how often it came by again. */
export interface LoopWatch {
  readonly number: number
  readonly ids: ReadonlyArray<string>
  readonly sightings: number
}

export const NO_LOOP: LoopWatch = { number: 0, ids: [], sightings: 0 }

/**
 * Watches for a list that goes round in circles, in the memory of one page (Brent's algorithm): a page is kept until
 * twice as many went by, so that every circle is noticed after a few rounds. One page that comes again alone is no
 * circle: as many records as fill pages may have been inserted at the front.
 *
 * `seenAs` is the number of the page that came again, once it is sure.
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
