import { Effect } from "effect"
import type { AccountError, EndpointError } from "../../core/errors.ts"
import type { ListSource } from "../../core/stream.ts"
import type { Client } from "../client/client.ts"
import type { Contract } from "./contract.ts"
import { changed } from "./pagingErrors.ts"
import { type ReadPage, readPage } from "./readPage.ts"

/** Checks that detect a paging contract that changed after it was proven: the list would be read with silent gaps. */
export type Checking<A> = Effect.Effect<A, AccountError | EndpointError>
export type Read = (number: number, size: number) => Checking<ReadPage>

/**
 * True if a record is right after a page's last one, and neither on it nor among `others`: the size was reduced but not
 * the distance, or the next page is missing. Asked twice, with the page in between: the list may just have grown.
 */
export const hasGapAfter = (
  read: Read,
  glance: Read,
  contract: Contract,
  page: { readonly number: number; readonly size: number; readonly ids: ReadonlyArray<string> },
  others: ReadonlyArray<string>,
): Checking<boolean> =>
  Effect.gen(function* () {
    if (!contract.pagingProven || page.ids.length === 0) return false
    const knownIds = new Set([...page.ids, ...others])
    const position = (page.number - 1) * page.size + page.ids.length + 1
    const isSkipped = Effect.map(glance(position, 1), ({ ids }) => ids.length === 1 && !knownIds.has(ids[0]!))
    if (!(yield* isSkipped)) return false
    const again = yield* read(page.number, page.size)
    return again.ids.every(id => knownIds.has(id)) && (yield* isSkipped)
  })

/**
 * Fails if the API has records before the first page: it now counts pages from 0, so every page was the one after the
 * intended one. Each request is sent twice, and has one attempt: no answer is no proof.
 */
export const failIfPageZeroExists = (
  client: Client,
  contract: Contract,
  source: ListSource,
  first: ReadonlyArray<string>,
  size: number,
): Checking<void> =>
  Effect.gen(function* () {
    if (contract.firstPage === 0 || contract.paginator === "offset" || first.length === 0) return
    const idsOf = (firstPage: 0 | 1) =>
      readPage(client, source, { ...contract, firstPage }, 1, size, { attempts: 1 }).pipe(
        Effect.map(({ ids }) => ids),
        Effect.catchTag("EndpointError", () => Effect.succeed<ReadonlyArray<string>>([])),
      )
    const isBefore = (zeroth: ReadonlyArray<string>, one: ReadonlyArray<string>) =>
      zeroth.length > 0 && one.length > 0 && !zeroth.includes(one[0]!)
    if (!isBefore(yield* idsOf(0), first)) return
    // As many records as fill a page may just have been inserted before it.
    const one = yield* idsOf(1)
    if (isBefore(yield* idsOf(0), one))
      return yield* Effect.fail(changed(contract, "page 0 comes before page 1"))
  })
