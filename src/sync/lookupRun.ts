import { Chunk, Duration, Effect, Option, Stream as S } from "effect"
import { defaultsOf } from "../config/lookups.ts"
import type { Guarded, LookupStream } from "../core/stream.ts"
import { PROBED_KEYS } from "../paycombat/client/lookupPath.ts"
import { bookFailed, failedBefore } from "../warehouse/lookups/checks.ts"
import { type Lookup, lookupOf, subjectOf } from "../warehouse/lookups/lookup.ts"
import { clearQueue, dueAfter, queueDue } from "../warehouse/lookups/queue.ts"
import { modeChangedAt } from "../warehouse/maintain/privacyMode.ts"
import type { StreamContext, StreamFailure, StreamResult } from "./context.ts"
import { findPath, forgetPath, isThere, makeAsk, type Tally } from "./lookupAsk.ts"
import { refuseFailed, refuseIncompleteParent } from "./lookupBound.ts"
import { makeSave } from "./lookupSave.ts"

/** One look-up per key that is due: queue → ask, within the account's bounds → save the answers as they come. */

/** Keys that are taken from the queue at once. */
const QUEUE_READ = 500
/** Answers that are saved together at most, and the longest time that one waits for it: what a crash may cost. */
const SAVE_RECORDS = 1_000
const SAVE_AGE = "2 seconds"

/** What the bound on calls cost this run. */
const leftOverNotes = (
  lookup: Lookup,
  run: { due: number; neverAsked: number; asked: number },
): ReadonlyArray<string> => {
  const leftOver = run.due - run.asked
  if (leftOver <= 0) return []
  const neverAsked = Math.max(0, run.neverAsked - run.asked)
  return [
    `${leftOver} left over, ${neverAsked} of them never asked: they come first in the next run.`,
    // As long as new keys come faster than they can be asked about, it stays so.
    ...(run.asked > 0 && run.neverAsked >= run.asked && run.due > run.neverAsked
      ? [`All calls went to ${subjectOf(lookup)} that were never asked about: no older answer was renewed.`]
      : []),
  ]
}

/** Where a failed look-up says why. */
const reasonsIn = ({ name, source }: LookupStream): string =>
  source.answer.kind === "state" ? `${name}.check_error` : "check_error in sync.lookup_keys"

/**
 * Asks about every key that is due, those never asked about and then the longest unasked first, up to the run's budget. A few
 * look-ups may get no answer after all retries, or another one than is documented: they are counted, and made again. The run
 * fails where these are more than a few (see `refuseFailed`), or where a stream that names the keys did not end well.
 */
export const runLookupStream = (
  context: StreamContext,
  stream: Guarded<LookupStream>,
): Effect.Effect<StreamResult, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, lease, settings, account, tell, budget } = context
    const { maxAge, maxCalls, keys } = settings.lookups[stream.name] ?? defaultsOf(stream.source)
    const lookup = lookupOf(stream, context.streams, keys)
    const { otherwise } = stream.source.maxCalls
    const callsMax = maxCalls ?? (Number.isFinite(budget.calls) ? budget.calls : (otherwise ?? budget.calls))
    const { due, queued, neverAsked } = yield* queueDue(sql, lease, lookup, {
      recheckSeconds: maxAge === null ? null : Duration.toSeconds(maxAge),
      newerThan: context.mustReadAll ? yield* modeChangedAt(sql, lease) : null,
      callsMax,
    })
    budget.calls = Math.max(0, budget.calls - queued)
    const done = { extracted: 0, inserted: 0, updated: 0, unanswered: 0 }
    const tally: Tally = { unanswered: 0, mistaken: 0, answered: null, end: null }
    /** All that were saved, those of them that failed, and those that failed though the look-up before did not. */
    const saved = { asked: 0, failed: 0, newlyFailed: 0, newlyUnanswered: 0 }
    const { save, end } = makeSave(context, lookup)
    yield* tell({ total: queued })
    const path = yield* findPath(
      context,
      lookup,
      yield* dueAfter(sql, lease, 0, Math.min(PROBED_KEYS, queued)),
    )
    const queue = S.paginateChunkEffect(0, position =>
      Effect.map(dueAfter(sql, lease, position, Math.min(QUEUE_READ, queued - position)), found => {
        const next = position + found.length
        return [
          Chunk.unsafeFromArray(found),
          found.length === 0 || next >= queued ? Option.none() : Option.some(next),
        ]
      }),
    )
    yield* queue.pipe(
      S.mapEffect(makeAsk(context, lookup, path, tally), {
        concurrency: account.concurrency,
        unordered: true,
      }),
      // It does not fail here: what was answered before is saved, so that the next run begins with others.
      S.takeUntil(({ isLast }) => isLast),
      S.filterMap(({ answer }) => Option.fromNullable(answer)),
      S.groupedWithin(SAVE_RECORDS, SAVE_AGE),
      S.runForEach(chunk =>
        Effect.gen(function* () {
          const answers = Chunk.toReadonlyArray(chunk)
          const failed = answers.filter(({ error }) => error !== null)
          const again = yield* failedBefore(
            sql,
            lease,
            lookup,
            failed.map(({ key }) => key),
          )
          const first = failed.filter(({ key }) => !again.has(key))
          const counts = yield* save(answers)
          saved.asked += answers.length
          saved.failed += failed.length
          saved.newlyFailed += first.length
          saved.newlyUnanswered += first.filter(({ isUnanswered }) => isUnanswered).length
          done.extracted += counts.extracted
          done.inserted += counts.inserted
          done.updated += counts.updated
          done.unanswered += counts.unanswered
          yield* tell(done)
        }),
      ),
    )
    if (tally.end !== null) return yield* tally.end
    yield* clearQueue(sql, lease)
    const failing = yield* bookFailed(sql, lease, lookup)
    const rejected = yield* end
    const { unanswered } = done
    const { asked, failed } = saved
    const isNobodyAnswered = failed > 0 && failed === asked && !(yield* isThere(context, lookup, path, tally))
    if (isNobodyAnswered) yield* forgetPath(context, lookup)
    yield* refuseFailed(context, lookup, {
      queued,
      stored: asked,
      failed,
      failing,
      unanswered,
      newlyFailed: saved.newlyFailed,
      newlyUnanswered: saved.newlyUnanswered,
      // In a pause that the API asked for some were not asked at all.
      unasked: tally.unanswered - unanswered,
      mistaken: tally.mistaken,
      isNobodyAnswered,
    })
    yield* refuseIncompleteParent(context, stream, { count: asked - unanswered, of: queued })
    const refused = failed - unanswered
    const notes = [
      ...(unanswered > 0
        ? [
            `${unanswered} of ${queued} look-ups got no answer, and are made again in the next run: see` +
              ` ${[reasonsIn(stream), stream.source.seeAlso].filter(where => where !== undefined).join(", and ")}.`,
          ]
        : []),
      ...(refused > 0 ? [`${refused} checks failed: see ${reasonsIn(stream)}.`] : []),
      ...leftOverNotes(lookup, { due, neverAsked, asked }),
    ]
    return { rejected, removed: 0, leftOver: due - asked, note: notes.join(" ") || null }
  })
