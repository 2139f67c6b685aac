import { Effect } from "effect"
import type { Contract } from "./contract.ts"
import { type Seen, sayingNothing } from "./end.ts"
import type { Checking, Read } from "./gapChecks.ts"
import { isSame } from "./loopDetector.ts"
import { changed, ignoredPaging, missingPage } from "./pagingErrors.ts"
import type { ReadPage } from "./readPage.ts"
import { isTooShortForAPage, isWholeBySize, lastPageOf, statesMore } from "./total.ts"

/**
 * Decides about a page that is the page before it once more, and was so twice. Answers true where this may be the end of
 * the list, which is then to be proven; false where as many records as a page holds were inserted meanwhile, so that
 * all pages moved by one. A page of one record, right after the two, tells.
 *
 * Fails with `contract` where the paging parameter is ignored, and with `unavailable` where the page alone is wrong.
 */
export const judgeRepeat = (
  read: Read,
  contract: Contract,
  seen: { readonly number: number; readonly got: ReadPage; readonly last: Seen; readonly size: number },
): Checking<boolean> =>
  Effect.gen(function* () {
    const { number, got, last, size } = seen
    if (number > 2 && got.ids.length < size) return true
    if (!contract.pagingProven && number === 2) {
      if (statesMore(got)) return yield* Effect.fail(ignoredPaging(contract, number))
      // A list of so few records that no paging parameter could be told from another.
      if (isTooShortForAPage(got, size + 1) && isSame((yield* read(1, size + 1)).ids, last.ids)) return true
    }
    const isOneRecord = last.number * size === 1
    const probe = isOneRecord ? yield* read(1, 2) : yield* read(number * size + 1, 1)
    if (
      contract.firstPage === 0 &&
      number === 2 &&
      (yield* read(3, size)).ids.some(id => !got.ids.includes(id))
    )
      return yield* Effect.fail(changed(contract, "page 0 is page 1"))
    if (probe.ids.length === 0 || (probe.ids.length === 1 && probe.ids[0] === last.ids.at(-1))) return true
    if (probe.ids.length === 1 && !last.ids.includes(probe.ids[0]!)) {
      const hasMoved = !isSame((yield* read(last.number, size)).ids, last.ids)
      if (hasMoved) return false
      const evidence = `page ${number + 1} holds records`
      return yield* Effect.fail(missingPage(contract, number, sayingNothing(got), evidence))
    }
    if (number === 2) {
      if (isWholeBySize(got, probe)) return true
      return yield* Effect.fail(ignoredPaging(contract, number))
    }
    // A count that changes with the size asked for is one of this page, not of the list.
    const isOfTheList =
      got.total === undefined ? probe.pageCount === got.pageCount : probe.total === got.total
    if (isOfTheList && lastPageOf(got, size) === last.number) return true
    return yield* Effect.fail(ignoredPaging(contract, number))
  })
