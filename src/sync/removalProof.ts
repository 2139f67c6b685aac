import { Effect, Stream as S } from "effect"
import { type AccountError, EndpointError } from "../core/errors.ts"
import type { ListSource, ListStream } from "../core/stream.ts"
import type { Client } from "../paycombat/client/client.ts"
import type { Contract } from "../paycombat/lists/contract.ts"
import { type Movement, watchMovement } from "../paycombat/lists/movement.ts"
import { pages } from "../paycombat/lists/pager.ts"
import { type Ended, isDue } from "../warehouse/ledger/removal.ts"
import type { StreamContext, StreamFailure } from "./context.ts"
import type { Missing } from "./listMissing.ts"

/**
 * Proves that a pass may book unlisted records as removed. A record that moves over the border of the page being read
 * leaves no sign. So the last pass that is needed reads the list twice: if both readings are the same, nothing moved in
 * between.
 */

interface Reading {
  readonly passId: string
  readonly movement: Movement
  /** The sign that the list moved; null if there is none. */
  readonly moved: string | null
  /** True if an earlier run read a part of the pages. A movement in between is then not known. */
  readonly isResumed: boolean
  readonly missing: Missing
}

/** Reads the list again, up to the first other page. Answers a sentence if it differs, else null. */
export const readAgain = (
  client: Client,
  source: ListSource,
  contract: Contract,
  first: Movement,
): Effect.Effect<string | null, AccountError> => {
  const second = watchMovement(source)
  return pages(client, contract, source).pipe(
    S.tap(page => Effect.sync(() => second.see(page))),
    S.takeWhile(() => second.isAs(first)),
    S.runDrain,
    Effect.map(() =>
      second.isAs(first, true) ? null : "Read a second time, the list was not the same as before.",
    ),
    Effect.catchTag("EndpointError", error =>
      Effect.succeed(`The list could not be read a second time: ${error.message}`),
    ),
  )
}

/** Decides whether the pass counts towards removals. Reads the list again if that decides one. */
export const proofOf = (
  context: StreamContext,
  stream: ListStream,
  contract: Contract,
  { passId, movement, moved, isResumed, missing }: Reading,
): Effect.Effect<Pick<Ended, "movement" | "isResumed" | "isConfirmed">, StreamFailure> =>
  Effect.gen(function* () {
    const { isCounting, confirmedPresent } = missing
    const isConfirmed = context.settings.confirmsRemovals ?? false
    const ended = {
      passId,
      provesRemoval: true,
      movement: moved,
      isCounting,
      isResumed,
      isConfirmed,
      confirmedPresent,
    }
    const isDecisive = yield* isDue(context.sql, context.lease, stream, ended)
    return {
      movement: isDecisive ? yield* readAgain(context.client, stream.source, contract, movement) : moved,
      isResumed,
      isConfirmed,
    }
  })

/** The note about unlisted records that the pass did not book as removed; null if there is none. */
export const unconfirmedNote = (
  { name }: ListStream,
  unconfirmed: number,
  {
    movement = null,
    hasById,
    isHeldBack,
  }: { readonly movement?: string | null; readonly hasById: boolean; readonly isHeldBack: boolean },
): string | null =>
  unconfirmed === 0
    ? null
    : isHeldBack
      ? `${unconfirmed} ${name} are not listed any more, too many at once to be booked as removed. If PayCombat removed them, run \`paycombat-sync sync --confirm-removals\`.`
      : `${unconfirmed} ${name} were not listed, and are not booked as removed: ` +
        (hasById
          ? "their by-id endpoint did not answer 404 for them. They are asked about again in the next full pass."
          : movement === null
            ? "that takes three full passes over a list that stands still."
            : `the list moved while it was read. ${movement}`)

export const UNPROVEN =
  "No parameter was seen to set the size of a page: records between the pages may be missing, and nothing is" +
  " booked as removed. If the API has such a parameter, put its names in PAYCOMBAT_PAGING."

/**
 * True if the pages of a pass held the whole list: they adjoin, or the stated total agrees. A larger total fails the
 * stream; a smaller one proves nothing.
 */
export const holdsAll = (
  contract: Contract,
  { name }: ListStream,
  listed: number,
  stated: number | undefined,
) => {
  if (contract.pagingProven) return Effect.succeed(true)
  if (stated === undefined || stated <= listed)
    return Effect.succeed(stated === listed || listed <= contract.pageSize)
  return Effect.fail(
    new EndpointError({
      reason: "contract",
      path: contract.path,
      message:
        `GET ${contract.path}: states ${stated} ${name}, but its pages hold ${listed}, and no parameter was seen to set` +
        " their size: records between the pages were not read. Put the names of the API's paging parameters in PAYCOMBAT_PAGING.",
    }),
  )
}
