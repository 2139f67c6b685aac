import { Effect } from "effect"
import { EndpointError } from "../core/errors.ts"
import { keyStreams } from "../core/lookup.ts"
import type { LookupStream } from "../core/stream.ts"
import { isComplete, type Status } from "../core/words.ts"
import { PLACE } from "../paycombat/client/idPath.ts"
import { latestStatus } from "../warehouse/ledger/earlierRuns.ts"
import { countKeys } from "../warehouse/lookups/checks.ts"
import { type Lookup, subjectOf } from "../warehouse/lookups/lookup.ts"
import type { StreamContext, StreamFailure } from "./context.ts"
import { isBeyond, isMany, percent, shareOf } from "./rejectBound.ts"

/** The bounds on failed look-ups, beyond which a run fails. */

/**
 * Look-ups that may stay without an answer in a complete run: one, or this share. The share is that of the look-ups of
 * the run among those answered before, and that of all keys. More of them are not the fault of a few records.
 */
const UNANSWERED_ALWAYS = 1
const UNANSWERED_SHARE_MAX = 0.05

interface LookupsMade {
  readonly queued: number
  readonly asked: number
  readonly failed: number
  readonly unanswered: number
  /** Failed or unanswered look-ups whose look-up before did not fail. */
  readonly newlyFailed: number
  readonly newlyUnanswered: number
  /** Look-ups without an answer whose outcome is not stored, since the API had asked for a pause. */
  readonly unasked: number
  /** Keys whose latest look-up failed, in this run or before. */
  readonly failing: number
  readonly mistaken: number
  /** Every look-up failed, and no record that was answered before gets an answer either. */
  readonly hasAllFailed: boolean
}

const unansweredMax = (count: number): number => Math.max(UNANSWERED_ALWAYS, UNANSWERED_SHARE_MAX * count)

const failure = (stream: LookupStream, reason: EndpointError["reason"], message: string) =>
  new EndpointError({ reason, path: stream.source.paths(PLACE)[0], message })

/**
 * Fails with `unavailable` if more than a few look-ups got no answer, or one about another record, and with `rejected`
 * if more failed than PAYCOMBAT_REJECTS_MAX allows: first failures of those of the run, all of all keys.
 */
export const refuseFailed = (
  context: Pick<StreamContext, "sql" | "lease" | "settings">,
  lookup: Lookup,
  made: LookupsMade,
): Effect.Effect<void, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, lease } = context
    const { stream } = lookup
    const { queued, asked, failed, unanswered, unasked, mistaken, hasAllFailed } = made
    const countAll = yield* Effect.cached(countKeys(sql, lease, lookup))
    const isUnanswered =
      unasked > 0 ||
      made.newlyUnanswered > unansweredMax(asked) ||
      (unanswered > UNANSWERED_ALWAYS && unanswered > unansweredMax(yield* countAll))
    if (isUnanswered || mistaken > 0 || (hasAllFailed && unanswered > 0))
      return yield* failure(
        stream,
        "unavailable",
        `${hasAllFailed ? failed : unanswered + unasked + mistaken} of ${queued} look-ups got no proper answer: see` +
          ` ${stream.name}.check_error. The next run asks again.`,
      )
    const share = shareOf(context)
    const refuse = (count: number, of: number, subject: string) =>
      failure(
        stream,
        "rejected",
        `${count} of ${of} ${subject} (${percent(count / of)}), and PAYCOMBAT_REJECTS_MAX allows ${percent(share)}.` +
          ` Answers before were kept. See ${stream.name}.check_error for the reasons, and \`paycombat-sync doctor\`` +
          " for how an answer differs from what is documented. The next run asks again.",
      )
    const refused = failed - unanswered
    if (hasAllFailed || isMany(made.newlyFailed - made.newlyUnanswered, asked, share))
      return yield* refuse(refused, asked, "checks failed")
    const open = made.failing - unanswered
    if (open <= 0) return
    const all = yield* countAll
    if (isBeyond(open, all, share))
      return yield* refuse(open, all, `${subjectOf(lookup)} have a latest check that failed`)
  })

const problemOf = (status: Status): string =>
  `${status === "failed" ? "failed" : "was broken off"} when it was last read`

/** Fails with `incomplete` if the latest run of a stream that names the keys did not end well. */
export const refuseIncompleteParent = (
  { sql, lease }: Pick<StreamContext, "sql" | "lease">,
  stream: LookupStream,
  answered: { readonly count: number; readonly of: number },
): Effect.Effect<void, StreamFailure> =>
  Effect.gen(function* () {
    for (const parent of keyStreams(stream.source)) {
      const status = yield* latestStatus(sql, lease, parent)
      if (status !== null && isComplete(status)) continue
      const problem = status === null ? "was never read" : problemOf(status)
      return yield* failure(
        stream,
        "incomplete",
        `${parent} ${problem}: records that are not stored were not asked about. ${answered.count} of ${answered.of}` +
          ` look-ups were answered, and their answers are stored. Sync ${parent} first, and see what it says.`,
      )
    }
  })
