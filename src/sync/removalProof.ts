import { Effect, Stream as S } from "effect"
import type { AccountError } from "../core/errors.ts"
import type { ListSource, ListStream } from "../core/stream.ts"
import type { Client } from "../paycombat/client/client.ts"
import type { Contract } from "../paycombat/lists/contract.ts"
import { type Movement, watchMovement } from "../paycombat/lists/movement.ts"
import { pages } from "../paycombat/lists/pager.ts"
import { type Ended, isDue } from "../warehouse/ledger/removal.ts"
import type { StreamContext, StreamFailure } from "./context.ts"
import type { Missing } from "./listMissing.ts"

/**
 * True if a pass may book as removed what it was not shown. A record that moves over the border of the page being read is
 * on none of the pages, and may leave no sign of it: the last of the passes that are needed therefore reads the list a
 * second time. Two readings that hold the same records, in the same order, on the same pages, hide none that moved in
 * between: those that it changed places with would stand elsewhere.
 */

/** What is known of a reading that came to its end, before its pass is closed. */
export interface Read {
  readonly passId: string
  readonly movement: Movement
  /** What showed that the list moved; null where nothing did. */
  readonly moved: string | null
  /** A part of the pages was read by an earlier run: how the list moved in between is not known. */
  readonly isResumed: boolean
  readonly missing: Missing
}

/** What the second reading of the list showed; null where it is the first one again. Stops at the first page that differs. */
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

/** What showed that the list moved, and whether not being listed counts towards a removal. Reads the list again where that decides. */
export const proofOf = (
  context: StreamContext,
  stream: ListStream,
  contract: Contract,
  { passId, movement, moved, isResumed, missing }: Read,
): Effect.Effect<Pick<Ended, "movement" | "isResumed" | "isConfirmed">, StreamFailure> =>
  Effect.gen(function* () {
    const { isCounting, there } = missing
    const isConfirmed = context.settings.confirmsRemovals ?? false
    const ended = { passId, provesRemoval: true, movement: moved, isCounting, isResumed, isConfirmed, there }
    const isDecisive = yield* isDue(context.sql, context.lease, stream, ended)
    return {
      movement: isDecisive ? yield* readAgain(context.client, stream.source, contract, movement) : moved,
      isResumed,
      isConfirmed,
    }
  })

/** What a pass has to say about records that it was not shown, and did not book as removed. */
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
