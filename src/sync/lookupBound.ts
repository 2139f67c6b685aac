import { Effect } from "effect"
import { EndpointError } from "../core/errors.ts"
import { keyStreams } from "../core/lookup.ts"
import type { LookupStream } from "../core/stream.ts"
import { PLACE } from "../paycombat/client/idPath.ts"
import { latestStatus } from "../warehouse/ledger/passes.ts"
import type { Status } from "../warehouse/ledger/runs.ts"
import { countKeys } from "../warehouse/lookups/checks.ts"
import { type Lookup, subjectOf } from "../warehouse/lookups/lookup.ts"
import type { StreamContext, StreamFailure } from "./context.ts"
import { isBeyond, isMany, percent, shareOf } from "./rejectBound.ts"

/** How many failed look-ups make a run fail. */

/**
 * Look-ups that may stay without an answer in a run that counts as complete: one, or this share. Of those asked where
 * they had an answer before, and of all there are to ask; more than that is not about a few records.
 */
const UNANSWERED_ALWAYS = 1
const UNANSWERED_SHARE_MAX = 0.05

/** The look-ups of a run that came to its end. Those without an answer are among the failed ones. */
export interface LookupsMade {
  readonly queued: number
  /** Look-ups whose outcome is stored. */
  readonly stored: number
  readonly failed: number
  readonly unanswered: number
  /** Failed, or unanswered, though the check before it did not fail. */
  readonly newlyFailed: number
  readonly newlyUnanswered: number
  /** Look-ups without an answer whose outcome is not stored, since the API had asked for a pause. */
  readonly unasked: number
  /** Keys whose latest look-up failed, by whichever run; those of this run are among them. */
  readonly failing: number
  /** Answers about another record than the one that was asked for. */
  readonly mistaken: number
  /** Every look-up failed, and no record that was answered before gets an answer either. */
  readonly isNobodyAnswered: boolean
}

/** How many of so many look-ups may stay without an answer. */
const unansweredMax = (count: number): number => Math.max(UNANSWERED_ALWAYS, UNANSWERED_SHARE_MAX * count)

const failure = (stream: LookupStream, reason: EndpointError["reason"], message: string) =>
  new EndpointError({ reason, path: stream.source.paths(PLACE)[0], message })

/**
 * Fails with `unavailable` where more look-ups stayed without an answer than a few, or where an answer was about another
 * record; with `rejected` where more checks failed than PAYCOMBAT_REJECTS_MAX allows. Checks that failed for the first
 * time are judged against the run, all failed ones against all records there are to ask about: a run that asks again
 * only about the few that fail for good need not fail by them.
 */
export const refuseFailed = (
  context: Pick<StreamContext, "sql" | "lease" | "settings">,
  lookup: Lookup,
  made: LookupsMade,
): Effect.Effect<void, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, lease } = context
    const { stream } = lookup
    const { queued, stored, failed, unanswered, unasked, mistaken, isNobodyAnswered } = made
    const toAsk = yield* Effect.cached(countKeys(sql, lease, lookup))
    const isUnanswered =
      unasked > 0 ||
      made.newlyUnanswered > unansweredMax(stored) ||
      (unanswered > UNANSWERED_ALWAYS && unanswered > unansweredMax(yield* toAsk))
    if (isUnanswered || mistaken > 0 || (isNobodyAnswered && unanswered > 0))
      return yield* failure(
        stream,
        "unavailable",
        `${isNobodyAnswered ? failed : unanswered + unasked + mistaken} of ${queued} look-ups got no proper answer: see` +
          ` ${stream.name}.check_error. The next run asks again.`,
      )
    const share = shareOf(context)
    const refuse = (count: number, of: number, about: string) =>
      failure(
        stream,
        "rejected",
        `${count} of ${of} ${about} (${percent(count / of)}), and PAYCOMBAT_REJECTS_MAX allows ${percent(share)}.` +
          ` Answers before were kept. See ${stream.name}.check_error for the reasons, and \`paycombat-sync doctor\`` +
          " for how an answer differs from what is documented. The next run asks again.",
      )
    const refused = failed - unanswered
    if (isNobodyAnswered || isMany(made.newlyFailed - made.newlyUnanswered, stored, share))
      return yield* refuse(refused, stored, "checks failed")
    const open = made.failing - unanswered
    if (open <= 0) return
    const all = yield* toAsk
    if (isBeyond(open, all, share))
      return yield* refuse(open, all, `${subjectOf(lookup)} have a latest check that failed`)
  })

const PROBLEM: Readonly<Record<Exclude<Status, "complete" | "complete_with_rejects">, string>> = {
  running: "was broken off when it was last read",
  interrupted: "was broken off when it was last read",
  dead: "was broken off when it was last read",
  failed: "failed when it was last read",
}

/** Fails with `incomplete` where the latest run of a stream that names the keys did not come to a good end. */
export const refuseIncompleteParent = (
  { sql, lease }: Pick<StreamContext, "sql" | "lease">,
  stream: LookupStream,
  answered: { readonly count: number; readonly of: number },
): Effect.Effect<void, StreamFailure> =>
  Effect.gen(function* () {
    for (const parent of keyStreams(stream.source)) {
      const status = yield* latestStatus(sql, lease, parent)
      if (status === "complete" || status === "complete_with_rejects") continue
      const problem = status === null ? "was never read" : PROBLEM[status]
      return yield* failure(
        stream,
        "incomplete",
        `${parent} ${problem}: records that are not stored were not asked about. ${answered.count} of ${answered.of}` +
          ` look-ups were answered, and their answers are stored. Sync ${parent} first, and see what it says.`,
      )
    }
  })
