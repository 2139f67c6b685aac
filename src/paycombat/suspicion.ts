import { Effect } from "effect"
import type { AccountError, EndpointError } from "../Errors.ts"
import type { ListSource } from "../Stream.ts"
import type { Client } from "./Client.ts"
import type { Contract } from "./discovery.ts"
import { countsRecords, type ReadPage, readPage } from "./listing.ts"
import { changed } from "./pagingErrors.ts"
import { lastPageOf } from "./stated.ts"

/**
 * Questions whose answers only a list that is read in a wrong way gets wrong: a contract may have been changed
 * since it was proven, and such a list would be read with gaps, to its end, without a word.
 */
type Checking<A> = Effect.Effect<A, AccountError | EndpointError>
type Read = (number: number, size: number) => Checking<ReadPage>

/**
 * Whether a record stands right after a short page that is neither on it nor among `others`: its size was cut, but
 * not the way to the next page. Asked twice, with the page itself in between: it may just have grown.
 */
export const isGapAfter = (
  read: Read,
  contract: Contract,
  page: { readonly number: number; readonly size: number; readonly ids: ReadonlyArray<string> },
  others: ReadonlyArray<string>,
): Checking<boolean> =>
  Effect.gen(function* () {
    if (!contract.pagingProven || page.ids.length === 0) return false
    const known = new Set([...page.ids, ...others])
    const position = (page.number - 1) * page.size + page.ids.length + 1
    const isSkipped = Effect.map(read(position, 1), ({ ids }) => ids.length === 1 && !known.has(ids[0]!))
    if (!(yield* isSkipped)) return false
    const again = yield* read(page.number, page.size)
    return again.ids.every(id => known.has(id)) && (yield* isSkipped)
  })

/**
 * Whether something speaks against the end of a list at a page that is not there: the last page that held records does
 * not answer any more, the page after this one or the stated last page holds records, or a record stands right behind
 * the last page. A stated size alone does not, as it does not against an empty page: the pass then holds fewer than are
 * stated. Also answers what the last page states now.
 */
export const evidenceAgainstEnd = (
  read: Read,
  contract: Contract,
  seen: {
    readonly number: number
    /** A page up to this number was seen to hold records. */
    readonly notBefore: number
    readonly statedLastPage: number | undefined
    readonly last: { readonly number: number; readonly ids: ReadonlyArray<string> }
    readonly size: number
  },
): Checking<{
  readonly evidence: string | undefined
  readonly total: number | undefined
  readonly lastPage: number | undefined
}> =>
  Effect.gen(function* () {
    const { number, notBefore, last, size } = seen
    const witness = yield* read(last.number, size)
    const lastPage = lastPageOf(witness, size) ?? seen.statedLastPage
    const against = (evidence: string | undefined) => ({ evidence, total: witness.total, lastPage })
    if (witness.ids.length === 0) return against(`page ${last.number} held records, and is not there either`)
    for (const other of new Set([notBefore, number + 1, lastPage ?? 0])) {
      if (other > number && (yield* read(other, size)).ids.length > 0)
        return against(`page ${other} holds records`)
    }
    const isGap = yield* isGapAfter(read, contract, { ...last, size }, witness.ids)
    return against(isGap ? `a record stands right behind page ${last.number}` : undefined)
  })

/**
 * Fails where the API has records before the first page: it has begun to count pages from 0, and every page that
 * was read is the one after the one meant. Asked twice, and once each: no answer is no proof.
 */
export const provesFirst = (
  client: Client,
  contract: Contract,
  source: ListSource,
  first: ReadonlyArray<string>,
  size: number,
): Checking<void> =>
  Effect.gen(function* () {
    if (contract.firstPage === 0 || countsRecords(contract.pageParam) || first.length === 0) return
    const idsOf = (firstPage: number) =>
      readPage(client, source, { ...contract, firstPage }, 1, size, { attempts: 1 }).pipe(
        Effect.map(({ ids }) => ids),
        Effect.catchTag("EndpointError", () => Effect.succeed<ReadonlyArray<string>>([])),
      )
    const isBefore = (zeroth: ReadonlyArray<string>, one: ReadonlyArray<string>) =>
      zeroth.length > 0 && one.length > 0 && !zeroth.includes(one[0]!)
    if (!isBefore(yield* idsOf(0), first)) return
    // As many records as fill a page may have been inserted before it, just now.
    const one = yield* idsOf(1)
    if (isBefore(yield* idsOf(0), one))
      return yield* Effect.fail(changed(contract, "page 0 comes before page 1"))
  })
