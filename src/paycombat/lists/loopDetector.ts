/** Times that the same page must come by again before the list is taken for one that goes round in circles. */
const SIGHTINGS_MAX = 2

/**
 * Watches for a list that goes round in circles, in the memory of one page (Brent's way): a page is kept until
 * twice as many went by, so that every circle is noticed after a few rounds. One page that comes again alone is no
 * circle: as many records as fill pages may have been inserted at the front.
 *
 * Answers the number of the page that came again, once it is sure.
 */
export const makeLoopWatch = (): ((number: number, ids: ReadonlyArray<string>) => number | undefined) => {
  let kept: ReadonlyArray<string> = []
  let keptNumber = 0
  let sightings = 0
  return (number, ids) => {
    if (number > keptNumber && keptNumber > 0 && isSame(ids, kept)) {
      sightings++
      return sightings === SIGHTINGS_MAX ? keptNumber : undefined
    }
    if (number >= 2 * keptNumber) {
      kept = ids
      keptNumber = number
      sightings = 0
    }
    return undefined
  }
}

export const isSame = (some: ReadonlyArray<string>, others: ReadonlyArray<string>): boolean =>
  some.length === others.length && some.every((id, index) => id === others[index])
